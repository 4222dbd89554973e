//! A server whose handlers run what a test gives them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use purlin_core::gen_server::Accepts;
use purlin_core::*;

use super::{Bomb, DropNote, Log};

pub type Later<'a, R> = Pin<Box<dyn Future<Output = R> + Send + 'a>>;
type OnInit = Box<dyn for<'a> FnOnce(&'a mut Cx<Lab>) -> Later<'a, Result<(), InitError>> + Send>;
type OnTerminate = Box<dyn for<'a> FnOnce(&'a ExitReason, &'a mut Cx<Lab>) -> Later<'a, ()> + Send>;

/// The server's state.
#[derive(Default)]
pub struct Lab {
    pub value: i64,
    /// What happened, in order.
    pub log: Log<String>,
    /// Calls to answer later.
    pub held: Vec<ReplyTo<i64>>,
    pub on_drop: Option<DropNote>,
    pub bomb: Option<Bomb>,
    /// In a mutex because reads want the state to be `Sync`.
    on_terminate: Mutex<Option<OnTerminate>>,
    status: Option<fn() -> String>,
}

/// How a server starts.
#[derive(Default)]
pub struct Setup {
    pub value: i64,
    pub log: Log<String>,
    pub trap: bool,
    pub on_drop: Option<DropNote>,
    pub bomb: Option<Bomb>,
    pub status: Option<fn() -> String>,
    pub on_init: Option<OnInit>,
    pub on_terminate: Option<OnTerminate>,
}

impl Setup {
    pub fn logging(log: &Log<String>) -> Setup {
        Setup { log: log.clone(), ..Setup::default() }
    }

    pub fn trapping(log: &Log<String>) -> Setup {
        Setup { trap: true, ..Setup::logging(log) }
    }

    /// Does this in `init`, before the state is made.
    pub fn init(
        mut self,
        f: impl for<'a> FnOnce(&'a mut Cx<Lab>) -> Later<'a, Result<(), InitError>> + Send + 'static,
    ) -> Setup {
        self.on_init = Some(Box::new(f));
        self
    }

    /// Does this in `terminate`, after the log has a note of it.
    pub fn terminate(
        mut self,
        f: impl for<'a> FnOnce(&'a ExitReason, &'a mut Cx<Lab>) -> Later<'a, ()> + Send + 'static,
    ) -> Setup {
        self.on_terminate = Some(Box::new(f));
        self
    }
}

impl GenServer for Lab {
    type Args = Setup;

    async fn init(setup: Setup, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        if setup.trap {
            cx.trap_exits(true);
        }
        setup.log.add("init".to_owned());
        if let Some(f) = setup.on_init {
            f(cx).await?;
        }
        let Setup { value, log, on_drop, bomb, status, on_terminate, .. } = setup;
        Ok(Lab {
            value,
            log,
            held: Vec::new(),
            on_drop,
            bomb,
            on_terminate: Mutex::new(on_terminate),
            status,
        })
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Cx<Self>) {
        self.log.add(format!("terminate {reason}"));
        let f = self.on_terminate.lock().unwrap().take();
        if let Some(f) = f {
            f(reason, cx).await;
        }
    }

    fn format_status(&self) -> String {
        self.status.map_or_else(|| format!("value {}", self.value), |f| f())
    }

    fn accepts(table: &mut Accepts<'_, Self>) {
        table.info::<Note, _>().info::<Down, _>();
    }
}

/// A call that adds and returns the sum.
pub struct Add(pub i64);
impl HandleCall<Add> for Lab {
    type Reply = i64;
    async fn handle_call(&mut self, Add(n): Add, _: &mut Cx<Self>) -> i64 {
        self.value += n;
        self.value
    }
}

/// The same by a handler that promises not to wait.
pub struct AddSync(pub i64);
impl HandleCall<AddSync> for Lab {
    type Reply = i64;
    const SYNC: bool = true;
    async fn handle_call(&mut self, AddSync(n): AddSync, _: &mut Cx<Self>) -> i64 {
        self.value += n;
        self.value
    }
}

/// A read.
pub struct Get;
impl HandleRead<Get> for Lab {
    type Reply = i64;
    fn handle_read(&self, _: Get, _: &ReadCx<Self>) -> i64 {
        self.value
    }
}

/// A read that runs `F`.
pub struct Look<F>(pub F);
impl<R: Send + 'static, F: FnOnce(&Lab, &ReadCx<Lab>) -> R + Send + 'static> HandleRead<Look<F>> for Lab {
    type Reply = R;
    fn handle_read(&self, Look(f): Look<F>, cx: &ReadCx<Self>) -> R {
        f(self, cx)
    }
}

/// A read that may end the server.
pub struct LookOrCrash(pub Crash);
impl HandleRead<LookOrCrash, OrCrash> for Lab {
    type Reply = i64;
    fn handle_read(&self, LookOrCrash(crash): LookOrCrash, _: &ReadCx<Self>) -> Result<i64, Crash> {
        Err(crash)
    }
}

/// A call that runs `F`, which does not wait.
pub struct Do<F>(pub F);
impl<R: Send + 'static, F: FnOnce(&mut Lab, &mut Cx<Lab>) -> R + Send + 'static> HandleCall<Do<F>> for Lab {
    type Reply = R;
    async fn handle_call(&mut self, Do(f): Do<F>, cx: &mut Cx<Self>) -> R {
        f(self, cx)
    }
}

/// A call that runs `F` with a handler that promises not to wait.
pub struct DoSync<F>(pub F);
impl<R: Send + 'static, F: FnOnce(&mut Lab, &mut Cx<Lab>) -> R + Send + 'static> HandleCall<DoSync<F>>
    for Lab
{
    type Reply = R;
    const SYNC: bool = true;
    async fn handle_call(&mut self, DoSync(f): DoSync<F>, cx: &mut Cx<Self>) -> R {
        f(self, cx)
    }
}

/// A call that runs a future made by `F`.
pub struct Wait<F>(pub F);
impl<R, F> HandleCall<Wait<F>> for Lab
where
    R: Send + 'static,
    F: for<'a> FnOnce(&'a mut Lab, &'a mut Cx<Lab>) -> Later<'a, R> + Send + 'static,
{
    type Reply = R;
    async fn handle_call(&mut self, Wait(f): Wait<F>, cx: &mut Cx<Self>) -> R {
        f(self, cx).await
    }
}

/// Makes a [`Wait`] of a closure: helps inference.
pub fn wait<R, F>(f: F) -> Wait<F>
where
    F: for<'a> FnOnce(&'a mut Lab, &'a mut Cx<Lab>) -> Later<'a, R> + Send + 'static,
{
    Wait(f)
}

/// A call whose handler returns this.
pub struct Answer(pub Result<i64, Crash>);
impl HandleCall<Answer, OrCrash> for Lab {
    type Reply = i64;
    async fn handle_call(&mut self, Answer(answer): Answer, _: &mut Cx<Self>) -> Result<i64, Crash> {
        answer
    }
}

/// A call that is answered later: the handle goes to `held`.
pub struct Hold;
impl HandleCall<Hold, OrLater> for Lab {
    type Reply = i64;
    async fn handle_call(&mut self, _: Hold, _: &mut Cx<Self>) -> Result<Reply<i64>, Crash> {
        let (to, later) = Reply::later();
        self.held.push(to);
        Ok(later)
    }
}

/// A call that is answered through the handle that `F` gets.
pub struct HandOut<F>(pub F);
impl<F: FnOnce(ReplyTo<i64>) + Send + 'static> HandleCall<HandOut<F>, OrLater> for Lab {
    type Reply = i64;
    async fn handle_call(&mut self, HandOut(f): HandOut<F>, _: &mut Cx<Self>) -> Result<Reply<i64>, Crash> {
        let (to, later) = Reply::later();
        f(to);
        Ok(later)
    }
}

/// A cast that is noted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tell(pub &'static str);
impl HandleCast<Tell> for Lab {
    async fn handle_cast(&mut self, Tell(text): Tell, _: &mut Cx<Self>) {
        self.log.add(text.to_owned());
    }
}

/// A cast that runs `F`.
pub struct CastDo<F>(pub F);
impl<F: FnOnce(&mut Lab, &mut Cx<Lab>) + Send + 'static> HandleCast<CastDo<F>> for Lab {
    async fn handle_cast(&mut self, CastDo(f): CastDo<F>, cx: &mut Cx<Self>) {
        f(self, cx);
    }
}

/// A cast that runs a future made by `F`.
pub struct CastWaiting<F>(pub F);
impl<F: for<'a> FnOnce(&'a mut Lab, &'a mut Cx<Lab>) -> Later<'a, ()> + Send + 'static>
    HandleCast<CastWaiting<F>> for Lab
{
    async fn handle_cast(&mut self, CastWaiting(f): CastWaiting<F>, cx: &mut Cx<Self>) {
        f(self, cx).await;
    }
}

pub fn cast_waiting<F: for<'a> FnOnce(&'a mut Lab, &'a mut Cx<Lab>) -> Later<'a, ()> + Send + 'static>(
    f: F,
) -> CastWaiting<F> {
    CastWaiting(f)
}

/// An untyped message that is noted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Note(pub &'static str);
impl HandleInfo<Note> for Lab {
    async fn handle_info(&mut self, Note(text): Note, _: &mut Cx<Self>) {
        self.log.add(text.to_owned());
    }
}

/// A message that runs `F`.
pub struct InfoDo<F>(pub F);
impl<F: FnOnce(&mut Lab, &mut Cx<Lab>) + Send + 'static> HandleInfo<InfoDo<F>> for Lab {
    async fn handle_info(&mut self, InfoDo(f): InfoDo<F>, cx: &mut Cx<Self>) {
        f(self, cx);
    }
}

impl HandleInfo<Timeout> for Lab {
    async fn handle_info(&mut self, _: Timeout, _: &mut Cx<Self>) {
        self.log.add("timeout".to_owned());
    }
}

impl HandleInfo<Down> for Lab {
    async fn handle_info(&mut self, down: Down, _: &mut Cx<Self>) {
        self.log.add(format!("down {}", down.reason));
    }
}

impl HandleInfo<Exit> for Lab {
    async fn handle_info(&mut self, exit: Exit, _: &mut Cx<Self>) {
        self.log.add(format!("exit {}", exit.reason));
    }
}

/// Continues `n` more times.
pub struct Go(pub u32);
impl HandleContinue<Go> for Lab {
    async fn handle_continue(&mut self, Go(n): Go, cx: &mut Cx<Self>) {
        self.log.add(format!("continue {n}"));
        if n > 0 {
            cx.continue_with(Go(n - 1));
        }
    }
}

/// Waits in between.
pub struct GoSlowly;
impl HandleContinue<GoSlowly> for Lab {
    async fn handle_continue(&mut self, _: GoSlowly, _: &mut Cx<Self>) {
        process::sleep(millis(5)).await;
        self.log.add("slowly".to_owned());
    }
}

/// Starts one with a log of its own.
pub async fn lab() -> Ref<Lab> {
    Lab::start(Setup::default()).await.unwrap()
}

// Helpers that tell the compiler what the closures take.

pub fn doing<R: Send + 'static, F: FnOnce(&mut Lab, &mut Cx<Lab>) -> R + Send + 'static>(f: F) -> Do<F> {
    Do(f)
}

pub fn doing_sync<R: Send + 'static, F: FnOnce(&mut Lab, &mut Cx<Lab>) -> R + Send + 'static>(
    f: F,
) -> DoSync<F> {
    DoSync(f)
}

pub fn looking<R: Send + 'static, F: FnOnce(&Lab, &ReadCx<Lab>) -> R + Send + 'static>(f: F) -> Look<F> {
    Look(f)
}

pub fn casting<F: FnOnce(&mut Lab, &mut Cx<Lab>) + Send + 'static>(f: F) -> CastDo<F> {
    CastDo(f)
}

pub fn informing<F: FnOnce(&mut Lab, &mut Cx<Lab>) + Send + 'static>(f: F) -> InfoDo<F> {
    InfoDo(f)
}

//! Proves that `#[gen_server]` writes every callback, message and client method as the same server by hand would have them.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::future::Future;
use std::sync::mpsc::{Receiver, channel};

use purlin::prelude::*;
use purlin::{CallFor, CastFor};

#[derive(Clone, Debug, PartialEq)]
struct Tick;

/// A server with one of everything.
struct Counter {
    value: i64,
    log: Vec<String>,
    waiting: Vec<ReplyTo<i64>>,
}

#[gen_server]
impl Counter {
    const STEP: i64 = 1;

    fn init(start: i64) -> Self {
        Counter { value: start, log: Vec::new(), waiting: Vec::new() }
    }

    /// Adds.
    #[call]
    fn increment(&mut self, by: i64) -> i64 {
        self.add(by);
        self.value
    }

    #[call]
    fn get(&self) -> i64 {
        self.value
    }

    #[call]
    fn own_pid(&self, cx: &ReadCx<Self>) -> Pid {
        cx.pid()
    }

    #[call]
    async fn slow_get(&self) -> i64 {
        process::yield_now().await;
        self.value
    }

    #[call]
    async fn slow_increment(&mut self, by: i64, cx: &mut Cx<Self>) -> Pid {
        process::yield_now().await;
        // The block stays as it is written: another message's method is a plain method here.
        self.increment(by);
        cx.pid()
    }

    #[call]
    fn parse(&mut self, text: String) -> Result<i64, Crash> {
        self.value = text.parse()?;
        Ok(self.value)
    }

    #[call]
    fn divide(&self, by: i64) -> Result<i64, String> {
        self.value.checked_div(by).ok_or_else(|| "division by zero".to_owned())
    }

    #[call]
    fn wait_for_tick(&mut self) -> Reply<i64> {
        let (to, later) = Reply::later();
        self.waiting.push(to);
        later
    }

    #[call]
    fn wait_or_crash(&mut self, text: &'static str) -> Result<Reply<i64>, Crash> {
        if text.is_empty() {
            return Ok(Reply::now(self.value));
        }
        let _: i64 = text.parse()?;
        Ok(self.wait_for_tick())
    }

    #[call]
    fn sum(&self, (a, b): (i64, i64), _: (), mut more: Vec<i64>) -> i64 {
        more.push(Self::STEP);
        a + b + more.iter().sum::<i64>()
    }

    #[cast]
    fn reset(&mut self) {
        self.value = 0;
    }

    #[cast]
    async fn set(&mut self, value: i64, cx: &mut Cx<Self>) -> Result<(), Crash> {
        cx.continue_with(Tick);
        self.value = u32::try_from(value)?.into();
        Ok(())
    }

    #[call]
    fn tick_soon(&mut self, cx: &mut Cx<Self>) {
        cx.send_after(millis(1), Tick);
    }

    #[call]
    fn watch(&mut self, pid: Pid, cx: &mut Cx<Self>) {
        cx.monitor(pid);
    }

    #[call]
    fn trap(&mut self, cx: &mut Cx<Self>) {
        cx.trap_exits(true);
    }

    #[call]
    fn idle(&mut self, cx: &mut Cx<Self>) {
        cx.timeout(millis(1));
    }

    #[info]
    fn tick(&mut self, tick: Tick) {
        self.log.push(format!("{tick:?}"));
        self.waiting.drain(..).for_each(|to| to.reply(self.value));
    }

    #[info]
    fn down(&mut self, down: Down) {
        self.log.push(format!("down: {}", down.reason));
        self.answer();
    }

    #[info]
    fn exit(&mut self, exit: Exit) {
        self.log.push(format!("exit: {}", exit.reason));
        self.answer();
    }

    #[info]
    async fn timeout(&mut self, _: Timeout) {
        self.log.push("idle".to_owned());
        self.answer();
    }

    #[handle_continue]
    fn carry_on(&mut self, _: Tick) {
        self.log.push("continued".to_owned());
    }

    #[call]
    fn log(&self) -> Vec<String> {
        self.log.clone()
    }

    fn add(&mut self, by: i64) {
        self.value += by;
    }

    fn answer(&mut self) {
        self.waiting.drain(..).for_each(|to| to.reply(-1));
    }

    fn format_status(&self) -> String {
        format!("at {}", self.value)
    }
}

/// What arrives in the channel.
async fn received<T>(told: &Receiver<T>) -> T {
    loop {
        match told.try_recv() {
            Ok(value) => return value,
            Err(_) => process::yield_now().await,
        }
    }
}

#[purlin::test]
async fn calls_reads_and_casts_are_methods_of_refs_and_names() -> Result<()> {
    let counter = Counter::start(1).name("counter").await?;
    assert_eq!(counter.increment(2).await?, 3);
    counter.reset();
    assert_eq!(counter.get().await?, 0);
    let named = Counter::named("counter");
    assert_eq!(named.increment(5).timeout(secs(1)).await?, 5);
    assert_eq!(named.get().infinity().await?, 5);
    assert_eq!(named.own_pid().await?, counter.pid());
    Ok(())
}

#[purlin::test]
async fn async_methods_may_wait_and_change_the_state() -> Result<()> {
    let counter = Counter::start(1).await?;
    assert_eq!(counter.slow_increment(2).await?, counter.pid());
    assert_eq!(counter.slow_get().await?, 3);
    Ok(())
}

#[purlin::test]
async fn arguments_may_be_patterns_tuples_and_several() -> Result<()> {
    let counter = Counter::start(0).await?;
    assert_eq!(counter.sum((1, 2), (), vec![3, 4]).await?, 11);
    Ok(())
}

#[purlin::test]
async fn an_error_in_a_crash_ends_the_server_and_any_other_error_is_a_reply() -> Result<()> {
    let counter = Counter::start(1).await?;
    assert_eq!(counter.divide(0).await?, Err("division by zero".to_owned()));
    assert_eq!(counter.parse("7".to_owned()).await?, 7);
    let error = counter.parse("seven".to_owned()).await.unwrap_err();
    assert_eq!(error.exit_reason().unwrap().to_string(), "invalid digit found in string");
    assert!(!counter.is_alive());
    Ok(())
}

#[purlin::test]
async fn a_reply_may_come_later() -> Result<()> {
    let counter = Counter::start(7).await?;
    assert_eq!(counter.wait_or_crash("").await?, 7);
    let (tell, told) = channel();
    for later in [true, false] {
        let (counter, tell) = (counter.clone(), tell.clone());
        process::spawn(async move |_: Mailbox<()>| {
            let call = if later { counter.wait_for_tick().await } else { counter.wait_or_crash("1").await };
            tell.send(call.unwrap()).unwrap();
        });
    }
    // Whoever comes first, both wait before the last tick: it is sent until both have their answer.
    let mut replies = Vec::new();
    while replies.len() < 2 {
        counter.send(Tick);
        counter.get().await?;
        process::yield_now().await;
        replies.extend(told.try_iter());
    }
    assert_eq!(replies, [7, 7]);
    Ok(())
}

#[purlin::test]
async fn a_failing_call_is_named_like_its_method_and_placed_where_it_is_written() -> Result<()> {
    let counter = Counter::start(1).await?;
    counter.stop().await?;
    let error = counter.increment(1).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("call of `increment` to `Counter`"), "{text}");
    assert!(text.contains("tests/gen_server.rs:"), "{text}");
    Ok(())
}

#[purlin::test(sim, seeds = 20, allow_leaks)]
async fn every_kind_of_info_arrives_typed_and_untyped() -> Result<()> {
    let counter = Counter::start(1).await?;
    counter.tick_soon().await?;
    assert_eq!(counter.wait_for_tick().await?, 1);
    process::send(counter.pid(), Tick);
    let other = Counter::start(0).await?;
    counter.watch(other.pid()).await?;
    other.stop().await?;
    while counter.log().await?.len() < 3 {
        process::yield_now().await;
    }
    counter.idle().await?;
    // Virtual time.
    process::sleep(millis(2)).await;
    assert_eq!(counter.log().await?, ["Tick", "Tick", "down: normal", "idle"]);
    Ok(())
}

#[purlin::test(sim, seeds = 20, allow_leaks)]
async fn exits_arrive_in_a_server_that_traps_them() -> Result<()> {
    let counter = Counter::start(1).await?;
    counter.trap().await?;
    process::exit(counter.pid(), ExitReason::error("no more"));
    assert_eq!(counter.log().await?, ["exit: no more"]);
    Ok(())
}

#[purlin::test]
async fn a_continue_runs_before_the_next_message() -> Result<()> {
    let counter = Counter::start(1).await?;
    counter.set(5);
    assert_eq!(counter.log().await?, ["continued"]);
    assert_eq!(counter.get().await?, 5);
    Ok(())
}

#[purlin::test]
async fn format_status_is_the_blocks_own() -> Result<()> {
    let counter = Counter::start(41).await?;
    assert!(format!("{:?}", sys::get_status(counter.pid()).await?).contains("at 41"));
    Ok(())
}

/// A server with type parameters, a `where` and a constant.
struct Cache<K, V, const LIMIT: usize>
where
    K: Send,
{
    entries: HashMap<K, V>,
}

#[gen_server]
impl<K: Eq + std::hash::Hash + Clone + Send + Sync + 'static, V, const LIMIT: usize> Cache<K, V, LIMIT>
where
    V: Clone + Send + Sync + 'static,
    Self: Sized,
{
    fn init() -> Self {
        Cache { entries: HashMap::new() }
    }

    #[call]
    fn put(&mut self, key: K, value: V) -> Option<V> {
        if self.entries.len() == LIMIT {
            self.entries.clear();
        }
        self.entries.insert(key, value)
    }

    #[call]
    fn get(&self, key: K) -> Option<V> {
        self.entries.get(&key).cloned()
    }

    #[call]
    fn split(&self) -> Vec<Cache<K, V, LIMIT>> {
        self.entries.iter().map(|(k, v)| Cache { entries: HashMap::from([(k.clone(), v.clone())]) }).collect()
    }

    #[call]
    fn copy(&self) -> Box<Self> {
        Box::new(Cache { entries: self.entries.clone() })
    }

    #[cast]
    fn merge(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    #[cast]
    fn clear(&mut self) {
        self.entries.clear();
    }

    #[info]
    fn replaced(&mut self, entries: HashMap<K, V>) {
        self.entries = entries;
    }
}

#[purlin::test]
async fn a_generic_server_has_generic_client_methods() -> Result<()> {
    let cache = Cache::<String, u8, 2>::start(()).await?;
    assert_eq!(cache.put("a".to_owned(), 1).await?, None);
    assert_eq!(cache.put("a".to_owned(), 2).await?, Some(1));
    cache.merge(*cache.copy().await?);
    assert_eq!(cache.get("a".to_owned()).await?, Some(2));
    assert_eq!(cache.split().await?.len(), 1);
    cache.clear();
    assert_eq!(cache.get("a".to_owned()).await?, None);
    cache.send(HashMap::from([("b".to_owned(), 3)]));
    assert_eq!(cache.get("b".to_owned()).await?, Some(3));
    Ok(())
}

/// Starts with several arguments, asynchronously, and may fail.
struct Careful(String);

#[gen_server]
impl Careful {
    async fn init(text: String, times: usize, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        process::yield_now().await;
        if times == 0 {
            return Err(InitError::Ignore);
        }
        let _: i64 = text.parse()?;
        assert_eq!(process::self_pid(), Some(cx.pid()));
        Ok(Careful(text.repeat(times)))
    }

    #[call]
    fn text(&self) -> String {
        self.0.clone()
    }

    #[cast]
    fn finish(&mut self, cx: &mut Cx<Self>) {
        cx.stop(ExitReason::Shutdown);
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Cx<Self>) {
        process::yield_now().await;
        if let Some(parent) = process::whereis("careful's watcher") {
            process::send(parent, format!("{reason} in {}", cx.pid() == process::self_pid().unwrap()));
        }
    }
}

#[purlin::test]
async fn init_may_take_several_arguments_wait_fail_and_ignore() -> Result<()> {
    assert_eq!(Careful::start(("7".to_owned(), 3)).await?.text().await?, "777");
    assert_eq!(Careful::start(("7".to_owned(), 0)).await.unwrap_err(), StartError::Ignore);
    let StartError::Failed(reason) = Careful::start(("x".to_owned(), 1)).await.unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(reason.to_string(), "invalid digit found in string");
    Ok(())
}

#[purlin::test]
async fn terminate_runs_with_the_reason() -> Result<()> {
    let careful = Careful::start(("7".to_owned(), 3)).await?;
    let (tell, told) = channel();
    process::spawn(async move |mut mailbox: Mailbox<String>| {
        process::register("careful's watcher", process::self_pid().unwrap()).unwrap();
        careful.finish();
        tell.send(mailbox.receive().await).unwrap();
    });
    assert_eq!(received(&told).await, "shutdown in true");
    Ok(())
}

/// `init` returns an error of another kind.
struct Crashing;

#[gen_server]
impl Crashing {
    fn init(code: u8) -> std::result::Result<Crashing, Crash> {
        Err(Crash::new(ExitReason::custom(code)))
    }

    fn terminate(&mut self) {}
}

struct Erring;

#[gen_server]
impl Erring {
    fn init(text: String) -> Result<Self, std::num::ParseIntError> {
        text.parse::<i64>().map(|_| Erring)
    }
}

#[purlin::test]
async fn init_may_return_a_crash_or_any_error() -> Result<()> {
    assert_eq!(Crashing::start(3).await.unwrap_err(), StartError::Failed(ExitReason::custom(3u8)));
    assert!(Erring::start("7".to_owned()).await.is_ok());
    assert!(matches!(Erring::start("x".to_owned()).await, Err(StartError::Failed(ExitReason::Error(_)))));
    Ok(())
}

mod inner {
    //! A server seen from outside its module, without the prelude.
    pub(crate) struct Order(pub(crate) u8);

    pub(crate) struct Shop {
        orders: Vec<Order>,
    }

    #[purlin::gen_server(client = Till)]
    impl Shop {
        fn init() -> Self {
            Shop { orders: Vec::new() }
        }

        // The message's type must not hide the argument's.
        #[purlin::call]
        pub(crate) fn order(&mut self, order: Order) -> usize {
            self.orders.push(order);
            self.orders.len()
        }

        #[call]
        pub(crate) fn last(&self) -> Option<u8> {
            self.orders.last().map(|order| order.0)
        }

        #[call]
        #[deprecated(note = "use `last`")]
        pub(crate) fn latest(&self) -> Option<u8> {
            self.last()
        }

        // Names that only seem taken.
        #[allow(
            clippy::new_ret_no_self,
            clippy::wrong_self_convention,
            reason = "any name is fine for a call"
        )]
        #[call]
        pub(crate) fn new(&self) -> bool {
            self.orders.is_empty()
        }

        #[call]
        pub(crate) fn __target_of(&self, cx: u8, message: u8, target: u8) -> u8 {
            cx + message + target
        }

        #[cast]
        pub(crate) fn r#type(&mut self, r#match: u8) {
            self.orders.push(Order(r#match));
        }

        #[cfg(any())]
        #[call]
        fn not_compiled(&self) -> NotThere {}

        #[cfg(any())]
        #[info]
        fn not_compiled_either(&mut self, _: NotThere) {}

        #[cfg(not(any()))]
        #[call]
        pub(crate) fn compiled(&self) -> u8 {
            1
        }
    }

    pub(crate) fn assert_named(_: &<Shop as purlin::__private::Client>::Client) {
        fn same<T: ?Sized>(_: std::marker::PhantomData<T>, _: std::marker::PhantomData<T>) {}
        same(
            std::marker::PhantomData::<dyn Till>,
            std::marker::PhantomData::<<Shop as purlin::__private::Client>::Client>,
        );
    }
}

#[purlin::test]
async fn client_methods_need_no_import_and_keep_names_visibility_and_cfg() -> Result<()> {
    let shop = inner::Shop::start(()).await?;
    assert!(shop.new().await?);
    assert_eq!(shop.order(inner::Order(1)).await?, 1);
    shop.r#type(2);
    assert_eq!(shop.last().await?, Some(2));
    #[expect(deprecated)]
    let latest = shop.latest();
    assert_eq!(latest.await?, Some(2));
    assert_eq!(shop.__target_of(1, 2, 3).await? + shop.compiled().await?, 7);
    inner::assert_named(&*shop);
    Ok(())
}

/// Two servers whose handlers wait for each other: their futures do not contain one another.
struct Ping(Option<Ref<Pong>>);
struct Pong(Option<Ref<Ping>>);

#[gen_server]
impl Ping {
    fn init() -> Self {
        Ping(None)
    }
    #[cast]
    fn meet(&mut self, other: Ref<Pong>) {
        self.0 = Some(other);
    }
    #[call]
    async fn play(&mut self, rounds: u32) -> Result<u32, Crash> {
        match &self.0 {
            Some(other) if rounds > 0 => Ok(other.play(rounds - 1).await?),
            _ => Ok(rounds),
        }
    }
}

#[gen_server]
impl Pong {
    fn init() -> Self {
        Pong(None)
    }
    #[cast]
    fn meet(&mut self, other: Ref<Ping>) {
        self.0 = Some(other);
    }
    #[call]
    async fn play(&mut self, rounds: u32) -> Result<u32, Crash> {
        match &self.0 {
            Some(other) if rounds > 0 => Ok(other.play(rounds - 1).await?),
            _ => Ok(rounds),
        }
    }
}

#[purlin::test]
async fn servers_may_call_each_other_in_async_handlers() -> Result<()> {
    let (ping, pong) = (Ping::start(()).await?, Pong::start(()).await?);
    ping.meet(pong.clone());
    assert_eq!(ping.play(1).await?, 0);
    pong.meet(ping.clone());
    let error = ping.play(2).await.unwrap_err();
    assert!(error.to_string().contains("deadlock"), "{error}");
    Ok(())
}

#[purlin::test]
async fn a_server_may_be_written_inside_a_function() -> Result<()> {
    struct Local;

    #[gen_server]
    impl Local {
        fn init() -> Self {
            Local
        }
        #[call]
        fn one(&self) -> i32 {
            1
        }
    }

    assert_eq!(Local::start(()).await?.one().await?, 1);
    Ok(())
}

mod elsewhere {
    //! The facade under another name, as a framework might re-export it.
    pub(crate) mod base {
        pub(crate) use purlin as beam;
    }
}

struct Rebased;

#[purlin::gen_server(crate = elsewhere::base::beam)]
impl Rebased {
    fn init() -> Self {
        Rebased
    }
    #[call]
    fn two(&self) -> i32 {
        2
    }
}

#[purlin::test]
async fn the_crate_may_be_found_under_another_path() -> Result<()> {
    assert_eq!(Rebased::start(()).await?.two().await?, 2);
    Ok(())
}

#[test]
fn futures_of_client_calls_can_be_sent_to_other_threads() {
    fn check<F: Future + Send>(_: impl FnOnce(Ref<Counter>, Name<Counter>) -> F) {}
    check(|counter, named| async move {
        let _ = counter.increment(1).await;
        let _ = named.increment(1).timeout(secs(1)).await;
        let _ = counter.get().await;
    });
}

struct ByHand;

impl GenServer for ByHand {
    type Args = ();
    async fn init((): (), _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(ByHand)
    }
}

impl HandleCall<u8> for ByHand {
    type Reply = u8;
    async fn handle_call(&mut self, number: u8, _: &mut Cx<Self>) -> u8 {
        number
    }
}

impl HandleCall<Tick> for Counter {
    type Reply = i64;
    async fn handle_call(&mut self, _: Tick, _: &mut Cx<Self>) -> i64 {
        self.value
    }
}

#[purlin::test]
async fn servers_by_hand_and_by_macro_are_called_alike_and_may_be_mixed() -> Result<()> {
    fn sent<S: GenServer, M: CallFor<S, K>, K>(_: &Ref<S>, _: &M) {}
    fn not_sent<S: GenServer, M: CastFor<S, K>, K>() {}
    let (hand, counter) = (ByHand::start(()).await?, Counter::start(9).await?);
    sent(&hand, &1u8);
    let _ = not_sent::<CastOnly, u8, _>;
    assert_eq!(hand.call(1u8).await?, 1);
    assert_eq!(counter.call(Tick).await?, 9);
    Ok(())
}

struct CastOnly;

impl GenServer for CastOnly {
    type Args = ();
    async fn init((): (), _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(CastOnly)
    }
}

impl HandleCast<u8> for CastOnly {
    async fn handle_cast(&mut self, _: u8, _: &mut Cx<Self>) {}
}

//! An application whose callbacks write into a log, and do what a test gives them.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use purlin_core::application::*;
use purlin_core::*;

use super::common::*;

type Doing = Pin<Box<dyn Future<Output = Result<(), Crash>> + Send>>;
type Hook = Arc<dyn Fn(String) -> Doing + Send + Sync>;

#[derive(Clone)]
pub struct Script {
    name: &'static str,
    log: Log<String>,
    start: Option<Hook>,
    phase: Option<Hook>,
    prep_stop: Option<Hook>,
    stop: Option<Hook>,
    change: Option<Hook>,
}

/// An application of this name with one worker, which writes into `log`.
pub fn script(name: &'static str, log: &Log<String>) -> Script {
    let log = log.clone();
    Script { name, log, start: None, phase: None, prep_stop: None, stop: None, change: None }
}

fn hook<F, Fut>(f: F) -> Option<Hook>
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Crash>> + Send + 'static,
{
    Some(Arc::new(move |text| Box::pin(f(text))))
}

macro_rules! hooks {
    ($($method:ident $field:ident)*) => {
        $(
            /// Does this after the log has a note of it.
            pub fn $method<F, Fut>(mut self, f: F) -> Script
            where
                F: Fn() -> Fut + Send + Sync + 'static,
                Fut: Future<Output = Result<(), Crash>> + Send + 'static,
            {
                self.$field = hook(move |_| f());
                self
            }
        )*
    };
}

impl Script {
    hooks! { on_start start on_prep_stop prep_stop on_stop stop on_change change }

    /// Does this in each phase.
    pub fn on_phase<F, Fut>(mut self, f: F) -> Script
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Crash>> + Send + 'static,
    {
        self.phase = hook(f);
        self
    }

    pub fn spec(self) -> ApplicationSpec {
        ApplicationSpec::new::<Scripted>(self.name, self)
    }

    fn note(&self, what: &str) {
        self.log.add(format!("{} {what}", self.name));
    }
}

async fn run(hook: Option<Hook>, text: &str) -> Result<(), Crash> {
    match hook {
        Some(hook) => hook(text.to_owned()).await,
        None => Ok(()),
    }
}

pub struct Scripted(Script);

/// A server that notes that it is down.
pub struct Worker(Script);

impl GenServer for Worker {
    type Args = Script;

    async fn init(script: Script, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Worker(script))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.note("worker down");
    }
}

impl Application for Scripted {
    type Args = Script;

    async fn start(_: StartType, script: Script) -> Result<(Pid, Self), Crash> {
        script.note("start");
        run(script.start.clone(), "").await?;
        let worker = Worker::child_spec(script.clone());
        let root = Supervisor::one_for_one().max_restarts(0, secs(1)).child(worker).start_link().await?;
        Ok((root.pid(), Scripted(script)))
    }

    async fn start_phase(phase: &str, _: StartType, script: &Script) -> Result<(), Crash> {
        script.note(&format!("phase {phase}"));
        run(script.phase.clone(), phase).await
    }

    async fn prep_stop(&mut self) {
        self.0.note("prep_stop");
        let _ = run(self.0.prep_stop.clone(), "").await;
    }

    async fn stop(self) {
        self.0.note("stop");
        let _ = run(self.0.stop.clone(), "").await;
    }

    async fn config_change(&mut self, change: &ConfigChange) -> Result<(), Crash> {
        let ConfigChange { changed, new, removed, .. } = change;
        self.0.note(&format!("change {changed:?} {new:?} {removed:?}"));
        run(self.0.change.clone(), "").await
    }
}

/// The names of the running applications, in the order of their start.
pub fn running() -> Vec<String> {
    application::which_applications().iter().rev().map(|app| app.name.to_string()).collect()
}

pub fn texts(names: &[Arc<str>]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

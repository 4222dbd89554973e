//! What a node knows of its applications: which are loaded, starting and running, and their environments.
//!
//! ```text
//!            load                begin                 started
//!   (nothing) ──► loaded ──────────────► starting ─────────────► running ──┐
//!            ◄── loaded ◄──────────────────┴── ended: of the master ◄──────┘
//!           unload
//! ```
//! Everything here is done under one lock, and awaits nothing. Whoever wants to start an application moves it to *starting* and makes its
//! master; all further steps are the master's, so that an application never hangs between two states because somebody stopped waiting.
//! The step back to *loaded* is taken at the very end of the master's process, whatever ended it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config::{ConfigChange, EnvConfig, EnvTables};
use super::env::{self, EnvTable, EnvValue};
use super::error::{LoadError, StartApplicationError};
use super::spec::{ApplicationInfo, ApplicationSpec};
use crate::Restart;
use crate::call::slot::{self, Replier, Waiter};
use crate::node::Node;
use crate::process::pid::Pid;
use crate::sync::Mutex;

/// How a start went.
pub(super) type Started = Result<(), StartApplicationError>;

#[derive(Default)]
pub(super) struct Controller {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    loaded: BTreeMap<Arc<str>, Loaded>,
    starting: Vec<Starting>,
    /// In the order of their start.
    running: Vec<Running>,
    env: EnvTables,
    persistent: EnvTables,
    config: EnvConfig,
    /// Names in the configuration that mean nothing, and of which that was said.
    reported: BTreeSet<String>,
}

struct Loaded {
    spec: ApplicationSpec,
    included_by: Option<Arc<str>>,
}

struct Starting {
    name: Arc<str>,
    /// Not yet known for a moment.
    master: Option<Pid>,
    restart: Restart,
    waiting: Vec<Replier<Started>>,
}

/// A running application.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) name: Arc<str>,
    pub(super) master: Pid,
    pub(super) top: Option<Pid>,
    pub(super) restart: Restart,
}

/// A start that was asked for.
pub(super) enum Begun {
    /// It is the asker's to make the master.
    Mine(Box<ApplicationSpec>, Waiter<Started>),
    /// Somebody else's start is under way, and tells how it went.
    Theirs(Waiter<Started>),
}

/// What is known of an application that has just ended.
pub(super) struct Gone {
    pub(super) restart: Restart,
    pub(super) started: bool,
    /// Who wait for a start that did not come about.
    pub(super) waiting: Vec<Replier<Started>>,
    pub(super) top: Option<Pid>,
}

impl Controller {
    pub(super) fn of(node: &Node) -> Arc<Controller> {
        node.attached()
    }

    pub(super) fn load(&self, spec: &ApplicationSpec) -> Result<(), LoadError> {
        spec.check()?;
        let all = spec.with_included();
        let mut state = self.state.lock();
        let mut seen = BTreeSet::new();
        for part in &all {
            if state.loaded.contains_key(&part.name) || !seen.insert(&part.name) {
                return Err(LoadError::AlreadyLoaded(part.name.to_string()));
            }
        }
        for part in &all {
            let included_by = all.iter().find(|other| other.included.iter().any(|one| one.name == part.name));
            let included_by = included_by.map(|other| other.name.clone());
            let env = state.config.environment(&part.name, &part.env, state.persistent.get(&*part.name));
            state.env.insert(part.name.to_string(), env);
            state.loaded.insert(part.name.clone(), Loaded { spec: (*part).clone(), included_by });
        }
        Ok(())
    }

    pub(super) fn unload(&self, name: &str) -> Result<(), LoadError> {
        let mut gone = Vec::new();
        let mut state = self.state.lock();
        let loaded = state.loaded.get(name).ok_or_else(|| LoadError::NotLoaded(name.to_owned()))?;
        if let Some(by) = &loaded.included_by {
            return Err(LoadError::Included { application: name.to_owned(), by: by.to_string() });
        }
        if state.is_running(name) || state.starting.iter().any(|starting| &*starting.name == name) {
            return Err(LoadError::Running(name.to_owned()));
        }
        let parts: Vec<Arc<str>> = loaded.spec.with_included().iter().map(|part| part.name.clone()).collect();
        for part in parts {
            state.env.remove(&*part);
            gone.extend(state.loaded.remove(&part));
        }
        // The specifications hold values of the program's, which are dropped outside the lock.
        drop(state);
        drop(gone);
        Ok(())
    }

    pub(super) fn spec(&self, name: &str) -> Option<ApplicationSpec> {
        self.state.lock().loaded.get(name).map(|loaded| loaded.spec.clone())
    }

    /// Moves an application to *starting*, if everything is there that it needs.
    pub(super) fn begin(&self, name: &Arc<str>, restart: Restart) -> Result<Begun, StartApplicationError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.is_running(name) {
            return Err(StartApplicationError::AlreadyStarted(name.to_string()));
        }
        if let Some(starting) = state.starting.iter_mut().find(|starting| starting.name == *name) {
            let (waiter, replier) = slot::pair();
            starting.waiting.push(replier);
            return Ok(Begun::Theirs(waiter));
        }
        let loaded = state.loaded.get(name).ok_or_else(|| LoadError::NotLoaded(name.to_string()))?;
        if let Some(by) = &loaded.included_by {
            let (application, by) = (name.to_string(), by.to_string());
            return Err(StartApplicationError::Included { application, by });
        }
        let missing = loaded.spec.applications.iter().find(|other| {
            let wanted = !other.optional || state.loaded.contains_key(&other.name);
            wanted && !state.is_running(&other.name)
        });
        if let Some(missing) = missing {
            let (application, dependency) = (name.to_string(), missing.name.to_string());
            return Err(StartApplicationError::NotStarted { application, dependency });
        }
        let spec = Box::new(loaded.spec.clone());
        let (waiter, replier) = slot::pair();
        state.starting.push(Starting { name: name.clone(), master: None, restart, waiting: vec![replier] });
        Ok(Begun::Mine(spec, waiter))
    }

    /// The master of a starting application is this process.
    pub(super) fn has_master(&self, name: &str, master: Pid) {
        let mut state = self.state.lock();
        if let Some(starting) = state.starting.iter_mut().find(|starting| &*starting.name == name) {
            starting.master = Some(master);
        }
    }

    /// Moves an application from *starting* to *running*. Those who wait are to be told.
    pub(super) fn started(
        &self,
        name: &str,
        master: Pid,
        top: Option<Pid>,
    ) -> Option<(Restart, Vec<Replier<Started>>)> {
        let mut state = self.state.lock();
        let at = state.starting.iter().position(|starting| starting.master == Some(master))?;
        let starting = state.starting.remove(at);
        let restart = starting.restart;
        state.running.push(Running { name: name.into(), master, top, restart });
        Some((restart, starting.waiting))
    }

    /// The master has ended: the application neither runs nor starts any more.
    pub(super) fn ended(&self, master: Pid) -> Option<Gone> {
        let mut state = self.state.lock();
        if let Some(at) = state.running.iter().position(|running| running.master == master) {
            let Running { restart, top, .. } = state.running.remove(at);
            return Some(Gone { restart, started: true, waiting: Vec::new(), top });
        }
        let at = state.starting.iter().position(|starting| starting.master == Some(master))?;
        let Starting { restart, waiting, .. } = state.starting.remove(at);
        Some(Gone { restart, started: false, waiting, top: None })
    }

    pub(super) fn running(&self, name: &str) -> Option<Running> {
        self.state.lock().running.iter().find(|running| &*running.name == name).cloned()
    }

    /// All that run, in the order of their start.
    pub(super) fn all_running(&self) -> Vec<Running> {
        self.state.lock().running.clone()
    }

    /// All that are loaded, by name.
    pub(super) fn all_loaded(&self) -> Vec<ApplicationInfo> {
        self.state.lock().loaded.values().map(|loaded| loaded.spec.info()).collect()
    }

    /// The application, running or starting, that has one of these as its master.
    pub(super) fn with_master_among(&self, pids: &[Pid]) -> Option<Arc<str>> {
        let state = self.state.lock();
        let running = state.running.iter().map(|running| (Some(running.master), &running.name));
        let all = running.chain(state.starting.iter().map(|starting| (starting.master, &starting.name)));
        let masters: Vec<(Pid, &Arc<str>)> = all.filter_map(|(pid, name)| Some((pid?, name))).collect();
        // The nearest: an application started by a process of another one is its own.
        let own = pids.iter().find_map(|pid| masters.iter().find(|(master, _)| master == pid));
        own.map(|(_, name)| (*name).clone())
    }

    pub(super) fn env(&self, name: &str, path: &str) -> Option<EnvValue> {
        env::lookup(self.state.lock().env.get(name)?, path).cloned()
    }

    pub(super) fn all_env(&self, name: &str) -> EnvTable {
        self.state.lock().env.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn put_env(&self, name: &str, path: &str, value: EnvValue, persistent: bool) {
        let mut state = self.state.lock();
        if persistent {
            env::insert(state.persistent.entry(name.to_owned()).or_default(), path, value.clone());
        }
        env::insert(state.env.entry(name.to_owned()).or_default(), path, value);
    }

    pub(super) fn delete_env(&self, name: &str, path: &str) -> Option<EnvValue> {
        let mut state = self.state.lock();
        if let Some(table) = state.persistent.get_mut(name) {
            env::remove(table, path);
        }
        env::remove(state.env.get_mut(name)?, path)
    }

    /// Takes a new configuration over, and makes the environments of all loaded applications anew. The running ones that it changes anything
    /// for, in the order of their start.
    pub(super) fn change_config(&self, config: EnvConfig) -> Vec<(Running, ConfigChange)> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.config = config;
        let mut changes = BTreeMap::new();
        for (name, loaded) in &state.loaded {
            let now = state.config.environment(name, &loaded.spec.env, state.persistent.get(&**name));
            let before = state.env.insert(name.to_string(), now.clone()).unwrap_or_default();
            if let Some(change) = ConfigChange::between(&before, &now) {
                changes.insert(name.clone(), change);
            }
        }
        let concerned =
            state.running.iter().filter_map(|own| Some((own.clone(), changes.remove(&own.name)?)));
        concerned.collect()
    }

    /// The applications that the configuration has values for and that are not loaded.
    pub(super) fn unknown(&self) -> Vec<String> {
        let state = self.state.lock();
        let unknown = state.config.applications().filter(|name| !state.loaded.contains_key(*name));
        unknown.map(str::to_owned).collect()
    }

    /// Those of which that was not said yet.
    pub(super) fn unknown_anew(&self) -> Vec<String> {
        let unknown = self.unknown();
        let mut state = self.state.lock();
        unknown.into_iter().filter(|name| state.reported.insert(name.clone())).collect()
    }
}

impl State {
    fn is_running(&self, name: &str) -> bool {
        self.running.iter().any(|running| &*running.name == name)
    }
}

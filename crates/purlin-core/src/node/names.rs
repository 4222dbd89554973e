//! Local names: one name, one process, both ways.

use std::hash::BuildHasherDefault;
use std::sync::{Arc, PoisonError, RwLock};

use crate::process::cell::{OWNS, Proc, ProcRef};
use crate::process::small_map::Mix;

type Map = std::collections::HashMap<Arc<str>, ProcRef, BuildHasherDefault<Mix>>;

#[derive(Default)]
pub(crate) struct Names(RwLock<Map>);

/// Why a name could not be given to a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another live process has the name.
    NameTaken(crate::Pid),
    /// The process has a name already.
    AlreadyNamed,
    /// There is no such process.
    NoProc,
    /// The name is empty.
    BadName,
}

impl std::fmt::Display for RegisterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RegisterError::NameTaken(pid) => write!(f, "the name is taken by {pid}"),
            RegisterError::AlreadyNamed => f.write_str("the process has a name already"),
            RegisterError::NoProc => f.write_str("no such process"),
            RegisterError::BadName => f.write_str("a name must not be empty"),
        }
    }
}

impl std::error::Error for RegisterError {}

impl Names {
    /// The live process of this name. An ending process is not found, even before its name is released.
    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<ProcRef> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        map.get(name).filter(|p| p.word.is_alive()).cloned()
    }

    pub(crate) fn register(&self, name: Arc<str>, proc: &Proc) -> Result<(), RegisterError> {
        if name.is_empty() {
            return Err(RegisterError::BadName);
        }
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = map.get(&name)
            && holder.word.is_alive()
        {
            return Err(RegisterError::NameTaken(holder.pid()));
        }
        if !proc.word.is_alive() {
            return Err(RegisterError::NoProc);
        }
        {
            let mut extra = proc.extra.lock();
            let extra = extra.get_or_insert_default();
            if extra.name.is_some() {
                return Err(RegisterError::AlreadyNamed);
            }
            extra.name = Some(name.clone());
        }
        proc.set_flag(OWNS, true);
        let replaced = map.insert(name.clone(), proc.to_ref());
        // It may have begun to end meanwhile, and be past releasing its name.
        let ended = if proc.word.is_alive() { None } else { map.remove(&name) };
        drop(map);
        drop(replaced);
        if ended.is_some() { Err(RegisterError::NoProc) } else { Ok(()) }
    }

    /// Takes the name away from whoever has it; `false` if nobody does.
    pub(crate) fn unregister(&self, name: &str) -> bool {
        let removed = self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        match removed {
            Some(proc) => {
                if let Some(extra) = proc.extra.lock().as_mut() {
                    extra.name = None;
                }
                true
            },
            None => false,
        }
    }

    /// Releases the name of a process that ends, unless it has gone to another one already.
    pub(crate) fn remove_if(&self, name: &str, proc: &Proc) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if map.get(name).is_some_and(|holder| std::ptr::eq(&**holder, proc)) {
            let removed = map.remove(name);
            drop(map);
            drop(removed);
        }
    }

    /// All names of live processes, sorted.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> =
            map.iter().filter(|(_, p)| p.word.is_alive()).map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }
}

//! Names made of a registry and a key.

use crate::ExitReason;
use crate::gen_server::refs::Resolve;
use crate::gen_server::{StartError, WrongRegistry};
use crate::process::cell::{Proc, ProcRef};
use crate::registry::error::RegistryError;
use crate::registry::handle::Registry;
use crate::registry::key::Key;

pub(crate) struct Via<K, V, F> {
    pub(crate) registry: Registry<K, V>,
    pub(crate) key: K,
    /// Makes the value that a server which starts under this name is registered with.
    pub(crate) value: F,
}

impl<K, V, F> Resolve for Via<K, V, F>
where
    K: Key,
    V: Clone + Send + Sync + 'static,
    F: Fn() -> V + Send + Sync,
{
    #[inline]
    fn resolve(&self) -> Option<ProcRef> {
        match self.registry.on(|tables| {
            if tables.is_unique() { Ok(tables.whereis(&self.key)) } else { Err(tables.not_unique()) }
        }) {
            Ok(proc) => proc,
            // Elixir raises too: nobody could say which of the processes is meant.
            Err(error @ RegistryError::NotUnique { .. }) => panic!("{error}"),
            Err(_) => None,
        }
    }

    fn bind(&self, proc: &Proc) -> Result<(), StartError> {
        let bound = self.registry.on(|tables| match tables.is_unique() {
            true => tables.register(proc, self.key.clone(), (self.value)()),
            false => Err(tables.not_unique()),
        });
        match bound {
            Ok(()) => {
                let _ = self.registry.on(|tables| {
                    tables.tell(&proc.node, proc.pid(), &self.key, None);
                    if !tables.listeners().is_empty() {
                        tables.listeners().registered(proc.pid(), &self.key, &(self.value)());
                    }
                    Ok(())
                });
                Ok(())
            },
            Err(error) => Err(self.start_error(proc, error)),
        }
    }

    fn describe(&self) -> String {
        let key = format!("{:?}", self.key);
        // A text goes without its own quotes: what shows the name puts some around the whole.
        let plain = key.strip_prefix('"').and_then(|k| k.strip_suffix('"')).unwrap_or(&key);
        format!("{}/{plain}", self.registry.name())
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static, F> Via<K, V, F> {
    /// Why a server cannot start under this name.
    #[cold]
    fn start_error(&self, proc: &Proc, error: RegistryError) -> StartError {
        match error {
            RegistryError::AlreadyRegistered(pid) => StartError::AlreadyStarted(pid),
            RegistryError::Unknown { name } => StartError::UnknownRegistry { name: name.into() },
            RegistryError::NotUnique { name } => StartError::DuplicateRegistry { name: name.into() },
            RegistryError::WrongType { name, expected, found } => {
                StartError::WrongRegistry(Box::new(WrongRegistry { name, expected, found }))
            },
            RegistryError::NoNode => StartError::NoNode,
            // The process is of another node than the registry, or it was killed before it had the name.
            RegistryError::NoProcess | RegistryError::NotRegistered if proc.word.is_alive() => {
                StartError::UnknownRegistry { name: self.registry.name().into() }
            },
            RegistryError::NoProcess | RegistryError::NotRegistered => StartError::Failed(ExitReason::Killed),
        }
    }
}

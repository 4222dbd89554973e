//! Administration of a static supervisor's children: what each request answers and changes.
//!
//! Like decisions, an answer has already updated the state; the run loop carries out the stop or start it names. Nothing
//! here counts as a restart.

use super::super::admin::{ChildCounts, ChildInfo, ChildNotFound, ChildRefused, StartRefused};
use super::super::flags::Flags;
use super::super::spec::{ChildId, Restart, SpecFields, check_childspecs};
use super::{Child, ChildKey, Children, ConfigError, Status, Stop};
use crate::Pid;

impl<T> Children<T> {
    /// `start_child`: accepts a new child as the last in start order.
    ///
    /// Run its start function, then call [`started`](Self::started); if it fails, call
    /// [`start_child_failed`](Self::start_child_failed): nothing is kept and nothing retried.
    ///
    /// # Errors
    /// `Spec` for an invalid specification, `AlreadyStarted` if the id is that of a running child, `AlreadyPresent` if it is
    /// that of one without a process, also while that is being restarted.
    pub(crate) fn start_child(&mut self, fields: SpecFields, start: T) -> Result<ChildKey, StartRefused> {
        fields.check(Some(self.auto_shutdown))?;
        if let Some((_, child)) = self.find(&fields.id) {
            let id = fields.id;
            return Err(match child.status {
                Status::Running(pid) => StartRefused::AlreadyStarted { id, pid },
                Status::Restarting(_) | Status::Stopped => StartRefused::AlreadyPresent { id },
            });
        }
        Ok(self.append(Child::stopped(fields, Some(start))))
    }

    /// The start function of a child accepted by [`start_child`](Self::start_child) failed: forgets it and gives back what
    /// was given. `None` if it is gone already.
    pub(crate) fn start_child_failed(&mut self, key: ChildKey) -> Option<(SpecFields, Option<T>)> {
        self.remove(key).map(|child| (child.fields, child.start))
    }

    /// `terminate_child`: answers the process to stop, `None` if there was none. The specification is kept, unless the child
    /// is temporary; a pending retry is off. Automatic shutdown does not look at it.
    ///
    /// # Errors
    /// No child has this id.
    pub(crate) fn terminate_child(&mut self, id: &ChildId) -> Result<Option<Stop>, ChildNotFound> {
        match self.by_id.get(id) {
            Some(&key) => Ok(self.drop_process(key)),
            None => Err(ChildNotFound { id: id.clone() }),
        }
    }

    /// `restart_child`: answers the child to start. Run its start function, then call [`started`](Self::started); if it fails
    /// there is nothing to call: the child stays as it is and nothing is retried.
    ///
    /// # Errors
    /// The child runs, is being restarted, or does not exist.
    pub(crate) fn restart_child(&mut self, id: &ChildId) -> Result<ChildKey, ChildRefused> {
        self.find_stopped(id)
    }

    /// `delete_child`: forgets a child without a process and answers its specification.
    ///
    /// # Errors
    /// The child runs, is being restarted, or does not exist.
    pub(crate) fn delete_child(&mut self, id: &ChildId) -> Result<SpecFields, ChildRefused> {
        let key = self.find_stopped(id)?;
        match self.remove(key) {
            Some(child) => Ok(child.fields),
            None => Err(ChildRefused::NotFound { id: id.clone() }),
        }
    }

    /// `get_childspec`.
    ///
    /// # Errors
    /// No child has this id.
    pub(crate) fn get_childspec(&self, id: &ChildId) -> Result<&SpecFields, ChildNotFound> {
        self.find(id).map(|(_, child)| &child.fields).ok_or_else(|| ChildNotFound { id: id.clone() })
    }

    /// `which_children`, the child started last first, as in OTP. For start order see [`iter`](Self::iter).
    pub(crate) fn which_children(&self) -> Vec<ChildInfo> {
        self.list.values().rev().map(Child::info).collect()
    }

    /// `count_children`. OTP asks of each process whether it is alive, since one may have ended and its exit not been read
    /// yet; `is_alive` does that.
    pub(crate) fn count_children(&self, is_alive: impl Fn(Pid) -> bool) -> ChildCounts {
        let mut counts = ChildCounts::default();
        for child in self.list.values() {
            let active = matches!(child.status, Status::Running(pid) if is_alive(pid));
            counts.add(child.fields.child_type, active);
        }
        counts
    }

    /// New flags and specifications for a running supervisor (OTP's `code_change`).
    ///
    /// A child whose id is in the new list takes its new specification and keeps its process. New ones are added and *not*
    /// started (`restart_child` does). Children that the list does not name are kept, after all the others. The start order
    /// is the list's. Restarts counted so far still count. Keys change.
    ///
    /// # Errors
    /// The first thing wrong with the flags or the specifications; nothing has changed then.
    pub(crate) fn update(&mut self, flags: &Flags, specs: Vec<(SpecFields, T)>) -> Result<(), ConfigError> {
        let intensity = flags.intensity().map_err(ConfigError::Flags)?;
        check_childspecs(specs.iter().map(|(fields, _)| fields), flags.auto_shutdown)
            .map_err(ConfigError::Spec)?;
        self.strategy = flags.strategy;
        self.auto_shutdown = flags.auto_shutdown;
        self.intensity.adopt_limits(&intensity);
        let mut old = std::mem::take(&mut self.list);
        let old_ids = std::mem::take(&mut self.by_id);
        self.by_pid.clear();
        for (fields, start) in specs {
            let child = match old_ids.get(&fields.id).and_then(|key| old.remove(key)) {
                Some(kept) => {
                    let for_good = fields.restart == Restart::Temporary && kept.status != Status::Stopped;
                    Child { fields, start: (!for_good).then_some(start), ..kept }
                },
                None => Child::stopped(fields, Some(start)),
            };
            self.append(child);
        }
        for child in old.into_values() {
            self.append(child);
        }
        Ok(())
    }

    fn find(&self, id: &ChildId) -> Option<(ChildKey, &Child<T>)> {
        let key = *self.by_id.get(id)?;
        self.list.get(&key).map(|child| (key, child))
    }

    fn find_stopped(&self, id: &ChildId) -> Result<ChildKey, ChildRefused> {
        let id = id.clone();
        match self.find(&id).map(|(key, child)| (key, child.status)) {
            Some((key, Status::Stopped)) => Ok(key),
            Some((_, Status::Running(pid))) => Err(ChildRefused::Running { id, pid }),
            Some((_, Status::Restarting(_))) => Err(ChildRefused::Restarting { id }),
            None => Err(ChildRefused::NotFound { id }),
        }
    }
}

impl<T> Child<T> {
    fn info(&self) -> ChildInfo {
        ChildInfo {
            id: Some(self.fields.id.clone()),
            status: self.status.into(),
            child_type: self.fields.child_type,
            restart: self.fields.restart,
            module: self.fields.module,
        }
    }
}

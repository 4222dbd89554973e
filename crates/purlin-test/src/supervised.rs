//! Processes that a test starts and that are stopped for it: a supervisor for each test.
//!
//! ```
//! # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
//! use purlin::prelude::*;
//! # struct Counter(i64);
//! # #[gen_server]
//! # impl Counter {
//! #     fn init(start: i64) -> Self { Counter(start) }
//! #     #[call] fn increment(&mut self, by: i64) -> i64 { assert!(by > 0, "only up"); self.0 += by; self.0 }
//! # }
//! let counter = t.start_supervised(Counter::child_spec(1).name("visits")).await?;      // a Ref<Counter>
//! assert_eq!(counter.increment(2).await?, 3);
//!
//! let restarts = t.telemetry(&[telemetry::events::SUPERVISOR_CHILD_RESTART]);
//! assert!(counter.increment(-1).await.is_err());                      // it crashes,
//! restarts.next().await;                                              // and is started again
//! assert_eq!(Counter::named("visits").increment(1).await?, 2);
//! t.stop_supervised("visits").await?;                                 // down, and forgotten
//! # purlin::Result::<()>::Ok(())
//! # });
//! ```
//!
//! # What can be started
//! | given | answered |
//! |---|---|
//! | `Counter::child_spec(..)`, any [`Child<S>`] | `Ref<S>` |
//! | [`SupervisorSpec`], a module's `Shop::child_spec(..)` | [`SupervisorRef`] |
//! | [`DynamicSupervisorSpec`] | [`DynamicSupervisorRef`](purlin_core::DynamicSupervisorRef) |
//! | [`RegistryBuilder`] | [`Registry`] |
//! | [`ChildSpec`]: free-form processes, start functions of one's own | [`Pid`] |
//!
//! # As in ExUnit
//! The test's supervisor restarts a child as its specification says, up to a million times a second; so a crash does not fail the test, unless
//! the child was started with [`start_link_supervised`](Test::start_link_supervised). When the body is over, however it ended, the
//! children are stopped in the reverse order of their start, before the [`on_exit`](Test::on_exit) callbacks run.
//!
//! # Differences from ExUnit
//! Any process of the test may start children, not only the test's own. A handle means the first process of a child; after a restart
//! the child is found by its name. A child that chooses not to start is an error. Start order is that of the requests: children that
//! several processes start at the same time are stopped in the reverse of the order in which the supervisor got to them.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;

use purlin_core::registry::{Key, RegistryBuilder};
use purlin_core::supervisor::{
    ChildId, DynamicSupervisorSpec, Extra, SpecError, StartRefused, SupervisorRef, SupervisorSpec,
};
use purlin_core::{
    Child, ChildSpec, DynamicSupervisor, ExitReason, GenServer, Node, Pid, Ref, Registry, RegistryServer,
    StartChildError, StartError, StopError, Supervisor, process, secs,
};

use crate::test::Test;
use crate::waiting::LONGEST_END;

/// The supervisor of one test, and what is known of its children.
#[derive(Default)]
pub(crate) struct Supervised {
    state: State,
    /// The children in start order, with the pids they were started as.
    children: Vec<(ChildId, Pid)>,
}

#[derive(Default)]
enum State {
    /// Nobody has wanted it yet.
    #[default]
    None,
    Running(SupervisorRef),
    /// The test is over.
    Over,
}

/// What [`Test::start_supervised`] takes; implemented for every kind of child specification.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that a test can start",
    label = "not a child specification",
    note = "a server is started by its specification: `t.start_supervised(Counter::child_spec(args))`",
    note = "a free-form process by `ChildSpec::process(\"id\", body)`"
)]
pub trait StartSupervised: Send {
    /// What the start answers.
    type Handle: Send;
    #[doc(hidden)]
    fn __id(&self) -> ChildId;
    #[doc(hidden)]
    fn __start(
        self,
        supervisor: &SupervisorRef,
    ) -> impl Future<Output = Result<Option<(Pid, Self::Handle)>, StartChildError>> + Send;
}

impl<S: GenServer> StartSupervised for Child<S> {
    type Handle = Ref<S>;
    fn __id(&self) -> ChildId {
        self.fields().id
    }
    async fn __start(self, supervisor: &SupervisorRef) -> Result<Option<(Pid, Ref<S>)>, StartChildError> {
        Ok(supervisor.start_child_ref(self).await?.map(|server| (server.pid(), server)))
    }
}

impl StartSupervised for ChildSpec {
    type Handle = Pid;
    fn __id(&self) -> ChildId {
        self.fields().id.clone()
    }
    async fn __start(self, supervisor: &SupervisorRef) -> Result<Option<(Pid, Pid)>, StartChildError> {
        Ok(supervisor.start_child(self).await?.map(|pid| (pid, pid)))
    }
}

impl StartSupervised for &ChildSpec {
    type Handle = Pid;
    fn __id(&self) -> ChildId {
        self.fields().id.clone()
    }
    async fn __start(self, supervisor: &SupervisorRef) -> Result<Option<(Pid, Pid)>, StartChildError> {
        self.clone().__start(supervisor).await
    }
}

/// Something that makes a typed child, and answers its handle.
macro_rules! described {
    ($([$($generics:tt)*] $spec:ty => $server:ty),+ $(,)?) => {
        $(impl<$($generics)*> StartSupervised for $spec {
            type Handle = Ref<$server>;
            fn __id(&self) -> ChildId {
                self.clone().child_spec().fields().id
            }
            async fn __start(
                self,
                supervisor: &SupervisorRef,
            ) -> Result<Option<(Pid, Self::Handle)>, StartChildError> {
                self.child_spec().__start(supervisor).await
            }
        })+
    };
}

described! {
    [] SupervisorSpec => Supervisor,
    [X: Extra] DynamicSupervisorSpec<X> => DynamicSupervisor<X>,
}

impl<K: Key, V: Clone + Send + Sync + 'static> StartSupervised for RegistryBuilder<K, V> {
    type Handle = Registry<K, V>;
    fn __id(&self) -> ChildId {
        self.name().into()
    }
    async fn __start(
        self,
        supervisor: &SupervisorRef,
    ) -> Result<Option<(Pid, Registry<K, V>)>, StartChildError> {
        let registry = self.handle();
        let child: Child<RegistryServer<K, V>> = self.child_spec();
        Ok(child.__start(supervisor).await?.map(|(pid, _)| (pid, registry)))
    }
}

/// Why a test's child is not there. It shows itself in words, also with `{:?}`, which is what a failing test prints.
#[derive(Clone)]
#[non_exhaustive]
pub enum StartSupervisedError {
    /// Its start failed; nothing is kept of it.
    Failed {
        /// The child.
        id: ChildId,
        /// Why.
        error: StartError,
    },
    /// It chose not to start (`InitError::Ignore`); nothing is kept of it.
    Ignored {
        /// The child.
        id: ChildId,
    },
    /// The test has a child with this id.
    DuplicateId {
        /// The id.
        id: ChildId,
        /// Its process; `None` for a child that does not run now.
        pid: Option<Pid>,
    },
    /// The specification is invalid.
    Invalid(SpecError),
    /// It was to be linked, and had ended before it was.
    Ended {
        /// The child.
        id: ChildId,
        /// The process it was.
        pid: Pid,
    },
    /// It was to be linked with the calling process, but no process called. The child runs.
    NotInProcess {
        /// The child.
        id: ChildId,
    },
    /// The test's supervisor has given up: some child was restarted more than a million times within a second.
    GaveUp {
        /// The child that was to be started.
        id: ChildId,
    },
    /// The test's body is over.
    TestOver {
        /// The child that was to be started.
        id: ChildId,
    },
}

impl fmt::Display for StartSupervisedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use StartSupervisedError::*;
        match self {
            Failed { id, error } => write!(f, "child `{id}` did not start: {error}"),
            Ignored { id } => write!(f, "child `{id}` chose not to start"),
            DuplicateId { id, pid } => {
                write!(f, "this test has a child `{id}` already, ")?;
                match pid {
                    Some(pid) => write!(f, "running as {pid}; ")?,
                    None => write!(f, "which does not run now; ")?,
                }
                write!(
                    f,
                    "give the new one another id with `.id(..)`, or stop the old one first with `t.stop_supervised(..)`"
                )
            },
            Invalid(error) => error.fmt(f),
            Ended { id, pid } => {
                write!(f, "child `{id}` ({pid}) had ended before it was linked with its starter")
            },
            NotInProcess { id } => write!(
                f,
                "child `{id}` was to be linked with the process that starts it, but no process did; \
                 use `t.start_supervised(..)` here"
            ),
            GaveUp { id } => write!(
                f,
                "child `{id}` was not started: the test's supervisor has given up, because another child was restarted \
                 more than a million times within a second"
            ),
            TestOver { id } => write!(f, "child `{id}` was not started: the test is over"),
        }
    }
}

impl fmt::Debug for StartSupervisedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for StartSupervisedError {}

/// [`Test::stop_supervised`] found no such child.
#[derive(Clone, PartialEq, Eq)]
pub struct NotSupervised {
    /// What was asked for.
    pub child: SupervisedChild,
    /// The children that there are.
    pub children: Vec<ChildId>,
}

impl fmt::Display for NotSupervised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no child of this test: ", self.child)?;
        if self.children.is_empty() {
            return f.write_str("it has none (a temporary child is forgotten when it ends)");
        }
        let children: Vec<_> = self.children.iter().map(|id| format!("`{id}`")).collect();
        write!(f, "it has {} (a temporary child is forgotten when it ends)", children.join(", "))
    }
}

impl fmt::Debug for NotSupervised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for NotSupervised {}

/// Which child [`Test::stop_supervised`] means: made from an id (text), or from a pid or a handle, that of its first process or of the present one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SupervisedChild {
    /// By its id.
    Id(ChildId),
    /// By a process that it was started as, or is now.
    Pid(Pid),
}

impl fmt::Display for SupervisedChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SupervisedChild::Id(id) => write!(f, "`{id}`"),
            SupervisedChild::Pid(pid) => pid.fmt(f),
        }
    }
}

impl From<&str> for SupervisedChild {
    fn from(id: &str) -> Self {
        SupervisedChild::Id(id.into())
    }
}

impl From<String> for SupervisedChild {
    fn from(id: String) -> Self {
        SupervisedChild::Id(id.into())
    }
}

impl From<ChildId> for SupervisedChild {
    fn from(id: ChildId) -> Self {
        SupervisedChild::Id(id)
    }
}

impl From<Pid> for SupervisedChild {
    fn from(pid: Pid) -> Self {
        SupervisedChild::Pid(pid)
    }
}

impl<S: GenServer> From<&Ref<S>> for SupervisedChild {
    fn from(server: &Ref<S>) -> Self {
        SupervisedChild::Pid(server.pid())
    }
}

impl Test {
    /// Starts a child under the test's supervisor; see the [table](crate::supervised#what-can-be-started) of what can be started.
    ///
    /// # Errors
    /// See [`StartSupervisedError`]; a test passes it on with `?`, or calls `unwrap()`.
    pub async fn start_supervised<C: StartSupervised>(
        &self,
        child: C,
    ) -> Result<C::Handle, StartSupervisedError> {
        self.on_node(self.start_child(child)).await.map(|(_, handle)| handle)
    }

    /// [`start_supervised`](Self::start_supervised), and links the child with the calling process, usually the test: if it crashes, so does
    /// the test.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, mut mailbox: purlin::Mailbox<purlin::Exit>| {
    /// use purlin::prelude::*;
    /// use purlin_test::assert_receive;
    /// # struct Counter(i64);
    /// # #[gen_server]
    /// # impl Counter { fn init(start: i64) -> Self { Counter(start) } }
    /// mailbox.trap_exits(true);                                       // without this, the test would end here:
    /// let counter = t.start_link_supervised(Counter::child_spec(0)).await?;
    /// process::exit(counter.pid(), ExitReason::error("no disk"));
    /// assert_receive!(mailbox, Exit { reason, .. } if reason == ExitReason::error("no disk"));
    /// # purlin::Result::<()>::Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// As for [`start_supervised`](Self::start_supervised); also if the child has ended before it is linked, or the caller is no process.
    pub async fn start_link_supervised<C: StartSupervised>(
        &self,
        child: C,
    ) -> Result<C::Handle, StartSupervisedError> {
        let id = child.__id();
        let (pid, handle) = self.on_node(self.start_child(child)).await?;
        match process::link(pid) {
            Ok(()) => Ok(handle),
            Err(_) if process::self_pid().is_none() => Err(StartSupervisedError::NotInProcess { id }),
            Err(_) => Err(StartSupervisedError::Ended { id, pid }),
        }
    }

    /// Stops a child as its specification says, waits until it is down, and forgets it. A link with the calling process is taken away first.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// use purlin::prelude::*;
    /// # struct Counter(i64);
    /// # #[gen_server]
    /// # impl Counter { fn init(start: i64) -> Self { Counter(start) } }
    /// let counter = t.start_supervised(Counter::child_spec(0)).await?;
    /// t.stop_supervised(&counter).await?;
    /// assert!(!counter.is_alive());
    /// let error = t.stop_supervised("Counter").await.unwrap_err();    // its id, gone with it
    /// assert!(error.to_string().starts_with("`Counter` is no child of this test"));
    /// # purlin::Result::<()>::Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// There is no such child.
    pub async fn stop_supervised(&self, child: impl Into<SupervisedChild>) -> Result<(), NotSupervised> {
        let child = child.into();
        self.on_node(self.stop_child(child)).await
    }

    /// Runs on the test's node: usually that is the current one, and then as the process that calls.
    async fn on_node<F: Future>(&self, future: F) -> F::Output {
        let here = Node::try_current().is_some_and(|node| node.creation() == self.node().creation());
        if here { future.await } else { self.node().scope(future).await }
    }

    async fn start_child<C: StartSupervised>(
        &self,
        child: C,
    ) -> Result<(Pid, C::Handle), StartSupervisedError> {
        let id = child.__id();
        let supervisor = self.supervisor(&id).await?;
        let refused = |refused| match refused {
            StartRefused::AlreadyStarted { id, pid } => {
                StartSupervisedError::DuplicateId { id, pid: Some(pid) }
            },
            StartRefused::AlreadyPresent { id } => StartSupervisedError::DuplicateId { id, pid: None },
            StartRefused::Spec(error) => StartSupervisedError::Invalid(error),
            other => StartSupervisedError::Failed {
                id: id.clone(),
                error: StartError::Failed(ExitReason::error(other.to_string())),
            },
        };
        match child.__start(&supervisor).await {
            Ok(Some((pid, handle))) => {
                self.supervised().children.push((id, pid));
                Ok((pid, handle))
            },
            Ok(None) => {
                // A static supervisor keeps the specification of such a child.
                let _ = supervisor.terminate_child(id.clone()).await;
                let _ = supervisor.delete_child(id.clone()).await;
                Err(StartSupervisedError::Ignored { id })
            },
            Err(StartChildError::Refused(reason)) => Err(refused(reason)),
            Err(StartChildError::Failed(error)) => Err(StartSupervisedError::Failed { id, error }),
            Err(_) if matches!(self.supervised().state, State::Over) => {
                Err(StartSupervisedError::TestOver { id })
            },
            Err(_) => Err(StartSupervisedError::GaveUp { id }),
        }
    }

    /// The test's supervisor, started when it is first wanted, by nobody: whoever asks first may end before the others.
    async fn supervisor(&self, wanted_for: &ChildId) -> Result<SupervisorRef, StartSupervisedError> {
        match &self.supervised().state {
            State::Running(supervisor) => return Ok(supervisor.clone()),
            State::Over => return Err(StartSupervisedError::TestOver { id: wanted_for.clone() }),
            State::None => {},
        }
        let start = async { Supervisor::one_for_one().max_restarts(1_000_000, secs(1)).start().await };
        let started = self.node().scope(start).await;
        let started =
            started.map_err(|error| StartSupervisedError::Failed { id: wanted_for.clone(), error })?;
        self.spare(started.pid());
        let used = {
            let mut supervised = self.supervised();
            match &supervised.state {
                State::None => {
                    supervised.state = State::Running(started.clone());
                    Ok(started.clone())
                },
                State::Running(first) => Ok(first.clone()),
                State::Over => Err(StartSupervisedError::TestOver { id: wanted_for.clone() }),
            }
        };
        if used.as_ref().ok() != Some(&started) {
            // Another process was faster.
            let _ = started.stop().await;
        }
        used
    }

    async fn stop_child(&self, child: SupervisedChild) -> Result<(), NotSupervised> {
        let unknown = |children| NotSupervised { child: child.clone(), children };
        let supervisor = match &self.supervised().state {
            State::Running(supervisor) => supervisor.clone(),
            State::None | State::Over => return Err(unknown(Vec::new())),
        };
        let now: BTreeMap<ChildId, Option<Pid>> = supervisor
            .which_children()
            .await
            .map_err(|_| unknown(Vec::new()))?
            .into_iter()
            .filter_map(|info| Some((info.id?, info.status.pid())))
            .collect();
        let id = match &child {
            SupervisedChild::Id(id) => Some(id.clone()),
            SupervisedChild::Pid(pid) => {
                let by_now = now.iter().find(|(_, now)| **now == Some(*pid)).map(|(id, _)| id.clone());
                by_now.or_else(|| {
                    let supervised = self.supervised();
                    supervised.children.iter().rev().find(|(_, first)| first == pid).map(|(id, _)| id.clone())
                })
            },
        };
        let Some(id) = id.filter(|id| now.contains_key(id)) else {
            return Err(unknown(now.into_keys().collect()));
        };
        if let Some(pid) = now[&id] {
            // The exit that is coming concerns the child alone.
            process::unlink(pid);
        }
        supervisor.terminate_child(id.clone()).await.map_err(|_| unknown(Vec::new()))?;
        // A temporary child is gone already.
        let _ = supervisor.delete_child(id.clone()).await;
        self.supervised().children.retain(|(one, _)| *one != id);
        Ok(())
    }

    /// Stops all children, in the reverse order of their start, and the supervisor; what went wrong, in words.
    pub(crate) async fn stop_all_supervised(&self) -> Option<String> {
        let state = std::mem::replace(&mut self.supervised().state, State::Over);
        let State::Running(supervisor) = state else { return None };
        match supervisor.stop_with(ExitReason::Shutdown, LONGEST_END).await {
            Ok(()) => None,
            Err(StopError::Timeout) => {
                let children = std::mem::take(&mut self.supervised().children);
                process::exit(supervisor.pid(), ExitReason::Kill);
                process::wait(supervisor.pid()).await;
                let left: Vec<_> = children
                    .into_iter()
                    .filter(|(_, pid)| process::is_alive(*pid))
                    .map(|(id, pid)| format!("`{id}` ({pid})"))
                    .collect();
                Some(format!(
                    "the children of the test did not stop within {LONGEST_END:?}; still running: {}",
                    left.join(", ")
                ))
            },
            Err(error) => Some(format!(
                "the supervisor of the test's children had ended before the test did ({error}): a child was restarted more than \
                 a million times within a second, or something stopped it"
            )),
        }
    }
}

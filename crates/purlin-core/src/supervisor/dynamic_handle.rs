//! Handles of dynamic supervisors: by incarnation ([`DynamicSupervisorRef`]) and by name.

use std::any::TypeId;
use std::future::Future;

use super::admin::{ChildCounts, ChildInfo};
use super::child::{Child, ChildSpec};
use super::dynamic::{
    CountChildren, DynamicSupervisor, Extra, StartRequest, StartWithRequest, TerminateRequest, Update,
    WhichChildren,
};
use super::error::{StartChildError, TerminateChildError, UpdateError};
use super::flags::DynamicFlags;
use super::strategy::ConfigError;
use crate::process::cell::ProcRef;
use crate::{CallError, GenServer, Name, Pid, Ref};

/// A running dynamic supervisor. `Name<DynamicSupervisor>` has the same methods and finds the supervisor anew at each use.
///
/// Requests wait for as long as they take: a supervisor that is starting or stopping a child answers when it has done so. `stop()`
/// returns when all children are down.
pub type DynamicSupervisorRef<X = ()> = Ref<DynamicSupervisor<X>>;

/// The handle of a child that a supervisor has started from a `Child<S>`.
pub(super) fn typed<S: GenServer>(proc: ProcRef) -> Ref<S> {
    debug_assert_eq!((proc.table.type_id)(), TypeId::of::<S>(), "a Child<S> starts a server S");
    Ref::from_proc(proc)
}

fn request(child: impl Into<ChildSpec>) -> StartRequest {
    let (fields, start) = child.into().into_parts();
    StartRequest { fields, start }
}

macro_rules! administration {
    ($handle:ident) => {
        impl<X: Extra> $handle<DynamicSupervisor<X>> {
            /// Starts a child.
            ///
            /// # Errors
            /// The specification is invalid, the supervisor has its `max_children`, or the child did not start (`StartError::Ignore` if it
            /// chose not to); nothing is kept in any of these cases.
            #[track_caller]
            pub fn start_child<S: GenServer>(
                &self,
                child: Child<S>,
            ) -> impl Future<Output = Result<Ref<S>, StartChildError>> + Send + '_ {
                let call = self.call(request(child)).infinity();
                async move { Ok(typed(call.await??)) }
            }

            /// [`start_child`](Self::start_child) for a child made from the supervisor's extra arguments. `make` runs inside the
            /// supervisor, once; a panic in it is a failed start.
            ///
            /// # Errors
            /// As for [`start_child`](Self::start_child).
            #[track_caller]
            pub fn start_child_with<S: GenServer>(
                &self,
                make: impl FnOnce(&X) -> Child<S> + Send + 'static,
            ) -> impl Future<Output = Result<Ref<S>, StartChildError>> + Send + '_ {
                let make = Box::new(move |extra: &X| request(make(extra)));
                let call = self.call(StartWithRequest(make)).infinity();
                async move { Ok(typed(call.await??)) }
            }

            /// [`start_child`](Self::start_child) for a child of any kind, for example a free-form process.
            ///
            /// ```
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// # let node = purlin_core::Node::builder().start();
            /// # node.scope(async {
            /// use purlin_core::supervisor::DynamicFlags;
            /// use purlin_core::{ChildSpec, DynamicSupervisor, Mailbox};
            /// let jobs = DynamicSupervisor::new().start_link().await?;
            /// let job = ChildSpec::process("job", async |mut mailbox: Mailbox<()>| mailbox.receive().await);
            /// let pid = jobs.start_child_spec(&job).await?;
            /// assert_eq!(jobs.which_children().await?[0].status.pid(), Some(pid));
            /// jobs.update(DynamicFlags { max_children: Some(1), ..DynamicFlags::default() }).await?;
            /// assert!(jobs.start_child_spec(&job).await.is_err());
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # }).await.unwrap();
            /// # node.shutdown().await;
            /// # });
            /// ```
            ///
            /// # Errors
            /// As for [`start_child`](Self::start_child).
            #[track_caller]
            pub fn start_child_spec(
                &self,
                child: impl Into<ChildSpec>,
            ) -> impl Future<Output = Result<Pid, StartChildError>> + Send + '_ {
                let call = self.call(request(child)).infinity();
                async move { Ok(call.await??.pid()) }
            }

            /// Stops a child as its specification says, and waits until it is down. It is forgotten. A child that is being restarted is
            /// known by its last pid; its restart is called off.
            ///
            /// # Errors
            /// The process is none of its children.
            #[track_caller]
            pub fn terminate_child(
                &self,
                pid: Pid,
            ) -> impl Future<Output = Result<(), TerminateChildError>> + Send + '_ {
                let call = self.call(TerminateRequest(pid)).infinity();
                async move { Ok(call.await??) }
            }

            /// All children, without ids, by pid.
            ///
            /// # Errors
            /// The supervisor did not answer.
            #[track_caller]
            pub fn which_children(
                &self,
            ) -> impl Future<Output = Result<Vec<ChildInfo>, CallError>> + Send + '_ {
                self.call(WhichChildren).infinity()
            }

            /// How many children there are, by kind and state. Takes time in the number of children.
            ///
            /// # Errors
            /// The supervisor did not answer.
            #[track_caller]
            pub fn count_children(&self) -> impl Future<Output = Result<ChildCounts, CallError>> + Send + '_ {
                self.call(CountChildren).infinity()
            }

            /// Replaces the flags of the running supervisor. Children stay, also those beyond a lower limit; restarts counted so far
            /// still count.
            ///
            /// # Errors
            /// The flags are invalid; nothing has changed.
            #[track_caller]
            pub fn update(
                &self,
                flags: DynamicFlags,
            ) -> impl Future<Output = Result<(), UpdateError>> + Send + '_ {
                let call = self.call(Update(flags)).infinity();
                async move { call.await?.map_err(|error| UpdateError::Config(ConfigError::Flags(error))) }
            }
        }
    };
}

administration!(Ref);
administration!(Name);

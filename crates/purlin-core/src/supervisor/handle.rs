//! Handles of static supervisors: administration of children, by incarnation ([`SupervisorRef`]) and by name.

use std::future::Future;

use super::admin::{ChildCounts, ChildInfo};
use super::builder::SupervisorSpec;
use super::child::{Child, ChildSpec};
use super::dynamic_handle::typed;
use super::error::{DeleteChildError, FindChildError, RestartChildError, StartChildError, UpdateError};
use super::server::{
    CountChildren, DeleteChild, GetChildSpec, RestartChild, StartChildRequest, Supervisor, TerminateChild,
    Update, WhichChildren,
};
use super::spec::{ChildId, SpecFields};
use crate::{CallError, GenServer, Name, Pid, Ref};

/// A running supervisor. `Name<Supervisor>` has the same methods and finds the supervisor anew at each use.
///
/// Requests wait for as long as they take: a supervisor that is starting or stopping a child answers when it has done so. `stop()`
/// returns when the whole tree below is down.
pub type SupervisorRef = Ref<Supervisor>;

macro_rules! administration {
    ($handle:ident) => {
        impl $handle<Supervisor> {
            /// Adds a child, the last in start order, and starts it. Its process, or `None` if it chose not to start: it is kept then,
            /// without a process, unless it is temporary.
            ///
            /// # Errors
            /// The specification is invalid, its id is taken, or the start failed; nothing is kept in any of these cases.
            #[track_caller]
            pub fn start_child(
                &self,
                child: impl Into<ChildSpec>,
            ) -> impl Future<Output = Result<Option<Pid>, StartChildError>> + Send + '_ {
                let call = self.call(StartChildRequest(child.into())).infinity();
                async move { Ok(call.await??.map(|proc| proc.pid())) }
            }

            /// [`start_child`](Self::start_child) for a server, with its typed handle, which means this first process of the child: use a name
            /// to find those that come after it.
            ///
            /// ```
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// # let node = purlin_core::Node::builder().start();
            /// # node.scope(async {
            /// # use purlin_core::{Cx, GenServer, InitError};
            /// # struct Counter(i64);
            /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
            /// use purlin_core::{Ref, Supervised, Supervisor};
            /// let root = Supervisor::one_for_one().start_link().await?;
            /// let counter: Ref<Counter> = root.start_child_ref(Counter::child_spec(0)).await?.unwrap();
            /// counter.stop().await?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # }).await.unwrap();
            /// # node.shutdown().await;
            /// # });
            /// ```
            ///
            /// # Errors
            /// As for [`start_child`](Self::start_child).
            #[track_caller]
            pub fn start_child_ref<S: GenServer>(
                &self,
                child: Child<S>,
            ) -> impl Future<Output = Result<Option<Ref<S>>, StartChildError>> + Send + '_ {
                let call = self.call(StartChildRequest(child.into())).infinity();
                async move { Ok(call.await??.map(typed)) }
            }

            /// Stops a child as its specification says, and waits until it is down. The specification stays, for
            /// [`restart_child`](Self::restart_child), unless the child is temporary. Fine for a child that has no process.
            ///
            /// # Errors
            /// No child has this id.
            #[track_caller]
            pub fn terminate_child(
                &self,
                id: impl Into<ChildId>,
            ) -> impl Future<Output = Result<(), FindChildError>> + Send + '_ {
                let call = self.call(TerminateChild(id.into())).infinity();
                async move { Ok(call.await??) }
            }

            /// Starts a child that has no process. This is no restart in the sense of the restart intensity.
            ///
            /// ```
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// # let node = purlin_core::Node::builder().start();
            /// # node.scope(async {
            /// # use purlin_core::{Cx, GenServer, InitError};
            /// # struct Counter(i64);
            /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
            /// use purlin_core::{Supervised, Supervisor};
            /// let root = Supervisor::one_for_one().child(Counter::child_spec(0).id("counter")).start_link().await?;
            /// root.terminate_child("counter").await?;
            /// let counter = root.restart_child("counter").await?.unwrap();       // its pid
            /// assert!(purlin_core::process::is_alive(counter));
            /// root.terminate_child("counter").await?;
            /// root.delete_child("counter").await?;
            /// assert_eq!(root.count_children().await?.specs, 0);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # }).await.unwrap();
            /// # node.shutdown().await;
            /// # });
            /// ```
            ///
            /// # Errors
            /// The child runs, is being restarted, or is unknown; or its start failed, and it stays as it was.
            #[track_caller]
            pub fn restart_child(
                &self,
                id: impl Into<ChildId>,
            ) -> impl Future<Output = Result<Option<Pid>, RestartChildError>> + Send + '_ {
                let call = self.call(RestartChild(id.into())).infinity();
                async move { call.await? }
            }

            /// Forgets a child that has no process.
            ///
            /// # Errors
            /// The child runs, is being restarted, or is unknown.
            #[track_caller]
            pub fn delete_child(
                &self,
                id: impl Into<ChildId>,
            ) -> impl Future<Output = Result<(), DeleteChildError>> + Send + '_ {
                let call = self.call(DeleteChild(id.into())).infinity();
                async move { Ok(call.await??) }
            }

            /// All children, the one started last first.
            ///
            /// ```
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// # let node = purlin_core::Node::builder().start();
            /// # node.scope(async {
            /// # use purlin_core::{Cx, GenServer, InitError};
            /// # struct Counter(i64);
            /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
            /// use purlin_core::supervisor::{ChildStatus, ChildType};
            /// use purlin_core::{Supervised, Supervisor};
            /// let root = Supervisor::one_for_one().child(Counter::child_spec(0).id("counter")).start_link().await?;
            /// let counter = &root.which_children().await?[0];
            /// assert!(matches!(counter.status, ChildStatus::Running(_)) && counter.child_type == ChildType::Worker);
            /// assert_eq!(root.get_childspec("counter").await?.module, "Counter");
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # }).await.unwrap();
            /// # node.shutdown().await;
            /// # });
            /// ```
            ///
            /// # Errors
            /// The supervisor did not answer.
            #[track_caller]
            pub fn which_children(
                &self,
            ) -> impl Future<Output = Result<Vec<ChildInfo>, CallError>> + Send + '_ {
                self.call(WhichChildren).infinity()
            }

            /// How many children there are, by kind and state.
            ///
            /// # Errors
            /// The supervisor did not answer.
            #[track_caller]
            pub fn count_children(&self) -> impl Future<Output = Result<ChildCounts, CallError>> + Send + '_ {
                self.call(CountChildren).infinity()
            }

            /// A child's specification, without its start function.
            ///
            /// # Errors
            /// No child has this id.
            #[track_caller]
            pub fn get_childspec(
                &self,
                id: impl Into<ChildId>,
            ) -> impl Future<Output = Result<SpecFields, FindChildError>> + Send + '_ {
                let call = self.call(GetChildSpec(id.into())).infinity();
                async move { Ok(call.await??) }
            }

            /// Replaces flags and specifications of the running supervisor (OTP's `code_change`). Its name and its process stay.
            ///
            /// A child whose id is in the new list takes its new specification and keeps its process. New ones are added and *not*
            /// started: [`restart_child`](Self::restart_child) does. Children that the list does not name are kept, after all others.
            /// Restarts counted so far still count.
            ///
            /// ```
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// # let node = purlin_core::Node::builder().start();
            /// # node.scope(async {
            /// # use purlin_core::{Cx, GenServer, InitError};
            /// # struct Counter(i64);
            /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
            /// use purlin_core::{Supervised, Supervisor, secs};
            /// let root = Supervisor::one_for_one().start_link().await?;
            /// root.update(Supervisor::one_for_all().max_restarts(9, secs(60)).child(Counter::child_spec(0).id("counter"))).await?;
            /// root.restart_child("counter").await?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # }).await.unwrap();
            /// # node.shutdown().await;
            /// # });
            /// ```
            ///
            /// # Errors
            /// Flags or specifications are invalid; nothing has changed.
            #[track_caller]
            pub fn update(
                &self,
                spec: SupervisorSpec,
            ) -> impl Future<Output = Result<(), UpdateError>> + Send + '_ {
                let call = self.call(Update(spec)).infinity();
                async move { Ok(call.await??) }
            }
        }
    };
}

administration!(Ref);
administration!(Name);

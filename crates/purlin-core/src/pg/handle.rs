//! The handle of a scope, how a scope starts, and what those who watch groups are told.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use crate::call::error::short;
use crate::gen_server::{ByCall, CallFor, GenServer, Name, Plain, Recipient, Ref, StartError};
use crate::mailbox::envelope::Opaque;
use crate::node::{Node, current};
use crate::pg::error::PgError;
use crate::pg::server::{Join, Leave, PgServer, Unwatch, Watch, published};
use crate::pg::tables::Tables;
use crate::process::pid::Pid;
use crate::registry::builder::Text;
use crate::registry::{AsKey, Key, RegistryName};
use crate::supervisor::{Child, ChildSpec, Supervised};

/// The name of the default scope.
pub const DEFAULT_SCOPE: &str = "pg";

/// Groups with their members.
pub type Groups<G> = Vec<(G, Vec<Pid>)>;

/// A scope of process groups whose names are of type `G`. See the [module documentation](crate::pg).
///
/// A handle means either one scope (from [`PgBuilder::start_link`] or [`PgBuilder::handle`]), through all its restarts, or whatever scope has
/// a name on the current node (from [`named`](Self::named) and [`default`](Self::default)). Cheap to clone.
pub struct Pg<G = String> {
    place: Place<G>,
}

enum Place<G> {
    Bound(Arc<Tables<G>>),
    /// What was found first is remembered, and used as long as it runs and is of the current node.
    Named(Text, OnceLock<Arc<Tables<G>>>),
}

impl<G> Clone for Pg<G> {
    fn clone(&self) -> Self {
        let place = match &self.place {
            Place::Bound(tables) => Place::Bound(tables.clone()),
            Place::Named(name, found) => Place::Named(name.clone(), found.clone()),
        };
        Pg { place }
    }
}

/// The default scope: [`named`](Pg::named)`("pg")`.
impl<G> Default for Pg<G> {
    fn default() -> Self {
        Pg::named(DEFAULT_SCOPE)
    }
}

impl<G> From<String> for Pg<G> {
    /// [`named`](Pg::named) for a name made at run time.
    fn from(scope: String) -> Self {
        Pg { place: Place::Named(Text::Made(scope.into()), OnceLock::new()) }
    }
}

impl<G> fmt::Debug for Pg<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pg({:?})", self.scope())
    }
}

impl<G> Pg<G> {
    /// The scope of this name on the current node, found when it is used. Make it a `static`: the handle remembers what it found.
    pub const fn named(scope: &'static str) -> Pg<G> {
        Pg { place: Place::Named(Text::Static(scope), OnceLock::new()) }
    }

    /// The scope's name.
    pub fn scope(&self) -> &str {
        match &self.place {
            Place::Bound(tables) => tables.name().as_str(),
            Place::Named(name, _) => name.as_str(),
        }
    }
}

impl<G: Key> Pg<G> {
    /// A scope about to start.
    #[expect(clippy::new_ret_no_self, reason = "as the other things that a supervisor starts")]
    pub fn new(scope: impl Into<RegistryName>) -> PgBuilder<G> {
        PgBuilder { tables: Arc::new(Tables::new(scope.into().0)) }
    }

    /// Adds processes of this node to a group, which exists from now on: a pid, or a list of them. A process may join as often as it likes,
    /// itself or made by others, and is a member as often. One that has ended is left out.
    ///
    /// # Errors
    /// [`NotLocal`](PgError::NotLocal) when one of them is of another node: then none has joined; those of every operation.
    pub fn join(&self, group: G, pids: impl Into<Pids>) -> impl Future<Output = Result<(), PgError>> + Send {
        let asking = self.ask(Join(group, pids.into()));
        async move { asking.await? }
    }

    /// Takes back one join of each of the processes. The group is gone with its last member.
    ///
    /// # Errors
    /// [`NotJoined`](PgError::NotJoined) when none of them was in the group; [`NotLocal`](PgError::NotLocal); those of every operation.
    pub fn leave(&self, group: G, pids: impl Into<Pids>) -> impl Future<Output = Result<(), PgError>> + Send {
        let asking = self.ask(Leave(group, pids.into()));
        async move { asking.await? }
    }

    /// The members of a group, on all nodes, each as often as it has joined; in no particular order. Empty when there is no such group.
    ///
    /// # Errors
    /// Those of every operation: [`Unknown`](PgError::Unknown), [`WrongType`](PgError::WrongType), [`NoNode`](PgError::NoNode).
    pub fn get_members(&self, group: &(impl AsKey<G> + ?Sized)) -> Result<Vec<Pid>, PgError> {
        self.read(|tables| tables.members(group))
    }

    /// The members of a group on this node.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn get_local_members(&self, group: &(impl AsKey<G> + ?Sized)) -> Result<Vec<Pid>, PgError> {
        self.get_members(group)
    }

    /// The groups that have members, in no particular order.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn which_groups(&self) -> Result<Vec<G>, PgError> {
        self.read(Tables::groups)
    }

    /// The groups that have members on this node.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn which_local_groups(&self) -> Result<Vec<G>, PgError> {
        self.which_groups()
    }

    /// Tells the calling process of every join and leave in a group from now on, by a [`GroupEvent`]; and who is in it now. `me` is its own
    /// [`Cx`](crate::Cx) or [`Mailbox`](crate::Mailbox), which shows that it takes such messages. Several monitors are independent of each
    /// other.
    ///
    /// # Errors
    /// [`NoProcess`](PgError::NoProcess) when `me` is not the calling process, or it is of another node or being killed; those of every
    /// operation.
    pub fn monitor<P, K>(
        &self,
        me: &P,
        group: G,
    ) -> impl Future<Output = Result<(GroupMonitor, Vec<Pid>), PgError>> + Send + use<P, K, G>
    where
        P: Recipient<GroupEvent<G>, K>,
    {
        let watching = self.watch::<P, K>(me, Some(group));
        async move {
            let (monitor, now) = watching.await?;
            Ok((monitor, now.into_iter().flat_map(|(_, members)| members).collect()))
        }
    }

    /// [`monitor`](Self::monitor) of all groups of the scope; and all groups with their members now.
    ///
    /// # Errors
    /// As there.
    pub fn monitor_scope<P, K>(
        &self,
        me: &P,
    ) -> impl Future<Output = Result<(GroupMonitor, Groups<G>), PgError>> + Send + use<P, K, G>
    where
        P: Recipient<GroupEvent<G>, K>,
    {
        self.watch::<P, K>(me, None)
    }

    fn watch<P, K>(
        &self,
        me: &P,
        group: Option<G>,
    ) -> impl Future<Output = Result<(GroupMonitor, Groups<G>), PgError>> + Send + use<P, K, G>
    where
        P: Recipient<GroupEvent<G>, K>,
    {
        let watcher = me.__pid();
        // The function is for the process whose handle `me` is, which is the one that is told.
        let pack: fn(GroupEvent<G>) -> Opaque = P::__pack;
        let own = crate::process::self_pid() == Some(watcher);
        let pg = self.clone();
        async move {
            if !own {
                return Err(PgError::NoProcess);
            }
            pg.ask(Watch { group, watcher, pack }).await?.ok_or(PgError::NoProcess)
        }
    }

    /// Ends a monitor. Events that were sent before may still be in the mailbox; they carry the monitor. `true` if it was on.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn demonitor(&self, monitor: GroupMonitor) -> impl Future<Output = Result<bool, PgError>> + Send {
        self.ask(Unwatch(monitor))
    }

    /// The scope's process, to watch or to stop it.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn server(&self) -> Result<Ref<PgServer<G>>, PgError> {
        self.read(|tables| tables.server().map(Ref::from_proc))
    }

    /// Calls the scope's process, which is there or is not: there is no deadline, as in Erlang.
    ///
    /// This and its users are no `async fn`s: whether the future of one is `Send` is asked anew wherever it is awaited, where the compiler knows too
    /// little of lifetimes in `G` (`&'static str`) to say yes.
    #[expect(clippy::manual_async_fn, reason = "the bound `Send` is the point")]
    fn ask<M, R>(&self, message: M) -> impl Future<Output = Result<R, PgError>> + Send + use<'_, M, R, G>
    where
        M: CallFor<PgServer<G>, ByCall<Plain>, Reply = R>,
        R: Send + 'static,
    {
        async move {
            let server = self.server()?;
            let asked = server.call::<M, ByCall<Plain>>(message).infinity().await;
            asked.map_err(|error| PgError::of_call(error, self.scope()))
        }
    }

    /// Looks into the table of the running scope.
    fn read<R>(&self, f: impl Fn(&Tables<G>) -> Option<R>) -> Result<R, PgError> {
        let unknown = || PgError::Unknown { scope: self.scope().to_owned() };
        match &self.place {
            Place::Bound(tables) => f(tables).ok_or_else(unknown),
            Place::Named(name, found) => {
                let here = |tables: &&Arc<Tables<G>>| current::current_index() == Some(tables.node());
                if let Some(result) = found.get().filter(here).and_then(|tables| f(tables)) {
                    return Ok(result);
                }
                let tables = search::<G>(name)?;
                let result = f(&tables).ok_or_else(unknown);
                let _ = found.set(tables);
                result
            },
        }
    }
}

/// Finds a scope by name on the current node.
#[cold]
fn search<G: Key>(name: &Text) -> Result<Arc<Tables<G>>, PgError> {
    let node = Node::try_current().ok_or(PgError::NoNode)?;
    let unknown = || PgError::Unknown { scope: name.to_string() };
    let proc = node.0.names.get(name.as_str()).ok_or_else(unknown)?;
    match published::<G>(&proc) {
        Some(tables) => Ok(tables),
        None if (proc.table.type_id)() == std::any::TypeId::of::<PgServer<G>>() => Err(unknown()),
        None => Err(PgError::WrongType {
            scope: name.to_string(),
            expected: short(type_name::<PgServer<G>>()),
            found: short((proc.table.type_name)()),
        }),
    }
}

/// One or several processes: a [`Pid`], an array, a slice or a `Vec` of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pids(List);

#[derive(Clone, PartialEq, Eq, Debug)]
enum List {
    One(Pid),
    Many(Vec<Pid>),
}

impl Pids {
    pub(super) fn as_slice(&self) -> &[Pid] {
        match &self.0 {
            List::One(pid) => std::slice::from_ref(pid),
            List::Many(pids) => pids,
        }
    }
}

impl From<Pid> for Pids {
    fn from(pid: Pid) -> Self {
        Pids(List::One(pid))
    }
}

impl From<Vec<Pid>> for Pids {
    fn from(pids: Vec<Pid>) -> Self {
        Pids(List::Many(pids))
    }
}

impl From<&[Pid]> for Pids {
    fn from(pids: &[Pid]) -> Self {
        Pids(List::Many(pids.to_vec()))
    }
}

impl<const N: usize> From<[Pid; N]> for Pids {
    fn from(pids: [Pid; N]) -> Self {
        Pids(List::Many(pids.to_vec()))
    }
}

/// A monitor of a group or of a scope.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupMonitor(pub(super) u64);

/// Processes have joined or left a group: what who [`monitor`](Pg::monitor)s it gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupEvent<G = String> {
    /// What [`monitor`](Pg::monitor) or [`monitor_scope`](Pg::monitor_scope) returned.
    pub monitor: GroupMonitor,
    /// Whether they joined or left.
    pub change: Change,
    /// The group.
    pub group: G,
    /// Who; a process as often as it joined or left at once. One that ended leaves as often as it had joined.
    pub pids: Vec<Pid>,
}

/// What processes have done with a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// They are in it now.
    Join,
    /// They have left it, or ended.
    Leave,
}

/// A scope about to start: from [`Pg::new`]. A child of a supervisor as it is.
///
/// All clones mean the same scope, which can run once at a time.
#[must_use = "a scope starts when `start_link` is awaited, or as the child of a supervisor"]
pub struct PgBuilder<G = String> {
    pub(super) tables: Arc<Tables<G>>,
}

impl<G> Clone for PgBuilder<G> {
    fn clone(&self) -> Self {
        PgBuilder { tables: self.tables.clone() }
    }
}

impl<G: Key> PgBuilder<G> {
    /// A handle to this very scope, which may be taken before it runs: until then its operations fail with [`PgError::Unknown`].
    pub fn handle(&self) -> Pg<G> {
        Pg { place: Place::Bound(self.tables.clone()) }
    }

    /// Starts the scope, linked with the calling process.
    ///
    /// # Errors
    /// As for any server: [`StartError::AlreadyStarted`] when a process has the name, [`StartError::BadName`] when it is empty;
    /// [`StartError::Failed`] when a clone of this builder is running.
    #[track_caller]
    pub fn start_link(self) -> impl Future<Output = Result<Pg<G>, StartError>> + Send {
        let (handle, name) = (self.handle(), self.server_name());
        let start = PgServer::start_link(self).name(name);
        async move { start.await.map(|_: Ref<PgServer<G>>| handle) }
    }

    /// Starts the scope, linked with nobody.
    ///
    /// # Errors
    /// As for [`start_link`](Self::start_link).
    #[track_caller]
    pub fn start(self) -> impl Future<Output = Result<Pg<G>, StartError>> + Send {
        let (handle, name) = (self.handle(), self.server_name());
        let start = PgServer::start(self).name(name);
        async move { start.await.map(|_: Ref<PgServer<G>>| handle) }
    }

    fn server_name(&self) -> Name<PgServer<G>> {
        match self.tables.name() {
            Text::Static(name) => Name::from(*name),
            Text::Made(name) => Name::from(name.to_string()),
        }
    }

    /// The scope as the child of a supervisor, under its name, with settings to change. A supervisor takes the builder itself, too.
    pub fn child_spec(self) -> Child<PgServer<G>> {
        let name = self.server_name();
        PgServer::child_spec(self).name(name).module("Pg")
    }
}

impl<G: Key> From<PgBuilder<G>> for ChildSpec {
    fn from(builder: PgBuilder<G>) -> ChildSpec {
        builder.child_spec().erase()
    }
}

impl<G> fmt::Debug for PgBuilder<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgBuilder").field("scope", &self.tables.name().as_str()).finish()
    }
}

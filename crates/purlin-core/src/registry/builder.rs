//! Settings of a registry, its process, and how it starts.

use std::any::{Any, TypeId};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::gen_server::{Cx, GenServer, InitError, Name, StartError};
use crate::process::exit_reason::ExitReason;
use crate::registry::handle::Registry;
use crate::registry::key::Key;
use crate::registry::listeners::{self, Listener, Listeners, RegistryEvent};
use crate::registry::tables::{Meta, Tables};
use crate::supervisor::{Child, ChildSpec, Supervised};
use crate::{InfoFor, Ref, RegisterError};

/// A name: part of the program, or made at run time.
#[derive(Clone)]
pub(crate) enum Text {
    Static(&'static str),
    Made(Arc<str>),
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Text::Static(text) => text,
            Text::Made(text) => text,
        }
    }

    pub(crate) fn arc(&self) -> Arc<str> {
        match self {
            Text::Static(text) => Arc::from(*text),
            Text::Made(text) => text.clone(),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a registry: `"rooms"`, or a `String`.
pub struct RegistryName(pub(crate) Text);

impl From<&'static str> for RegistryName {
    fn from(name: &'static str) -> Self {
        RegistryName(Text::Static(name))
    }
}

impl From<String> for RegistryName {
    fn from(name: String) -> Self {
        RegistryName(Text::Made(name.into()))
    }
}

/// A registry about to start: from [`Registry::unique`] and [`Registry::duplicate`]. It is the argument of [`RegistryServer`], the process
/// that a registry belongs to, and a child of a supervisor as it is.
///
/// All clones mean the same registry, which can run once at a time; starting it again, as a supervisor does, gives the handles taken from
/// it ([`handle`](Self::handle)) new life.
#[must_use = "a registry starts when `start_link` is awaited, or as the child of a supervisor"]
pub struct RegistryBuilder<K, V = ()> {
    tables: Arc<Tables<K, V>>,
    meta: Meta,
}

impl<K, V> Clone for RegistryBuilder<K, V> {
    fn clone(&self) -> Self {
        RegistryBuilder { tables: self.tables.clone(), meta: self.meta.clone() }
    }
}

impl<K, V> RegistryBuilder<K, V> {
    pub(crate) fn new(name: Text, unique: bool) -> Self {
        let listeners = Listeners::new(name.arc());
        RegistryBuilder { tables: Arc::new(Tables::new(name, unique, 1, listeners)), meta: Meta::new() }
    }

    /// Divides the tables into `n` parts with a lock each, by the keys' hashes: default 1. Worth it when several threads register or
    /// look up all the time; a good number is that of the worker threads. With 0 the registry does not start.
    ///
    /// Makes another registry out of this one: handles are to be taken afterwards.
    pub fn partitions(mut self, n: usize) -> Self {
        let listeners = self.tables.listeners().clone();
        self.tables =
            Arc::new(Tables::new(self.tables.name().clone(), self.tables.is_unique(), n, listeners));
        self
    }

    fn listened(mut self, listener: Arc<dyn Listener<K, V>>) -> Self {
        let mut listeners = self.tables.listeners().clone();
        listeners.add(listener);
        let (name, n) = (self.tables.name().clone(), self.tables.partitions());
        self.tables = Arc::new(Tables::new(name, self.tables.is_unique(), n, listeners));
        self
    }

    /// A value to be found by [`Registry::meta`] from the start, and again after every restart.
    pub fn meta<T: Clone + Send + Sync + 'static>(mut self, key: impl Into<Arc<str>>, value: T) -> Self {
        self.meta.insert(key.into(), Arc::new(value));
        self
    }

    /// The registry's name.
    pub fn name(&self) -> &str {
        self.tables.name().as_str()
    }

    /// A handle to this very registry, which may be taken before it runs: until then its operations fail with
    /// [`RegistryError::Unknown`](crate::RegistryError::Unknown).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Registry, Supervisor};
    /// let builder = Registry::<String>::unique("rooms");
    /// let rooms = builder.handle();                                      // to be given to those who need it
    /// assert!(rooms.count().is_err());
    /// let root = Supervisor::one_for_one().child(builder).start_link().await?;
    /// assert_eq!(rooms.count()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn handle(&self) -> Registry<K, V> {
        Registry::bound(self.tables.clone())
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> RegistryBuilder<K, V> {
    /// Starts the registry, linked with the calling process.
    ///
    /// # Errors
    /// As for any server: [`StartError::AlreadyStarted`] when a process has the name, [`StartError::BadName`] when it is empty;
    /// [`StartError::Failed`] when there are 0 partitions or a clone of this builder is running (on another node, say).
    #[track_caller]
    pub fn start_link(self) -> impl Future<Output = Result<Registry<K, V>, StartError>> + Send {
        self.run(true)
    }

    /// Starts the registry, linked with nobody.
    ///
    /// # Errors
    /// As for [`start_link`](Self::start_link).
    #[track_caller]
    pub fn start(self) -> impl Future<Output = Result<Registry<K, V>, StartError>> + Send {
        self.run(false)
    }

    #[track_caller]
    fn run(self, link: bool) -> impl Future<Output = Result<Registry<K, V>, StartError>> + Send {
        let (handle, name) = (self.handle(), self.server_name());
        let start = if link { RegistryServer::start_link(self) } else { RegistryServer::start(self) };
        let start = start.name(name);
        async move { start.await.map(|_: Ref<RegistryServer<K, V>>| handle) }
    }

    /// Adds a server that is told of every registration: it is sent a [`RegistryEvent`] when a process has registered itself, or a server
    /// was started under a key, and when a process has taken an entry of its own out. Of entries that go because their process ended nothing is
    /// sent, as in Elixir: a listener monitors the processes that it wants to follow.
    ///
    /// The one who registers sends the message, after the entry is in: what one process does arrives in its order. While nobody has the
    /// name, events are lost, and nobody minds.
    ///
    /// Makes another registry out of this one: handles are to be taken afterwards.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Cx, GenServer, HandleCall, HandleInfo, InitError, Mailbox, Name, Registry, RegistryEvent, process};
    ///
    /// /// Knows how many seats were ever taken.
    /// struct Audit(u32);
    /// # impl GenServer for Audit { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Audit(0)) } }
    /// # struct Taken;
    /// # impl HandleCall<Taken> for Audit { type Reply = u32; async fn handle_call(&mut self, _: Taken, _: &mut Cx<Self>) -> u32 { self.0 } }
    /// impl HandleInfo<RegistryEvent<u32>> for Audit {
    ///     async fn handle_info(&mut self, event: RegistryEvent<u32>, _: &mut Cx<Self>) {
    ///         if let RegistryEvent::Register { .. } = event {
    ///             self.0 += 1;
    ///         }
    ///     }
    /// }
    ///
    /// const AUDIT: Name<Audit> = Name::new("audit");
    /// let seats = Registry::<u32>::unique("seats").listener(&AUDIT).start().await?;
    /// let audit = Audit::start(()).name(&AUDIT).await?;
    /// let guest = process::spawn(async move |_: Mailbox<()>| seats.register(7, ()).unwrap());
    /// guest.wait().await;
    /// assert_eq!(audit.call(Taken).await?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn listener<S, Kind>(self, server: impl Into<Name<S>>) -> Self
    where
        S: GenServer,
        Kind: 'static,
        RegistryEvent<K, V>: InfoFor<S, Kind>,
    {
        self.listened(Arc::new(listeners::Server::<S, Kind>::new(server.into())))
    }

    /// [`listener`](Self::listener) for a free-form process with this local name, or a server that lists [`RegistryEvent`] in
    /// [`accepts`](GenServer::accepts): the message comes untyped.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, Registry, RegistryEvent, process};
    /// let seats = Registry::<u32>::unique("seats").listener_process("log").start().await?;
    /// let log = process::spawn(async move |mut mailbox: Mailbox<RegistryEvent<u32>>| {
    ///     process::register("log", mailbox.pid()).unwrap();
    ///     let me = mailbox.pid();
    ///     seats.register(7, ()).unwrap();
    ///     let event = mailbox.receive().await;
    ///     assert!(matches!(event, RegistryEvent::Register { key: 7, pid, .. } if pid == me));
    /// });
    /// assert!(log.wait().await.is_normal());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn listener_process(self, name: impl Into<Arc<str>>) -> Self {
        self.listened(Arc::new(listeners::Process(name.into())))
    }

    fn server_name(&self) -> Name<RegistryServer<K, V>> {
        match self.tables.name() {
            Text::Static(name) => Name::from(*name),
            Text::Made(name) => Name::from(name.to_string()),
        }
    }

    /// The registry as the child of a supervisor, under its name, with settings to change. A supervisor takes
    /// the builder itself, too.
    pub fn child_spec(self) -> Child<RegistryServer<K, V>> {
        let name = self.server_name();
        RegistryServer::child_spec(self).name(name)
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> From<RegistryBuilder<K, V>> for ChildSpec {
    fn from(builder: RegistryBuilder<K, V>) -> ChildSpec {
        builder.child_spec().erase()
    }
}

impl<K, V> fmt::Debug for RegistryBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryBuilder")
            .field("name", &self.name())
            .field("unique", &self.tables.is_unique())
            .field("partitions", &self.tables.partitions())
            .finish_non_exhaustive()
    }
}

/// The process that a registry belongs to: it owns the name, and its end is the end of the registry. It does nothing else; no operation
/// waits for it.
///
/// An ordinary [`GenServer`], started with a [`RegistryBuilder`]. It takes its name by itself if it is started without one.
pub struct RegistryServer<K, V = ()> {
    tables: Arc<Tables<K, V>>,
}

/// Where the registry's process keeps its tables for those who know its name.
struct Published<K, V>(Arc<Tables<K, V>>);

impl<K: Key, V: Clone + Send + Sync + 'static> GenServer for RegistryServer<K, V> {
    type Args = RegistryBuilder<K, V>;

    async fn init(args: RegistryBuilder<K, V>, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        let refused =
            |why: String| InitError::Stop(ExitReason::error(format!("the registry {:?} {why}", args.name())));
        let proc = cx.proc_ref();
        if args.tables.partitions() == 0 {
            return Err(refused("needs at least one partition".to_owned()));
        }
        match proc.node.0.names.register(args.tables.name().arc(), &proc) {
            Ok(()) => {},
            Err(RegisterError::NameTaken(pid)) if pid == proc.pid() => {},
            Err(error) => return Err(refused(format!("cannot take its name: {error}"))),
        }
        let published = Published(args.tables.clone());
        proc.extra
            .lock()
            .get_or_insert_default()
            .locals
            .insert(TypeId::of::<Published<K, V>>(), Box::new(published));
        match args.tables.open(proc, args.meta.clone()) {
            Ok(()) => Ok(RegistryServer { tables: args.tables }),
            Err(pid) => Err(refused(format!("is running as {pid}"))),
        }
    }

    fn format_status(&self) -> String {
        let kind = if self.tables.is_unique() { "unique" } else { "duplicate" };
        let (partitions, entries) = (self.tables.partitions(), self.tables.count());
        format!(
            "registry {:?}: {kind} keys, partitions: {partitions}, entries: {entries}, locks: {}",
            self.tables.name().as_str(),
            self.tables.locks()
        )
    }
}

/// The tables that a process keeps, if it is a registry with these types.
pub(crate) fn published<K: Key, V: Send + Sync + 'static>(
    proc: &crate::process::cell::Proc,
) -> Option<Arc<Tables<K, V>>> {
    let extra = proc.extra.lock();
    let published: &(dyn Any + Send) = &**extra.as_ref()?.locals.get(&TypeId::of::<Published<K, V>>())?;
    published.downcast_ref::<Published<K, V>>().map(|p| p.0.clone())
}

//! Entries chosen by what is in them: what Elixir's `match`, `select` and their relatives do with match specifications is done here with
//! closures, in which Rust's own patterns and guards stand.
//!
//! The closures are the user's code, so no lock is held while they run: they get copies. Whatever they do, use the registry or panic, is as
//! if they had run afterwards, in the caller.

use crate::process::pid::Pid;
use crate::registry::entries::Entries;
use crate::registry::error::RegistryError;
use crate::registry::handle::Registry;
use crate::registry::key::{AsKey, Key};

impl<K: Key, V: Clone + Send + Sync + 'static> Registry<K, V> {
    /// The entries of a key whose values match, in the order of registration: a [`lookup`](Self::lookup) with a condition. For Elixir users:
    /// `Registry.match`, whose name is a keyword here; pattern and guards go into `matches!`.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Mailbox, Registry, process};
    /// #[derive(Clone, Debug, PartialEq)]
    /// enum Role { Admin, Guest { since: u32 } }
    ///
    /// let rooms = Registry::<&str, Role>::duplicate("rooms").start().await?;
    /// # let ada = process::spawn(async move |mailbox: Mailbox<()>| {
    /// rooms.register("lobby", Role::Admin).unwrap();                  // in the process `ada`
    /// rooms.register("lobby", Role::Guest { since: 1815 }).unwrap();
    /// # let ada = mailbox.pid();
    /// // {:guest, since} when since < 1900
    /// let old = rooms.match_values("lobby", |role| matches!(role, Role::Guest { since } if *since < 1900)).unwrap();
    /// assert_eq!(old, [(ada, Role::Guest { since: 1815 })]);
    /// assert_eq!(rooms.count_match("lobby", |role| *role == Role::Admin), Ok(1));
    /// # });
    /// # assert!(ada.wait().await.is_normal());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of every operation: [`Unknown`](RegistryError::Unknown), [`WrongType`](RegistryError::WrongType),
    /// [`NoNode`](RegistryError::NoNode).
    pub fn match_values(
        &self,
        key: &(impl AsKey<K> + ?Sized),
        matches: impl FnMut(&V) -> bool,
    ) -> Result<Entries<V>, RegistryError> {
        Ok(self.lookup(key)?.matching(matches))
    }

    /// How many entries [`match_values`](Self::match_values) would return.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn count_match(
        &self,
        key: &(impl AsKey<K> + ?Sized),
        matches: impl FnMut(&V) -> bool,
    ) -> Result<usize, RegistryError> {
        Ok(self.match_values(key, matches)?.len())
    }

    /// Calls `pick` with a copy of every entry of the registry and returns what it picks. Several clauses are the arms of a `match`: the
    /// first that fits counts.
    ///
    /// The entries of one key come in the order of registration, keys in none. Each partition is copied as it is at one moment, the next one
    /// at a later moment: an entry that is there all the time is seen once. It costs a copy of every entry, so it is for looking
    /// round, not for finding something often: that is what keys are for.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Mailbox, Registry, process};
    /// let seats = Registry::<u32, &str>::unique("seats").partitions(4).start().await?;
    /// # let ada = process::spawn(async move |mailbox: Mailbox<()>| {
    /// # let ada = mailbox.pid();
    /// seats.register(1, "window").unwrap();                            // in the process `ada`
    /// seats.register(2, "aisle").unwrap();
    /// seats.register(13, "window").unwrap();
    /// let mut good = seats
    ///     .select(|seat, pid, place| match (seat, place) {
    ///         (13, _) => None,
    ///         (seat, "window") => Some((seat, pid, "a view")),
    ///         (seat, _) => Some((seat, pid, "a short way out")),
    ///     })
    ///     .unwrap();
    /// good.sort();
    /// assert_eq!(good, [(1, ada, "a view"), (2, ada, "a short way out")]);
    /// assert_eq!(seats.count_select(|_, pid, place| pid == ada && *place == "window"), Ok(2));
    /// # });
    /// # assert!(ada.wait().await.is_normal());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub fn select<T>(&self, mut pick: impl FnMut(K, Pid, V) -> Option<T>) -> Result<Vec<T>, RegistryError> {
        self.on(|tables| {
            let entries = tables.copies().flatten();
            Ok(entries.filter_map(|(key, pid, value)| pick(key, pid, value)).collect())
        })
    }

    /// How many entries of the registry match. For Elixir users: `count_select`, whose specification answers `true` as well.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn count_select(&self, mut matches: impl FnMut(&K, Pid, &V) -> bool) -> Result<usize, RegistryError> {
        self.on(|tables| {
            let entries = tables.copies().flatten();
            Ok(entries.filter(|(key, pid, value)| matches(key, *pid, value)).count())
        })
    }

    /// Removes those of the calling process's entries of a key whose values match; the others stay. Without any it is done already. When
    /// this returns, nobody finds them. If `matches` panics, nothing was removed.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, Registry, process};
    /// let topics = Registry::<&str, u8>::duplicate("topics").start().await?;
    /// let reader = process::spawn(async move |mailbox: Mailbox<()>| {
    ///     for priority in [1, 5, 9] {
    ///         topics.register("news", priority).unwrap();
    ///     }
    ///     topics.unregister_match("news", |priority| *priority < 6).unwrap();
    ///     assert_eq!(topics.values("news", mailbox.pid()), Ok(vec![9]));
    ///     assert_eq!(topics.keys(mailbox.pid()), Ok(vec!["news"]));
    /// });
    /// assert!(reader.wait().await.is_normal());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`NoProcess`](RegistryError::NoProcess) outside a process; those of every operation.
    pub fn unregister_match(
        &self,
        key: &(impl AsKey<K> + ?Sized),
        mut matches: impl FnMut(&V) -> bool,
    ) -> Result<(), RegistryError> {
        self.own(|tables, me| {
            let mut own = tables.entries(key, me.pid());
            own.retain(|(_, value)| matches(value));
            let ids: Vec<_> = own.into_iter().map(|(id, _)| id).collect();
            for (key, _) in tables.unregister_some(me, key, &ids) {
                tables.tell(&me.node, me.pid(), &key, Some("unregister"));
                tables.listeners().unregistered(me.pid(), &key);
            }
            Ok(())
        })
    }
}

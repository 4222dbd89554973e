//! The registry keeps the statements of OTP's and Elixir's suites (R numbers), in simulation and on the real runtime alike.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use purlin_core::telemetry::events;
use purlin_core::*;

// ---- harness --------------------------------------------------------------------------------------------------------

const SEEDS: std::ops::Range<u64> = 0..20;
/// Longer than any story takes; simulated time jumps there when a story waits for what never comes.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(600);

/// Runs a story on simulated nodes with several seeds.
fn simulated<F: Future<Output = ()>>(seeds: std::ops::Range<u64>, story: impl Fn() -> F) {
    for seed in seeds {
        let rt =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        rt.block_on(async {
            let node = Node::builder().simulated(seed).start();
            let told = tokio::time::timeout(LIMIT, node.scope(story())).await;
            told.unwrap_or_else(|_| panic!("the story did not end: seed {seed}"));
            node.shutdown().await;
            assert_eq!(node.stats().processes, 0);
        });
    }
}

/// Runs a story on real nodes with one and two workers.
fn real<F: Future<Output = ()>>(story: impl Fn() -> F) {
    for workers in [1, 2] {
        let rt =
            tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
        rt.block_on(async {
            let node = Node::builder().start();
            node.scope(story()).await;
            node.shutdown().await;
            assert_eq!(node.stats().processes, 0);
        });
    }
}

fn everywhere<F: Future<Output = ()>>(story: impl Fn() -> F) {
    simulated(SEEDS, &story);
    real(&story);
}

type Job = Box<dyn FnOnce() + Send>;

enum Msg {
    Do(Job),
    Exit(Exit),
    Down(Down),
}

impl From<Exit> for Msg {
    fn from(exit: Exit) -> Msg {
        Msg::Exit(exit)
    }
}

impl From<Down> for Msg {
    fn from(down: Down) -> Msg {
        Msg::Down(down)
    }
}

/// A process that does as it is told.
#[derive(Clone)]
struct Member(Address<Msg>);

impl Member {
    fn new() -> Member {
        Member(process::spawn(async move |mut mailbox: Mailbox<Msg>| {
            loop {
                if let Msg::Do(job) = mailbox.receive().await {
                    job();
                }
            }
        }))
    }

    /// One that traps exits and passes what it traps on.
    fn trapping(to: tokio::sync::mpsc::UnboundedSender<Exit>) -> Member {
        Member(process::spawn(async move |mut mailbox: Mailbox<Msg>| {
            mailbox.trap_exits(true);
            loop {
                match mailbox.receive().await {
                    Msg::Do(job) => job(),
                    Msg::Exit(exit) => to.send(exit).unwrap(),
                    Msg::Down(_) => {},
                }
            }
        }))
    }

    fn pid(&self) -> Pid {
        self.0.pid()
    }

    /// Runs `f` in the process.
    async fn run<R: Send + 'static>(&self, f: impl FnOnce() -> R + Send + 'static) -> R {
        let (tx, rx) = tokio::sync::oneshot::channel();
        self.0.send(Msg::Do(Box::new(move || drop(tx.send(f())))));
        rx.await.expect("the process is alive")
    }

    async fn register<K: registry::Key, V: Clone + Send + Sync + 'static>(
        &self,
        registry: &Registry<K, V>,
        key: K,
        value: V,
    ) -> Result<(), RegistryError> {
        let registry = registry.clone();
        self.run(move || registry.register(key, value)).await
    }

    async fn unregister<K: registry::Key, V: Clone + Send + Sync + 'static>(
        &self,
        registry: &Registry<K, V>,
        key: K,
    ) -> Result<(), RegistryError> {
        let registry = registry.clone();
        self.run(move || registry.unregister(&key)).await
    }

    async fn end(&self, reason: ExitReason) {
        process::exit(self.pid(), reason);
        process::wait(self.pid()).await;
    }
}

/// Runs `f` in a process of its own; how that ended.
async fn outcome<F: Future<Output = ()> + Send>(f: impl FnOnce() -> F + Send + 'static) -> ExitReason {
    let process = process::spawn(async move |mut mailbox: Mailbox<()>| {
        mailbox.receive().await;
        f().await;
    });
    reason_after(process.pid(), || process.send(())).await
}

/// Why a process ends that `act` ends; it is watched from before.
async fn reason_after(pid: Pid, act: impl FnOnce()) -> ExitReason {
    let mut ended = Box::pin(process::wait(pid));
    assert!(
        std::future::poll_fn(|cx| Poll::Ready(ended.as_mut().poll(cx))).await.is_pending(),
        "it is alive"
    );
    act();
    ended.await
}

async fn unique<V: Clone + Send + Sync + 'static>() -> Registry<String, V> {
    Registry::unique("registry").partitions(4).start_link().await.unwrap()
}

async fn duplicate<V: Clone + Send + Sync + 'static>() -> Registry<String, V> {
    Registry::duplicate("registry").partitions(4).start_link().await.unwrap()
}

fn key(text: &str) -> String {
    text.to_owned()
}

/// A server that doubles, and knows how to crash.
struct Doubler;
struct Double(u32);
struct Crashing;

impl GenServer for Doubler {
    type Args = ();
    async fn init((): (), _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Doubler)
    }
}

impl HandleCall<Double> for Doubler {
    type Reply = u32;
    async fn handle_call(&mut self, Double(n): Double, _: &mut Cx<Self>) -> u32 {
        2 * n
    }
}

impl HandleCast<Crashing> for Doubler {
    async fn handle_cast(&mut self, _: Crashing, cx: &mut Cx<Self>) {
        cx.stop(ExitReason::error("crashing"));
    }
}

// ---- register, lookup, unregister -----------------------------------------------------------------------------------

#[test]
fn r1_a_key_of_another_live_process_is_refused_with_its_pid() {
    everywhere(async || {
        let registry = unique().await;
        let (a, b) = (Member::new(), Member::new());
        assert_eq!(a.register(&registry, key("hello"), 1).await, Ok(()));
        assert_eq!(
            b.register(&registry, key("hello"), 2).await,
            Err(RegistryError::AlreadyRegistered(a.pid()))
        );
        assert_eq!(registry.lookup("hello").unwrap(), [(a.pid(), 1)]);
        assert_eq!(registry.keys(b.pid()).unwrap(), [""; 0]);
    });
}

#[test]
fn r2_the_own_key_is_refused_with_the_own_pid() {
    everywhere(async || {
        let registry = unique().await;
        let a = Member::new();
        assert_eq!(a.register(&registry, key("hello"), 1).await, Ok(()));
        assert_eq!(
            a.register(&registry, key("hello"), 2).await,
            Err(RegistryError::AlreadyRegistered(a.pid()))
        );
        assert_eq!(a.register(&registry, key("world"), 3).await, Ok(()));
        assert_eq!(registry.keys(a.pid()).unwrap(), ["hello", "world"]);
        assert_eq!(registry.count(), Ok(2));
    });
}

#[test]
fn r4_lookup_shows_pid_and_value_or_nothing() {
    everywhere(async || {
        let registry = unique().await;
        assert!(registry.lookup("hello").unwrap().is_empty());
        let a = Member::new();
        a.register(&registry, key("hello"), "world").await.unwrap();
        assert_eq!(registry.lookup("hello").unwrap(), [(a.pid(), "world")]);
        assert_eq!(
            registry.lookup(&key("hello")).unwrap().into_iter().collect::<Vec<_>>(),
            [(a.pid(), "world")]
        );
        assert_eq!(registry.whereis("hello"), Ok(Some(a.pid())));
        assert_eq!(registry.whereis("world"), Ok(None));
    });
}

#[test]
fn r6_keys_of_different_kinds_never_meet() {
    #[derive(Clone, PartialEq, Eq, Hash, Debug)]
    enum Number {
        Integer(i64),
        /// By its bits.
        Float(u64),
    }
    everywhere(async || {
        for builder in [Registry::<Number, i32>::unique("numbers"), Registry::duplicate("doubles")] {
            let registry = builder.partitions(3).start_link().await.unwrap();
            let a = Member::new();
            a.register(&registry, Number::Integer(1), 1).await.unwrap();
            a.register(&registry, Number::Float(1f64.to_bits()), 2).await.unwrap();
            assert_eq!(registry.lookup(&Number::Integer(1)).unwrap(), [(a.pid(), 1)]);
            assert_eq!(registry.lookup(&Number::Float(1f64.to_bits())).unwrap(), [(a.pid(), 2)]);
            a.unregister(&registry, Number::Integer(1)).await.unwrap();
            assert_eq!(registry.values(&Number::Float(1f64.to_bits()), a.pid()).unwrap(), [2]);
        }
    });
}

#[test]
fn r7_a_process_may_register_a_duplicate_key_many_times() {
    everywhere(async || {
        let registry = duplicate().await;
        let a = Member::new();
        for n in 0..3 {
            a.register(&registry, key("hello"), n).await.unwrap();
        }
        assert_eq!(registry.lookup("hello").unwrap(), [(a.pid(), 0), (a.pid(), 1), (a.pid(), 2)]);
        assert_eq!(registry.keys(a.pid()).unwrap(), ["hello", "hello", "hello"]);
        assert_eq!(registry.count(), Ok(3));
    });
}

#[test]
fn r8_duplicate_entries_of_several_processes_are_all_listed() {
    everywhere(async || {
        let registry = duplicate().await;
        let members: Vec<_> = (0..5).map(|_| Member::new()).collect();
        for (n, member) in members.iter().enumerate() {
            member.register(&registry, key("hello"), n).await.unwrap();
        }
        let expected: Vec<_> = members.iter().enumerate().map(|(n, m)| (m.pid(), n)).collect();
        assert_eq!(registry.lookup("hello").unwrap(), expected);
        assert_eq!(registry.whereis("hello"), Ok(Some(members[0].pid())));
    });
}

#[test]
fn r9_death_removes_all_entries_in_all_partitions() {
    everywhere(async || {
        for builder in [Registry::<u32, ()>::unique("unique"), Registry::duplicate("duplicate")] {
            let registry = builder.partitions(8).start_link().await.unwrap();
            let (a, b) = (Member::new(), Member::new());
            for n in 0..100 {
                a.register(&registry, n, ()).await.unwrap();
            }
            b.register(&registry, 1000, ()).await.unwrap();
            a.end(ExitReason::error("crash")).await;
            assert_eq!(registry.count(), Ok(1));
            assert!((0..100).all(|n| registry.lookup(&n).unwrap().is_empty()));
            assert_eq!(registry.lookup(&1000).unwrap(), [(b.pid(), ())]);
            b.end(ExitReason::Kill).await;
            assert_eq!(registry.count(), Ok(0));
        }
    });
}

#[test]
fn r9_the_entries_are_gone_and_the_key_is_free_when_down_arrives() {
    everywhere(async || {
        let registry = unique::<u32>().await;
        let a = Member::new();
        a.register(&registry, key("hello"), 1).await.unwrap();
        let (old, handle) = (a.pid(), registry.clone());
        let (tx, rx) = tokio::sync::oneshot::channel();
        process::spawn(async move |mut mailbox: Mailbox<Msg>| {
            mailbox.monitor(old);
            process::exit(old, ExitReason::error("crash"));
            let Msg::Down(down) = mailbox.receive().await else { panic!("no Down") };
            assert_eq!(down.pid, Some(old));
            assert_eq!(handle.count(), Ok(0));
            assert!(handle.keys(old).unwrap().is_empty());
            handle.register(key("hello"), 2).unwrap();
            assert_eq!(handle.lookup("hello").unwrap(), [(process::self_pid().unwrap(), 2)]);
            tx.send(process::self_pid().unwrap()).unwrap();
        });
        process::wait(rx.await.expect("no assertion failed")).await;
        assert_eq!(registry.count(), Ok(0));
    });
}

#[test]
fn r13_unregistering_what_is_not_registered_is_fine() {
    everywhere(async || {
        for builder in [Registry::unique("unique"), Registry::duplicate("duplicate")] {
            let registry = builder.start_link().await.unwrap();
            let (a, b) = (Member::new(), Member::new());
            a.register(&registry, key("hello"), ()).await.unwrap();
            assert_eq!(b.unregister(&registry, key("hello")).await, Ok(()));
            assert_eq!(b.unregister(&registry, key("world")).await, Ok(()));
            assert_eq!(registry.whereis("hello"), Ok(Some(a.pid())));
        }
    });
}

#[test]
fn r14_unregister_removes_all_own_entries_of_the_key_and_no_other() {
    everywhere(async || {
        let registry = duplicate().await;
        let (a, b) = (Member::new(), Member::new());
        for n in 0..3 {
            a.register(&registry, key("hello"), n).await.unwrap();
            b.register(&registry, key("hello"), 10 + n).await.unwrap();
        }
        a.register(&registry, key("world"), 7).await.unwrap();
        a.unregister(&registry, key("hello")).await.unwrap();
        assert_eq!(registry.lookup("hello").unwrap(), [(b.pid(), 10), (b.pid(), 11), (b.pid(), 12)]);
        assert_eq!(registry.lookup("world").unwrap(), [(a.pid(), 7)]);
        assert_eq!(registry.keys(a.pid()).unwrap(), ["world"]);
        assert_eq!(registry.count(), Ok(4));
    });
}

#[test]
fn r17_a_dead_or_unknown_process_has_no_keys() {
    everywhere(async || {
        let registry = unique().await;
        let (a, stranger) = (Member::new(), Member::new());
        a.register(&registry, key("hello"), ()).await.unwrap();
        assert!(registry.keys(stranger.pid()).unwrap().is_empty());
        assert!(registry.keys(Pid::from_parts(7, 7, 7)).unwrap().is_empty());
        a.end(ExitReason::Kill).await;
        assert!(registry.keys(a.pid()).unwrap().is_empty());
        assert!(registry.values("hello", a.pid()).unwrap().is_empty());
    });
}

#[test]
fn r18_values_are_those_of_one_process() {
    everywhere(async || {
        let registry = duplicate().await;
        let (a, b) = (Member::new(), Member::new());
        a.register(&registry, key("hello"), 1).await.unwrap();
        b.register(&registry, key("hello"), 2).await.unwrap();
        a.register(&registry, key("hello"), 3).await.unwrap();
        assert_eq!(registry.values("hello", a.pid()).unwrap(), [1, 3]);
        assert_eq!(registry.values("hello", b.pid()).unwrap(), [2]);
        assert!(registry.values("world", a.pid()).unwrap().is_empty());
        let unique = Registry::unique("other").start_link().await.unwrap();
        a.register(&unique, key("hello"), 4).await.unwrap();
        assert_eq!(unique.values("hello", a.pid()).unwrap(), [4]);
        assert!(unique.values("hello", b.pid()).unwrap().is_empty());
    });
}

#[test]
fn r19_count_is_the_number_of_entries_over_all_partitions() {
    everywhere(async || {
        for builder in [Registry::<u64>::unique("unique"), Registry::duplicate("duplicate")] {
            let registry = builder.partitions(5).start_link().await.unwrap();
            assert_eq!(registry.count(), Ok(0));
            let a = Member::new();
            for n in 0..50 {
                a.register(&registry, n, ()).await.unwrap();
                assert_eq!(registry.count(), Ok(n as usize + 1));
            }
            for n in 0..50 {
                a.unregister(&registry, n).await.unwrap();
                assert_eq!(registry.count(), Ok(49 - n as usize));
            }
        }
    });
}

#[test]
fn r23_dispatch_to_an_empty_key_never_calls_the_function() {
    everywhere(async || {
        for builder in [Registry::<String>::unique("unique"), Registry::duplicate("duplicate")] {
            let registry = builder.start_link().await.unwrap();
            assert_eq!(registry.dispatch("hello", |_| panic!("called")), Ok(()));
            let a = Member::new();
            a.register(&registry, key("hello"), ()).await.unwrap();
            a.end(ExitReason::Kill).await;
            assert_eq!(registry.dispatch("hello", |_| panic!("called")), Ok(()));
        }
    });
}

#[test]
fn r24_dispatch_calls_the_function_in_the_caller_with_all_entries_of_the_key() {
    everywhere(async || {
        let registry = duplicate().await;
        let (a, b) = (Member::new(), Member::new());
        a.register(&registry, key("hello"), 1).await.unwrap();
        b.register(&registry, key("hello"), 2).await.unwrap();
        b.register(&registry, key("world"), 3).await.unwrap();
        let (expected, handle) = (vec![(a.pid(), 1), (b.pid(), 2)], registry.clone());
        let caller = Member::new();
        let me = caller.pid();
        let seen = caller
            .run(move || {
                let mut seen = Vec::new();
                handle
                    .dispatch("hello", |entries| {
                        assert_eq!(process::self_pid(), Some(me));
                        // The registry can be used meanwhile: no lock is held.
                        handle.register(key("hello"), 9).unwrap();
                        seen.extend_from_slice(entries);
                    })
                    .unwrap();
                seen
            })
            .await;
        assert_eq!(seen, expected);
        assert_eq!(registry.lookup("hello").unwrap().len(), 3);
    });
}

#[test]
fn r30_only_the_owner_updates_a_value() {
    everywhere(async || {
        let registry = unique().await;
        let (a, b) = (Member::new(), Member::new());
        a.register(&registry, key("hello"), 1).await.unwrap();
        let handle = registry.clone();
        assert_eq!(a.run(move || handle.update_value("hello", |n| n + 1)).await, Ok((2, 1)));
        assert_eq!(registry.lookup("hello").unwrap(), [(a.pid(), 2)]);
        for name in ["hello", "world"] {
            let handle = registry.clone();
            let update = move || handle.update_value(name, |_| panic!("called"));
            assert_eq!(b.run(update).await, Err(RegistryError::NotRegistered));
        }
        assert_eq!(registry.update_value("hello", |n| n + 1), Err(RegistryError::NoProcess));
        assert_eq!(registry.lookup("hello").unwrap(), [(a.pid(), 2)]);
        let several = Registry::duplicate("several").start_link().await.unwrap();
        a.register(&several, key("hello"), 1).await.unwrap();
        let update = move || several.update_value("hello", |n: &i32| n + 1);
        assert_eq!(a.run(update).await, Err(RegistryError::NotUnique { name: key("several") }));
    });
}

#[test]
fn r49_r50_register_and_unregister_are_seen_by_everybody_when_they_return() {
    everywhere(async || {
        let registry = unique().await;
        let (a, b) = (Member::new(), Member::new());
        for n in 0..20 {
            a.register(&registry, key("hello"), n).await.unwrap();
            let (handle, pid) = (registry.clone(), a.pid());
            assert!(b.run(move || handle.lookup("hello").unwrap() == [(pid, n)]).await);
            a.unregister(&registry, key("hello")).await.unwrap();
            let handle = registry.clone();
            assert!(b.run(move || handle.lookup("hello").unwrap().is_empty()).await);
            // Before the process comes to its next await, too.
            let handle = registry.clone();
            let seen = a.run(move || {
                handle.register(key("world"), n).unwrap();
                let registered = handle.lookup("world").unwrap().len();
                handle.unregister("world").unwrap();
                (registered, handle.lookup("world").unwrap().len())
            });
            assert_eq!(seen.await, (1, 0));
        }
    });
}

#[test]
fn r51_duplicate_keys_are_partitioned_by_key_and_keys_are_found_in_all_partitions() {
    everywhere(async || {
        let registry = Registry::duplicate("registry").partitions(16).start_link().await.unwrap();
        let (a, b) = (Member::new(), Member::new());
        for n in 0..40u32 {
            a.register(&registry, n, ()).await.unwrap();
            b.register(&registry, n, ()).await.unwrap();
        }
        for n in 0..40 {
            let mut calls = 0;
            registry
                .dispatch(&n, |entries| {
                    calls += 1;
                    assert_eq!(entries, [(a.pid(), ()), (b.pid(), ())]);
                })
                .unwrap();
            assert_eq!(calls, 1);
        }
        assert_eq!(registry.keys(a.pid()).unwrap(), (0..40).collect::<Vec<_>>());
    });
}

#[test]
fn r53_a_process_holds_keys_in_several_registries_independently() {
    everywhere(async || {
        let one = Registry::unique("one").start_link().await.unwrap();
        let two = Registry::unique("two").start_link().await.unwrap();
        let (a, b) = (Member::new(), Member::new());
        a.register(&one, key("hello"), 1).await.unwrap();
        a.register(&two, key("world"), 2).await.unwrap();
        b.register(&two, key("hello"), 3).await.unwrap();
        assert_eq!(one.keys(a.pid()).unwrap(), ["hello"]);
        assert_eq!(two.keys(a.pid()).unwrap(), ["world"]);
        a.unregister(&one, key("hello")).await.unwrap();
        assert_eq!(two.keys(a.pid()).unwrap(), ["world"]);
        a.end(ExitReason::Kill).await;
        assert_eq!((one.count(), two.count()), (Ok(0), Ok(1)));
    });
}

#[test]
fn r54_a_value_changes_by_update_or_by_registering_again_only() {
    everywhere(async || {
        let registry = unique().await;
        let (a, b) = (Member::new(), Member::new());
        a.register(&registry, key("hello"), vec![1]).await.unwrap();
        // A registration that is refused changes nothing.
        for member in [&a, &b] {
            assert!(member.register(&registry, key("hello"), vec![2]).await.is_err());
        }
        // What a lookup returns is a copy.
        let mut copy: Vec<_> = registry.lookup("hello").unwrap().into_iter().collect();
        copy[0].1.push(2);
        assert_eq!(registry.lookup("hello").unwrap(), [(a.pid(), vec![1])]);
        a.unregister(&registry, key("hello")).await.unwrap();
        a.register(&registry, key("hello"), vec![3]).await.unwrap();
        assert_eq!(registry.lookup("hello").unwrap(), [(a.pid(), vec![3])]);
    });
}

// ---- names ----------------------------------------------------------------------------------------------------------

#[test]
fn r36_starting_a_server_under_a_taken_key_says_who_has_it() {
    everywhere(async || {
        let registry = unique::<()>().await;
        let name = registry.via::<Doubler>(key("hello"));
        let first = Doubler::start(()).name(&name).await.unwrap();
        assert_eq!(name.whereis().unwrap().pid(), first.pid());
        assert_eq!(name.call(Double(4)).await.unwrap(), 8);
        let processes = process::processes().len();
        assert_eq!(
            Doubler::start(()).name(&name).await.unwrap_err(),
            StartError::AlreadyStarted(first.pid())
        );
        assert_eq!(process::processes().len(), processes);
        assert_eq!(registry.count(), Ok(1));
        // A process that registers itself is in the way as well.
        let a = Member::new();
        a.register(&registry, key("world"), ()).await.unwrap();
        let taken = Doubler::start(()).name(registry.via(key("world"))).await;
        assert_eq!(taken.unwrap_err(), StartError::AlreadyStarted(a.pid()));
        first.stop().await.unwrap();
        let second = Doubler::start(()).name(&name).await.unwrap();
        assert_ne!(first.pid(), second.pid());
        assert_eq!(name.call(Double(5)).await.unwrap(), 10);
    });
}

#[test]
fn r37_a_server_started_under_a_key_has_the_value_of_its_name() {
    everywhere(async || {
        let registry = unique::<String>().await;
        let a = Doubler::start(()).name(registry.via(key("plain"))).await.unwrap();
        let b = Doubler::start(()).name(registry.via_with(key("with"), key("value"))).await.unwrap();
        assert_eq!(registry.lookup("plain").unwrap(), [(a.pid(), key(""))]);
        assert_eq!(registry.lookup("with").unwrap(), [(b.pid(), key("value"))]);
        assert_eq!(registry.get::<Doubler>("with").unwrap().unwrap().call(Double(1)).await.unwrap(), 2);
    });
}

#[test]
fn r38_a_key_of_a_duplicate_registry_is_no_name() {
    everywhere(async || {
        let registry = duplicate::<()>().await;
        let reason = outcome(async move || drop(registry.via::<Doubler>(key("hello")))).await;
        let message = &reason.panic_info().expect("a panic").message;
        assert!(message.contains("duplicate keys") && message.contains("registry"), "{message}");
    });
}

#[test]
fn r38_a_name_made_before_the_duplicate_registry_ran_panics_when_it_is_used() {
    everywhere(async || {
        let builder = Registry::<String>::duplicate("registry");
        let name = builder.handle().via::<Doubler>(key("hello"));
        builder.start_link().await.unwrap();
        let processes = process::processes().len();
        let refused = Doubler::start(()).name(&name).await.unwrap_err();
        assert_eq!(refused, StartError::DuplicateRegistry { name: "registry".into() });
        assert!(refused.to_string().contains("\"registry\" has duplicate keys"), "{refused}");
        assert_eq!(process::processes().len(), processes);
        let reason = outcome(async move || drop(name.call(Double(1)).await)).await;
        assert!(reason.panic_info().is_some_and(|p| p.message.contains("duplicate keys")), "{reason}");
    });
}

#[test]
fn a_start_under_a_key_of_a_registry_that_is_not_running_says_which_one() {
    everywhere(async || {
        let name = Registry::<String>::named("registry").via::<Doubler>(key("hello"));
        let processes = process::processes().len();
        let refused = Doubler::start(()).name(&name).await.unwrap_err();
        assert_eq!(refused, StartError::UnknownRegistry { name: "registry".into() });
        assert!(refused.to_string().contains("no registry \"registry\" is running"), "{refused}");
        assert_eq!(process::processes().len(), processes);
        // A supervisor says the same.
        let child = Doubler::child_spec(()).name(&name);
        let error = Supervisor::one_for_one().child(child).start().await.unwrap_err();
        let failed = supervisor::FailedToStartChild::in_error(&error).unwrap();
        assert_eq!(failed.error, refused);
        // For its users such a name is one that nobody has.
        assert_eq!(*name.call(Double(1)).await.unwrap_err().kind(), CallErrorKind::NoProc);
        name.cast(Crashing);
        let registry = unique::<()>().await;
        Doubler::start(()).name(&name).await.unwrap();
        assert_eq!(name.call(Double(1)).await.unwrap(), 2);
        assert_eq!(registry.count(), Ok(1));
    });
}

#[test]
fn a_start_under_a_key_of_something_that_is_no_such_registry_says_what_it_is() {
    everywhere(async || {
        Doubler::start(()).name("doubler").await.unwrap();
        Registry::<u8>::unique("numbers").start().await.unwrap();
        for (registry, found) in [("doubler", "Doubler"), ("numbers", "RegistryServer<u8>")] {
            let name = Registry::<String>::named(registry).via::<Doubler>(key("hello"));
            let refused = Doubler::start(()).name(&name).await.unwrap_err();
            assert!(
                matches!(&refused, StartError::WrongRegistry(wrong) if wrong.name == registry),
                "{refused:?}"
            );
            assert!(refused.to_string().contains(&format!("{registry:?} is a `{found}")), "{refused}");
            assert!(name.call(Double(1)).await.unwrap_err().is_no_proc());
        }
    });
}

#[test]
fn r39_a_call_to_an_absent_key_fails_with_noproc_and_a_cast_is_lost() {
    everywhere(async || {
        let registry = unique::<()>().await;
        let name = registry.via::<Doubler>(key("hello"));
        assert!(name.whereis().is_none());
        let error = name.call(Double(1)).await.unwrap_err();
        assert_eq!(*error.kind(), CallErrorKind::NoProc);
        assert!(error.to_string().contains("\"registry/hello\""), "{error}");
        name.cast(Crashing);
        let server = Doubler::start(()).name(&name).await.unwrap();
        assert_eq!(reason_after(server.pid(), || name.cast(Crashing)).await, ExitReason::error("crashing"));
        assert_eq!(*name.call(Double(1)).await.unwrap_err().kind(), CallErrorKind::NoProc);
        // A process that is something else is not called by mistake.
        let a = Member::new();
        a.register(&registry, key("hello"), ()).await.unwrap();
        assert!(name.call(Double(1)).await.is_err());
        assert!(registry.get::<Doubler>("hello").unwrap().is_none());
    });
}

// ---- the registry itself --------------------------------------------------------------------------------------------

/// Every operation, made in a process.
fn all_operations(registry: &Registry<String, u32>) -> Vec<Result<(), RegistryError>> {
    let me = process::self_pid().unwrap();
    vec![
        registry.register(key("a"), 1),
        registry.unregister("a"),
        registry.lookup("a").map(drop),
        registry.whereis("a").map(drop),
        registry.get::<Doubler>("a").map(drop),
        registry.dispatch("a", |_| {}),
        registry.keys(me).map(drop),
        registry.values("a", me).map(drop),
        registry.count().map(drop),
        registry.partitions().map(drop),
        registry.update_value("a", |n| n + 1).map(drop),
        registry.meta::<u32>("m").map(drop),
        registry.put_meta("m", 1u32),
        registry.delete_meta("m"),
        registry.server().map(drop),
    ]
}

#[test]
fn r40_every_operation_on_an_unknown_registry_says_so() {
    everywhere(async || {
        let a = Member::new();
        let builder = Registry::unique("nowhere");
        let (early, named) = (builder.handle(), Registry::named("nowhere"));
        let unknown = RegistryError::Unknown { name: key("nowhere") };
        for handle in [&early, &named, &Registry::from(key("nowhere"))] {
            let handle = handle.clone();
            for result in a.run(move || all_operations(&handle)).await {
                assert_eq!(result, Err(unknown.clone()));
            }
        }
        assert!(unknown.to_string().contains("\"nowhere\""), "{unknown}");
        let name = named.via::<Doubler>(key("hello"));
        assert!(Doubler::start(()).name(&name).await.is_err());
        assert_eq!(*name.call(Double(1)).await.unwrap_err().kind(), CallErrorKind::NoProc);

        let registry = builder.start_link().await.unwrap();
        assert_eq!((early.count(), named.count(), registry.count()), (Ok(0), Ok(0), Ok(0)));
        let server = Doubler::start(()).name(&name).await.unwrap();
        assert_eq!(early.whereis("hello"), Ok(Some(server.pid())));

        registry.server().unwrap().stop().await.unwrap();
        for handle in [early, named, registry] {
            for result in a.run(move || all_operations(&handle)).await {
                assert_eq!(result, Err(unknown.clone()));
            }
        }
    });
}

#[test]
fn r40_a_name_that_means_something_else_is_a_clear_error() {
    everywhere(async || {
        let _registry = Registry::<u64, f32>::unique("numbers").start_link().await.unwrap();
        let _server = Doubler::start(()).name("doubler").await.unwrap();
        for (name, found) in [("numbers", "RegistryServer<u64, f32>"), ("doubler", "Doubler")] {
            let error = Registry::<String>::named(name).count().unwrap_err();
            let text = error.to_string();
            assert!(
                matches!(error, RegistryError::WrongType { .. })
                    && text.contains(found)
                    && text.contains(name),
                "{text}"
            );
        }
        assert_eq!(Registry::<u64, f32>::named("numbers").count(), Ok(0));
    });
}

#[test]
fn only_a_process_registers_and_there_must_be_a_node_to_find_a_name_on() {
    assert_eq!(Registry::<String>::named("registry").count(), Err(RegistryError::NoNode));
    everywhere(async || {
        let registry = unique().await;
        assert_eq!(registry.register(key("hello"), ()), Err(RegistryError::NoProcess));
        assert_eq!(registry.unregister("hello"), Err(RegistryError::NoProcess));
        let other = Node::builder().start();
        other
            .scope(async {
                let foreigner = Member::new();
                assert_eq!(
                    foreigner.register(&registry, key("hello"), ()).await,
                    Err(RegistryError::NoProcess)
                );
                // A handle works from anywhere; a name means the current node's registry.
                assert_eq!(registry.count(), Ok(0));
                assert!(Registry::<String>::named("registry").count().is_err());
            })
            .await;
        other.shutdown().await;
    });
}

#[test]
fn one_static_handle_serves_several_nodes() {
    static ROOMS: Registry<String, u32> = Registry::named("rooms");
    everywhere(async || {
        assert!(matches!(ROOMS.count(), Err(RegistryError::Unknown { .. })));
        Registry::<String, u32>::unique("rooms").start_link().await.unwrap();
        let a = Member::new();
        a.run(|| ROOMS.register(key("lobby"), 1)).await.unwrap();
        let second = Node::builder().start();
        second
            .scope(async {
                Registry::<String, u32>::unique("rooms").start_link().await.unwrap();
                assert_eq!(ROOMS.count(), Ok(0));
                let b = Member::new();
                b.run(|| ROOMS.register(key("lobby"), 2)).await.unwrap();
                assert_eq!(ROOMS.lookup("lobby").unwrap(), [(b.pid(), 2)]);
            })
            .await;
        second.shutdown().await;
        assert_eq!(a.run(|| ROOMS.lookup("lobby")).await.unwrap(), [(a.pid(), 1)]);
    });
}

#[test]
fn r41_anybody_reads_and_writes_meta_and_a_restart_brings_the_first_values_back() {
    everywhere(async || {
        let builder = Registry::<String>::unique("registry").meta("limit", 10u32).meta("text", key("hello"));
        let registry = builder.clone().start().await.unwrap();
        assert_eq!(registry.meta("limit"), Ok(Some(10u32)));
        assert_eq!(registry.meta("text"), Ok(Some(key("hello"))));
        assert_eq!(registry.meta::<i8>("limit"), Ok(None));
        assert_eq!(registry.meta::<u32>("none"), Ok(None));
        let (a, handle) = (Member::new(), registry.clone());
        a.run(move || handle.put_meta("limit", 11u32)).await.unwrap();
        registry.put_meta("more", (1, 2)).unwrap();
        a.end(ExitReason::Kill).await;
        assert_eq!((registry.meta("limit"), registry.meta("more")), (Ok(Some(11u32)), Ok(Some((1, 2)))));
        registry.delete_meta("more").unwrap();
        registry.delete_meta("more").unwrap();
        assert_eq!(registry.meta::<(i32, i32)>("more"), Ok(None));
        registry.server().unwrap().stop().await.unwrap();
        builder.start().await.unwrap();
        assert_eq!(registry.meta("limit"), Ok(Some(10u32)));
    });
}

#[test]
fn r42_there_are_as_many_partitions_as_asked_for() {
    everywhere(async || {
        assert_eq!(Registry::<u32>::unique("one").start_link().await.unwrap().partitions(), Ok(1));
        assert_eq!(
            Registry::<u32>::duplicate("six").partitions(6).start_link().await.unwrap().partitions(),
            Ok(6)
        );
        let none = Registry::<u32>::unique("none").partitions(0).start_link().await.unwrap_err();
        assert!(
            matches!(none, StartError::Failed(_)) && none.to_string().contains("at least one partition"),
            "{none}"
        );
        assert_eq!(process::whereis("none"), None);
    });
}

#[test]
fn a_registry_that_runs_is_not_started_again() {
    everywhere(async || {
        let builder = Registry::<u32>::unique("registry");
        let registry = builder.clone().start_link().await.unwrap();
        let pid = registry.server().unwrap().pid();
        assert_eq!(process::whereis("registry"), Some(pid));
        assert_eq!(builder.clone().start_link().await.unwrap_err(), StartError::AlreadyStarted(pid));
        assert_eq!(
            Registry::<u8>::unique("registry").start().await.unwrap_err(),
            StartError::AlreadyStarted(pid)
        );
        assert_eq!(Registry::<u8>::unique("").start().await.unwrap_err(), StartError::BadName);
        // As the child of a supervisor: without a name from outside.
        assert!(matches!(RegistryServer::start(builder.clone()).await, Err(StartError::Failed(_))));
        assert_eq!(registry.count(), Ok(0));
        let other = Node::builder().start();
        let elsewhere = other.scope(async { builder.clone().start().await }).await.unwrap_err();
        assert!(elsewhere.to_string().contains("is running as"), "{elsewhere}");
        other.shutdown().await;
        registry.server().unwrap().stop().await.unwrap();
        let server = RegistryServer::start(builder).await.unwrap();
        assert_eq!(process::whereis("registry"), Some(server.pid()));
        assert_eq!(registry.count(), Ok(0));
        let status = sys::get_status(server.pid()).await.unwrap();
        assert!(format!("{status:?}").contains("unique keys, partitions: 1, entries: 0"), "{status:?}");
    });
}

#[test]
fn a_supervisor_restarts_a_registry_and_a_handle_holds() {
    everywhere(async || {
        let builder = Registry::<String>::unique("rooms").partitions(2).meta("limit", 3u8);
        let handle = builder.handle();
        assert_eq!(builder.clone().child_spec().fields().id.as_str(), "rooms");
        let root = Supervisor::rest_for_one()
            .child(builder)
            .child(Doubler::child_spec(()).name(handle.via(key("doubler"))))
            .start_link()
            .await
            .unwrap();
        let doubler = handle.via::<Doubler>(key("doubler"));
        assert_eq!(doubler.call(Double(2)).await.unwrap(), 4);
        let (old, server) = (doubler.whereis().unwrap().pid(), handle.server().unwrap().pid());
        process::exit(server, ExitReason::error("crash"));
        process::wait(server).await;
        assert_eq!(root.count_children().await.unwrap().active, 2);
        assert_ne!(handle.server().unwrap().pid(), server);
        assert_ne!(doubler.whereis().unwrap().pid(), old);
        assert_eq!(doubler.call(Double(3)).await.unwrap(), 6);
        assert_eq!((handle.count(), handle.meta("limit")), (Ok(1), Ok(Some(3u8))));
        root.stop().await.unwrap();
        assert!(matches!(handle.count(), Err(RegistryError::Unknown { .. })));
    });
}

#[test]
fn the_crash_of_a_registry_ends_who_is_registered_and_nobody_else() {
    everywhere(async || {
        let registry = unique().await;
        let [a, b, gone, stranger] = [(); 4].map(|()| Member::new());
        let (tx, mut exits) = tokio::sync::mpsc::unbounded_channel();
        let trapping = Member::trapping(tx);
        for n in 0..3 {
            a.register(&registry, format!("a{n}"), ()).await.unwrap();
        }
        b.register(&registry, key("b"), ()).await.unwrap();
        trapping.register(&registry, key("t"), ()).await.unwrap();
        trapping.register(&registry, key("t2"), ()).await.unwrap();
        gone.register(&registry, key("gone"), ()).await.unwrap();
        gone.unregister(&registry, key("gone")).await.unwrap();
        let pid = registry.server().unwrap().pid();
        let both = async {
            let kill = || process::exit(pid, ExitReason::Kill);
            tokio::join!(reason_after(b.pid(), || ()), reason_after(a.pid(), kill))
        };
        assert_eq!(both.await, (ExitReason::Killed, ExitReason::Killed));
        assert_eq!(exits.recv().await, Some(Exit { from: pid, reason: ExitReason::Killed }));
        trapping.run(|| {}).await;
        assert!(exits.try_recv().is_err(), "one signal, however many keys");
        assert!(process::is_alive(gone.pid()) && process::is_alive(stranger.pid()));
        let late = trapping.register(&registry, key("t"), ()).await;
        assert_eq!(late, Err(RegistryError::Unknown { name: key("registry") }));
    });
}

#[test]
fn the_normal_end_of_a_registry_ends_nobody() {
    everywhere(async || {
        let builder = Registry::unique("registry");
        let registry = builder.clone().start().await.unwrap();
        let a = Member::new();
        a.register(&registry, key("hello"), 1).await.unwrap();
        registry.server().unwrap().stop().await.unwrap();
        a.run(|| {}).await;
        assert!(matches!(registry.lookup("hello"), Err(RegistryError::Unknown { .. })));
        // The restarted registry is empty and takes the same process again.
        builder.start().await.unwrap();
        assert!(registry.keys(a.pid()).unwrap().is_empty());
        a.register(&registry, key("world"), 2).await.unwrap();
        assert_eq!((registry.count(), registry.keys(a.pid()).unwrap()), (Ok(1), vec![key("world")]));
        a.end(ExitReason::Kill).await;
        assert_eq!(registry.count(), Ok(0));
    });
}

#[test]
fn telemetry_tells_of_each_registration_and_of_its_end() {
    everywhere(async || {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = told.clone();
        let telemetry = Node::current();
        let on = [events::REGISTRY_REGISTER, events::REGISTRY_UNREGISTER];
        telemetry
            .telemetry()
            .attach_many("log", &on, move |event| {
                let data = event.metadata;
                assert_eq!(data.str("registry"), Some("registry"));
                let key = data.get("key").unwrap().to_string();
                log.lock().unwrap().push((
                    event.name[2],
                    data.pid("pid").unwrap(),
                    key,
                    data.str("cause").map(str::to_owned),
                ));
            })
            .unwrap();
        let registry = unique::<()>().await;
        let a = Member::new();
        a.register(&registry, key("one"), ()).await.unwrap();
        a.register(&registry, key("two"), ()).await.unwrap();
        a.register(&registry, key("two"), ()).await.unwrap_err();
        a.unregister(&registry, key("one")).await.unwrap();
        a.unregister(&registry, key("one")).await.unwrap();
        a.end(ExitReason::Kill).await;
        let server = Doubler::start(()).name(registry.via(key("three"))).await.unwrap();
        server.stop().await.unwrap();
        let (a, b) = (a.pid(), server.pid());
        let entry = |name, pid, key: &str, cause: Option<&str>| {
            (name, pid, format!("{key:?}"), cause.map(str::to_owned))
        };
        assert_eq!(
            *told.lock().unwrap(),
            [
                entry("register", a, "one", None),
                entry("register", a, "two", None),
                entry("unregister", a, "one", Some("unregister")),
                entry("unregister", a, "two", Some("exit")),
                entry("register", b, "three", None),
                entry("unregister", b, "three", Some("exit")),
            ]
        );
    });
}

// ---- races ----------------------------------------------------------------------------------------------------------

#[test]
fn of_several_processes_racing_for_a_key_exactly_one_wins() {
    let race = async || {
        let registry = unique::<usize>().await;
        for round in 0..20 {
            let (tx, mut results) = tokio::sync::mpsc::unbounded_channel();
            let members: Vec<_> = (0..4)
                .map(|n| {
                    let (registry, tx) = (registry.clone(), tx.clone());
                    process::spawn(async move |mut mailbox: Mailbox<()>| {
                        tx.send((
                            process::self_pid().unwrap(),
                            n,
                            registry.register(format!("key-{round}"), n),
                        ))
                        .unwrap();
                        mailbox.receive().await;
                    })
                })
                .collect();
            let mut outcome = Vec::new();
            for _ in 0..4 {
                outcome.push(results.recv().await.unwrap());
            }
            let winners: Vec<_> = outcome.iter().filter(|(.., result)| result.is_ok()).collect();
            let [(winner, value, _)] = winners[..] else { panic!("{outcome:?}") };
            assert_eq!(registry.lookup(&format!("key-{round}")).unwrap(), [(*winner, *value)]);
            let lost = Err(RegistryError::AlreadyRegistered(*winner));
            assert_eq!(outcome.iter().filter(|(.., result)| *result == lost).count(), 3);
            for member in members {
                member.send(());
                process::wait(member.pid()).await;
            }
            assert_eq!(registry.count(), Ok(0));
        }
    };
    simulated(0..100, race);
    real(race);
}

/// Lets others run, so many times.
async fn yield_times(n: usize) {
    for _ in 0..n {
        process::yield_now().await;
    }
}

/// Runs a story in a process, so that the node's scheduler picks between it and the processes it starts.
async fn in_a_process<F: Future<Output = ()> + Send>(story: impl FnOnce() -> F + Send + 'static) {
    assert_eq!(outcome(story).await, ExitReason::Normal);
}

#[test]
fn nothing_is_left_of_a_process_killed_while_it_registers() {
    let churn = async || {
        for builder in [Registry::<u32, u32>::unique("unique"), Registry::duplicate("duplicate")] {
            let registry = builder.partitions(2).start().await.unwrap();
            for patience in 0..20 {
                let handle = registry.clone();
                let busy = process::spawn(async move |_: Mailbox<()>| {
                    for n in (0..10).cycle() {
                        if handle.register(n, n).is_ok() && n % 3 == 0 {
                            handle.unregister(&n).unwrap();
                        }
                        process::yield_now().await;
                    }
                });
                yield_times(patience).await;
                process::exit(busy.pid(), ExitReason::Kill);
                assert!(registry.keys(busy.pid()).unwrap().is_empty());
                process::wait(busy.pid()).await;
                assert_eq!(registry.count(), Ok(0));
            }
        }
    };
    simulated(SEEDS, || in_a_process(churn));
    real(|| in_a_process(churn));
}

#[test]
fn a_restarting_registry_and_registering_processes_leave_the_tables_right() {
    let churn = async || {
        let builder = Registry::<u32, ()>::unique("registry").partitions(2);
        let handle = builder.handle();
        let stop = Arc::new(AtomicBool::new(false));
        let members: Vec<_> = (0..3u32)
            .map(|me| {
                let (handle, stop) = (handle.clone(), stop.clone());
                process::spawn(async move |mut mailbox: Mailbox<Msg>| {
                    mailbox.trap_exits(true);
                    let mut keys = (0..20).map(|n| n * 3 + me).cycle();
                    while !stop.load(Ordering::Relaxed) {
                        let key = keys.next().unwrap();
                        match handle.register(key, ()) {
                            Ok(())
                            | Err(RegistryError::Unknown { .. } | RegistryError::AlreadyRegistered(_)) => {},
                            Err(other) => panic!("{other}"),
                        }
                        if key % 7 == 0 {
                            let _ = handle.unregister(&key);
                        }
                        process::yield_now().await;
                    }
                    loop {
                        mailbox.receive().await;
                    }
                })
            })
            .collect();
        for round in 0..20 {
            let server = RegistryServer::start(builder.clone()).await.unwrap();
            yield_times(round).await;
            process::exit(server.pid(), ExitReason::Kill);
            process::wait(server.pid()).await;
            assert!(matches!(handle.count(), Err(RegistryError::Unknown { .. })));
        }
        builder.start().await.unwrap();
        yield_times(20).await;
        stop.store(true, Ordering::Relaxed);
        for member in &members {
            let pid = member.pid();
            assert_eq!(reason_after(pid, || process::exit(pid, ExitReason::Kill)).await, ExitReason::Killed);
            assert!(handle.keys(pid).unwrap().is_empty());
        }
        assert_eq!(handle.count(), Ok(0));
        assert!((0..60).all(|key| handle.lookup(&key).unwrap().is_empty()));
    };
    simulated(SEEDS, || in_a_process(churn));
    real(|| in_a_process(churn));
}

#[test]
fn a_killed_process_is_not_found_and_its_key_is_free_even_before_its_end() {
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    rt.block_on(async {
        let node = Node::builder().start();
        node.scope(async {
            let registry = unique::<u32>().await;
            let (done, wait) = std::sync::mpsc::channel::<()>();
            let (tx, rx) = tokio::sync::oneshot::channel();
            let handle = registry.clone();
            let dying = process::spawn(async move |_: Mailbox<()>| {
                handle.register(key("hello"), 1).unwrap();
                process::exit(process::self_pid().unwrap(), ExitReason::Kill);
                // Killed, but it has not come to an await yet.
                assert_eq!(handle.register(key("late"), 1), Err(RegistryError::NoProcess));
                tx.send(()).unwrap();
                wait.recv().unwrap();
            });
            rx.await.unwrap();
            assert!(registry.lookup("hello").unwrap().is_empty());
            assert!(registry.keys(dying.pid()).unwrap().is_empty());
            assert!(registry.values("hello", dying.pid()).unwrap().is_empty());
            let heir = Member::new();
            heir.register(&registry, key("hello"), 2).await.unwrap();
            done.send(()).unwrap();
            process::wait(dying.pid()).await;
            assert_eq!(registry.lookup("hello").unwrap(), [(heir.pid(), 2)]);
            assert_eq!((registry.count(), registry.keys(heir.pid()).unwrap()), (Ok(1), vec![key("hello")]));
        })
        .await;
        node.shutdown().await;
    });
}

#[test]
fn a_key_or_value_that_panics_when_it_is_dropped_does_no_harm() {
    #[derive(Clone)]
    struct Grumpy;
    impl Drop for Grumpy {
        fn drop(&mut self) {
            panic!("grumpy");
        }
    }
    everywhere(async || {
        let registry = Registry::<u32, Option<Grumpy>>::unique("registry").start_link().await.unwrap();
        let (a, b) = (Member::new(), Member::new());
        a.register(&registry, 1, Some(Grumpy)).await.unwrap();
        a.register(&registry, 2, None).await.unwrap();
        b.register(&registry, 3, Some(Grumpy)).await.unwrap();
        a.end(ExitReason::Kill).await;
        assert_eq!(registry.count(), Ok(1));
        registry.server().unwrap().stop().await.unwrap();
        assert!(process::is_alive(b.pid()));
    });
}

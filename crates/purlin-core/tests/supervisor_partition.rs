//! A partition supervisor runs one child per partition, finds the one for a key without asking, and keeps every partition in its place.

mod supervisor_support;

use std::sync::{Arc, Mutex};

use purlin_core::supervisor::*;
use purlin_core::*;
use supervisor_support::*;

/// Knows what it was started with.
struct Shard(usize);
struct Which;
struct Break;

impl GenServer for Shard {
    type Args = usize;

    async fn init(index: usize, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Shard(index))
    }
}

impl HandleCall<Which> for Shard {
    type Reply = usize;

    async fn handle_call(&mut self, _: Which, _: &mut Cx<Self>) -> usize {
        self.0
    }
}

impl HandleCast<Break> for Shard {
    async fn handle_cast(&mut self, _: Break, cx: &mut Cx<Self>) {
        cx.stop(ExitReason::error("broken"));
    }
}

fn shards(n: usize) -> PartitionSupervisorSpec<Shard> {
    PartitionSupervisor::of_each("shards", Shard::child_spec).partitions(n)
}

/// Waits until the supervisor says that the partition runs as another process than `old`; it must be found then.
async fn restarted(shards: &PartitionSupervisor<Shard>, index: usize, old: Pid) -> Ref<Shard> {
    loop {
        let all = shards.which_children().await.unwrap();
        let child =
            all.into_iter().find(|child| child.id.as_ref().is_some_and(|id| *id == *index.to_string()));
        match child.and_then(|child| child.status.pid()) {
            Some(new) if new != old => {
                let found = shards.partition(index).unwrap();
                assert_eq!(found.pid(), new);
                return found;
            },
            _ => process::yield_now().await,
        }
    }
}

#[test]
fn s103_as_many_partitions_are_started_as_asked_for_each_with_its_index_and_none_is_too_few() {
    everywhere(|| async {
        let three = shards(3).start_link().await.unwrap();
        assert_eq!(three.partitions(), Ok(3));
        for index in 0..3 {
            assert_eq!(three.partition(index).unwrap().call(Which).await.unwrap(), index);
        }
        assert_eq!(
            three.partition(3),
            Err(PartitionError::NotRunning { name: "shards".into(), partition: 3 })
        );
        three.stop().await.unwrap();
        let error = shards(0).start_link().await.unwrap_err();
        assert_eq!(
            error,
            StartError::Failed(ExitReason::error(
                "the partition supervisor \"shards\" needs at least one partition"
            ))
        );
        assert!(process::whereis("shards").is_none());
    });
}

#[test]
fn s103_without_a_number_there_are_as_many_partitions_as_executors() {
    for workers in [1, 3] {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
        runtime.block_on(async {
            let node = Node::builder().start();
            node.scope(async {
                let shards = PartitionSupervisor::of_each("shards", Shard::child_spec).start().await.unwrap();
                assert_eq!(shards.partitions(), Ok(workers));
                assert_eq!(shards.count_children().await.unwrap().active, workers);
            })
            .await;
            node.shutdown().await;
        });
    }
}

#[test]
fn s103_one_child_for_all_partitions_has_no_name_of_its_own() {
    everywhere(|| async {
        let named = PartitionSupervisor::of("shards", Shard::child_spec(0).name("shard")).partitions(2);
        let error = named.start_link().await.unwrap_err();
        let failed = FailedToStartChild::in_error(&error).unwrap();
        assert_eq!(failed.id.as_str(), "0");
        assert_eq!(
            failed.error.to_string(),
            "`init` failed: the partitions cannot all be registered as \"shard\"; leave the child's name away, or describe \
             each with `of_each`"
        );
        // Names that differ are fine.
        let each =
            PartitionSupervisor::of_each("shards", |n| Shard::child_spec(n).name(format!("shard {n}")));
        let shards = each.partitions(2).start_link().await.unwrap();
        assert_eq!(process::whereis("shard 1"), Some(shards.partition(1).unwrap().pid()));
        shards.stop().await.unwrap();
    });
}

#[test]
fn s103_strategy_and_intensity_are_those_of_any_supervisor() {
    everywhere(|| async {
        let all = shards(3).strategy(Strategy::OneForAll).max_restarts(1, secs(5)).start().await.unwrap();
        let supervisor = all.supervisor().unwrap();
        let before: Vec<Pid> = (0..3).map(|n| all.partition(n).unwrap().pid()).collect();
        all.partition(1).unwrap().cast(Break);
        for (index, old) in before.into_iter().enumerate() {
            restarted(&all, index, old).await;
        }
        all.partition(0).unwrap().cast(Break);
        assert_eq!(supervisor.wait().await, ExitReason::Shutdown);
        assert_eq!(all.partitions(), Err(PartitionError::Unknown { name: "shards".into() }));
        assert_eq!(all.get(&1), Err(PartitionError::Unknown { name: "shards".into() }));
    });
}

#[test]
fn s104_a_key_always_finds_the_same_partition() {
    everywhere(|| async {
        let four = shards(4).start_link().await.unwrap();
        for key in -9..=9i64 {
            let index = key.unsigned_abs() as usize % 4;
            assert_eq!(four.get(&key).unwrap().call(Which).await.unwrap(), index, "key {key}");
            assert_eq!(four.via(key).call(Which).await.unwrap(), index, "key {key}");
            assert_eq!(four.index_of(&key), Ok(index));
        }
        let mut used = [false; 4];
        for n in 0..64 {
            let key = format!("room-{n}");
            let index = four.index_of(&key).unwrap();
            used[index] = true;
            assert_eq!(four.get(key.as_str()).unwrap().call(Which).await.unwrap(), index);
            assert_eq!(four.via(key.clone()).call(Which).await.unwrap(), index);
            assert_eq!(four.get(&key), four.partition(index));
        }
        assert_eq!(used, [true; 4], "texts are spread over all partitions");
        four.stop().await.unwrap();
    });
}

#[test]
fn s104_a_key_s_partition_is_the_same_after_a_restart_of_the_program() {
    let indexes = || {
        let found = Arc::new(Mutex::new(Vec::new()));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let node = Node::builder().simulated(rand_seed()).start();
            node.scope(async {
                let shards = shards(16).start().await.unwrap();
                for n in 0..32 {
                    found.lock().unwrap().push(shards.index_of(&format!("user {n}")).unwrap());
                }
            })
            .await;
            node.shutdown().await;
        });
        Arc::try_unwrap(found).unwrap().into_inner().unwrap()
    };
    assert_eq!(indexes(), indexes());
}

/// Another one for each node.
fn rand_seed() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn s105_a_restarted_partition_keeps_its_index_and_is_found_in_its_place() {
    everywhere(|| async {
        let shards = shards(3).start_link().await.unwrap();
        let name = shards.via(4);
        let (others, old) = ([0, 2].map(|n| shards.partition(n).unwrap()), shards.partition(1).unwrap());
        old.cast(Break);
        let new = restarted(&shards, 1, old.pid()).await;
        assert_eq!(new.call(Which).await.unwrap(), 1);
        assert_eq!(name.whereis().as_ref(), Some(&new));
        assert_eq!(name.call(Which).await.unwrap(), 1);
        assert_eq!(shards.get(&-1).unwrap(), new);
        assert_eq!([0, 2].map(|n| shards.partition(n).unwrap()), others);
        let listed = shards.which_children().await.unwrap();
        let one = listed.iter().find(|child| child.id.as_ref().is_some_and(|id| *id == "1")).unwrap();
        assert_eq!(one.status, ChildStatus::Running(new.pid()));
        shards.stop().await.unwrap();
    });
}

#[test]
fn s105_a_partition_that_is_down_is_not_found_and_the_error_says_so() {
    everywhere(|| async {
        let journal = Journal::new();
        let plans = ["a", "b"].map(|id| Plan::new(id, &journal).script([None, Some(Init::Ignore)]));
        let workers = PartitionSupervisor::of_each("workers", move |n| Worker::child_spec(plans[n].clone()))
            .partitions(2);
        let workers = workers.start_link().await.unwrap();
        let name = workers.via(1);
        let ended = workers.get(&1).unwrap();
        ended.cast(End(ExitReason::error("broken")));
        ended.wait().await;
        journal.wait("try b", 1).await;
        let error = workers.get(&1).unwrap_err();
        assert_eq!(error, PartitionError::NotRunning { name: "workers".into(), partition: 1 });
        assert_eq!(error.to_string(), "partition 1 of \"workers\" is not running");
        let error = name.call(Id).await.unwrap_err();
        assert!(error.is_no_proc() && error.to_string().contains("workers/1"), "{error}");
        assert_eq!(workers.get(&0).unwrap().call(Id).await.unwrap(), "a");
        workers.stop().await.unwrap();
    });
}

#[test]
fn s107_after_a_resize_keys_go_to_the_partitions_that_are_left() {
    everywhere(|| async {
        let shards = shards(4).start_link().await.unwrap();
        let name = shards.via(3);
        let kept = shards.partition(0).unwrap();
        let gone = shards.partition(3).unwrap();
        shards.resize(2).await.unwrap();
        assert!(!gone.is_alive());
        assert_eq!((shards.partitions(), shards.index_of(&3)), (Ok(2), Ok(1)));
        assert_eq!(name.call(Which).await.unwrap(), 1);
        assert_eq!(shards.partition(0).unwrap(), kept);
        assert!(matches!(shards.partition(3), Err(PartitionError::NotRunning { partition: 3, .. })));
        shards.resize(4).await.unwrap();
        assert_eq!(name.call(Which).await.unwrap(), 3);
        assert_eq!(shards.partition(0).unwrap(), kept);
        let error = shards.resize(5).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "5 partitions are more than the 4 that the supervisor was started with"
        );
        shards.stop().await.unwrap();
    });
}

#[test]
fn s107_a_lookup_after_a_resize_to_zero_and_one_of_an_unknown_supervisor_are_errors() {
    everywhere(|| async {
        let shards = shards(2).start_link().await.unwrap();
        let (named, name) = (PartitionSupervisor::<Shard>::named("shards"), shards.via("lobby"));
        shards.resize(0).await.unwrap();
        let error = named.get("lobby").unwrap_err();
        assert_eq!(error, PartitionError::NoPartitions { name: "shards".into() });
        assert_eq!(error.to_string(), "\"shards\" has no partitions: it was resized to 0");
        assert!(name.call(Which).await.unwrap_err().is_no_proc());
        shards.stop().await.unwrap();
        let unknown = PartitionError::Unknown { name: "shards".into() };
        assert_eq!(unknown.to_string(), "no partition supervisor \"shards\" is running on this node");
        assert_eq!((named.get("lobby"), shards.get("lobby")), (Err(unknown.clone()), Err(unknown.clone())));
        assert_eq!(named.partitions(), Err(unknown.clone()));
        assert!(matches!(named.resize(1).await, Err(ResizeError::Lookup(error)) if error == unknown));
        assert!(name.call(Which).await.unwrap_err().is_no_proc());
        assert!(named.which_children().await.unwrap_err().is_no_proc());
        assert!(matches!(named.stop().await, Err(StopError::NoProc)));
    });
}

#[test]
fn s107_a_resize_that_cannot_start_a_partition_leaves_their_number_as_it_was() {
    everywhere(|| async {
        let journal = Journal::new();
        let scripts = [vec![], vec![None, None], vec![None, Some(Init::Fail("no room")), None], vec![]];
        let ids = ["a", "b", "c", "d"];
        let plans: Vec<_> =
            ids.iter().zip(scripts).map(|(id, script)| Plan::new(id, &journal).script(script)).collect();
        let workers = PartitionSupervisor::of_each("workers", move |n| Worker::child_spec(plans[n].clone()))
            .partitions(4);
        let workers = workers.start_link().await.unwrap();
        workers.resize(1).await.unwrap();
        journal.clear();
        let error = workers.resize(4).await.unwrap_err();
        assert_eq!(error.to_string(), "partition 2 did not start again: `init` failed: no room");
        assert_eq!(journal.all(), texts(["start b", "try c", "down b"]));
        assert_eq!((workers.partitions(), workers.count_children().await.unwrap().active), (Ok(1), 1));
        assert_eq!(workers.get(&3).unwrap().call(Id).await.unwrap(), "a");
        workers.resize(4).await.unwrap();
        assert_eq!(workers.get(&3).unwrap().call(Id).await.unwrap(), "d");
        workers.stop().await.unwrap();
    });
}

#[test]
fn s107_what_is_no_partition_supervisor_of_these_servers_is_refused_by_name() {
    everywhere(|| async {
        let shards = shards(1).start_link().await.unwrap();
        let error = PartitionSupervisor::<Worker>::named("shards").get(&1).unwrap_err();
        assert!(
            error.to_string().starts_with("\"shards\" is a partition supervisor of other servers, not a")
        );
        let plain = Supervisor::one_for_one().name("plain").start_link().await.unwrap();
        let error = PartitionSupervisor::<Shard>::named("plain").get(&1).unwrap_err();
        assert!(error.to_string().starts_with("\"plain\" is a supervisor without partitions, not a"));
        let shard = Shard::start(0).name("shard").await.unwrap();
        let error = PartitionSupervisor::<Shard>::named("shard").get(&1).unwrap_err();
        assert!(error.to_string().starts_with("\"shard\" is a server of another type, not a"));
        shard.stop().await.unwrap();
        plain.stop().await.unwrap();
        // A partition's name is there to call by.
        let error = Shard::start(7).name(shards.via("lobby")).await.unwrap_err();
        assert!(error.to_string().contains("\"shards/lobby\" is a partition"), "{error}");
        shards.stop().await.unwrap();
    });
}

#[test]
fn s108_all_partitions_are_counted_and_listed_by_their_index() {
    everywhere(|| async {
        let shards = shards(3).start_link().await.unwrap();
        let listed = |children: Vec<ChildInfo>| -> Vec<(String, Option<Pid>)> {
            children.into_iter().map(|c| (c.id.unwrap().to_string(), c.status.pid())).collect()
        };
        let pid = |n: usize| shards.partition(n).ok().map(|shard| shard.pid());
        let all = listed(shards.which_children().await.unwrap());
        assert_eq!(all, [("2".into(), pid(2)), ("1".into(), pid(1)), ("0".into(), pid(0))]);
        assert!(all.iter().all(|(_, pid)| pid.is_some()));
        let counts = ChildCounts { specs: 3, active: 3, supervisors: 0, workers: 3 };
        assert_eq!(shards.count_children().await.unwrap(), counts);
        shards.resize(1).await.unwrap();
        let all = listed(shards.which_children().await.unwrap());
        assert_eq!(all, [("2".into(), None), ("1".into(), None), ("0".into(), pid(0))]);
        assert_eq!(shards.count_children().await.unwrap(), ChildCounts { active: 1, ..counts });
        shards.stop().await.unwrap();
    });
}

#[test]
fn under_a_supervisor_it_comes_back_with_all_partitions_and_handles_stay_good() {
    everywhere(|| async {
        static SHARDS: PartitionSupervisor<Shard> = PartitionSupervisor::named("shards");
        let spec = shards(2).max_restarts(0, secs(5));
        let bound = spec.handle();
        assert_eq!(bound.partitions(), Err(PartitionError::Unknown { name: "shards".into() }));
        let root = Supervisor::one_for_one().child(spec).start_link().await.unwrap();
        assert_eq!(root.which_children().await.unwrap()[0].module, "PartitionSupervisor");
        assert_eq!(root.count_children().await.unwrap().supervisors, 1);
        bound.resize(1).await.unwrap();
        let (old, supervisor) = (SHARDS.get(&0).unwrap(), bound.supervisor().unwrap());
        old.cast(Break);
        supervisor.wait().await;
        loop {
            match SHARDS.partitions() {
                Ok(2) if SHARDS.partition(1).is_ok() => break,
                _ => process::yield_now().await,
            }
        }
        assert_ne!(SHARDS.get(&0).unwrap().pid(), old.pid());
        assert_eq!(bound.get(&1), SHARDS.get(&1));
        assert_eq!(bound.get(&1).unwrap().call(Which).await.unwrap(), 1);
        root.stop().await.unwrap();
        assert!(SHARDS.get(&1).is_err() && bound.get(&1).is_err());
    });
}

#[test]
fn two_of_one_description_do_not_run_at_a_time() {
    everywhere(|| async {
        let spec = shards(1);
        let first = spec.clone().start_link().await.unwrap();
        let pid = first.supervisor().unwrap().pid();
        assert_eq!(spec.clone().start().await.unwrap_err(), StartError::AlreadyStarted(pid));
        first.stop().await.unwrap();
        spec.start_link().await.unwrap();
        assert_eq!(first.get(&9).unwrap().call(Which).await.unwrap(), 0);
        first.stop().await.unwrap();
    });
}

//! One scenario per statement about dynamic supervisors, and random histories against a naive list of children.

use std::collections::VecDeque;

use super::super::spec::SpecError;
use super::*;

fn flags(max_restarts: u32) -> DynamicFlags {
    DynamicFlags { max_restarts, ..DynamicFlags::default() }
}

fn sup() -> DynamicChildren<&'static str> {
    DynamicChildren::new(&flags(100)).unwrap()
}

fn worker(restart: Restart) -> SpecFields {
    SpecFields::new("ignored", "Test").restart(restart)
}

fn pid(n: u32) -> Pid {
    Pid::from_parts(1, n, 0)
}

fn boom() -> ExitReason {
    ExitReason::error("boom")
}

fn child(n: u32, restart: Restart) -> DynamicStop {
    DynamicStop { pid: pid(n), traits: DynamicTraits::of(&worker(restart)) }
}

fn statuses<T>(sup: &DynamicChildren<T>) -> Vec<ChildStatus> {
    sup.which_children().into_iter().map(|info| info.status).collect()
}

#[test]
fn s39_a_permanent_child_is_restarted_after_any_end_under_its_new_process() {
    let mut sup = sup();
    sup.insert(pid(1), &worker(Restart::Permanent), "arguments");
    for (n, reason) in (1..).zip([ExitReason::Normal, ExitReason::shutdown_with(1), boom()]) {
        let decision = sup.on_exit(pid(n), &reason, 0);
        assert_eq!(decision, DynamicDecision::Restart { child: child(n, Restart::Permanent), report: true });
        assert_eq!(decision.reported(), Some(&child(n, Restart::Permanent)));
        assert_eq!(sup.start_of(pid(n)), Some(&"arguments"), "s53: its own arguments");
        assert_eq!(sup.restarted(pid(n), Some(pid(n + 1))), Restarted::Running);
        assert_eq!(statuses(&sup), [ChildStatus::Running(pid(n + 1))]);
        assert_eq!(sup.on_exit(pid(n), &reason, 0), DynamicDecision::Ignore);
    }
    assert_eq!(sup.intensity().used(0), 3);
}

#[test]
fn s40_s41_s42_s43_s69_clean_transient_and_all_temporary_ends_forget_the_child_and_do_not_count() {
    let mut sup = sup();
    for (n, restart, reason, report) in [
        (1, Restart::Transient, ExitReason::Normal, false),
        (2, Restart::Transient, ExitReason::Shutdown, false),
        (3, Restart::Temporary, ExitReason::shutdown_with("x"), false),
        (4, Restart::Temporary, boom(), true),
    ] {
        sup.insert(pid(n), &worker(restart), "arguments");
        let decision = sup.on_exit(pid(n), &reason, 0);
        assert_eq!(decision, DynamicDecision::Removed { child: child(n, restart), report });
        assert_eq!(decision.reported().is_some(), report);
        assert_eq!(sup.len(), 0);
    }
    assert_eq!(sup.intensity().used(0), 0);
    sup.insert(pid(5), &worker(Restart::Transient), "arguments");
    assert!(matches!(sup.on_exit(pid(5), &boom(), 0), DynamicDecision::Restart { .. }));
}

#[test]
fn s46_the_arguments_of_a_temporary_child_are_not_kept() {
    let mut sup = sup();
    sup.insert(pid(1), &worker(Restart::Temporary), "arguments");
    assert_eq!(sup.start_of(pid(1)), None);
}

#[test]
fn s59_s99_a_failed_restart_is_retried_by_message_until_the_intensity_is_exceeded() {
    let mut sup = DynamicChildren::new(&flags(2)).unwrap();
    sup.insert(pid(1), &worker(Restart::Permanent), "arguments");
    sup.insert(pid(2), &worker(Restart::Permanent), "arguments");
    assert!(matches!(sup.on_exit(pid(1), &boom(), 0), DynamicDecision::Restart { report: true, .. }));
    let retry = sup.restart_failed(pid(1)).unwrap();
    assert!(matches!(sup.on_retry(retry, 0), DynamicDecision::Restart { report: false, .. }));
    let retry = sup.restart_failed(pid(1)).unwrap();
    let gave_up = DynamicDecision::GiveUp { child: child(1, Restart::Permanent), report: false };
    assert_eq!(sup.on_retry(retry, 0), gave_up);
    assert_eq!(sup.stop_all().stop, [child(2, Restart::Permanent)]);
    assert_eq!(sup.on_retry(retry, 0), DynamicDecision::Ignore);
}

#[test]
fn s65_with_intensity_zero_the_first_needed_restart_gives_up() {
    let mut sup = DynamicChildren::new(&flags(0)).unwrap();
    sup.insert(pid(1), &worker(Restart::Transient), ());
    let gave_up = DynamicDecision::GiveUp { child: child(1, Restart::Transient), report: true };
    assert_eq!(sup.on_exit(pid(1), &boom(), 0), gave_up);
    assert_eq!((sup.len(), sup.restarting()), (0, 0));
}

#[test]
fn s94_a_restart_that_is_ignored_forgets_the_child() {
    let mut sup = sup();
    sup.insert(pid(1), &worker(Restart::Permanent), "arguments");
    let _ = sup.on_exit(pid(1), &boom(), 0);
    assert_eq!(sup.restarted(pid(1), None), Restarted::Removed);
    assert_eq!((sup.len(), sup.restarting()), (0, 0));
}

#[test]
fn s98_all_are_stopped_at_once_with_one_deadline_per_distinct_timeout() {
    let mut sup = sup();
    let second = Duration::from_secs(1);
    let specs = [
        worker(Restart::Permanent).shutdown(second),
        worker(Restart::Temporary).shutdown(Shutdown::BrutalKill),
        worker(Restart::Transient).shutdown(Shutdown::Infinity),
        worker(Restart::Permanent).shutdown(second),
        worker(Restart::Permanent),
        worker(Restart::Permanent),
    ];
    for (n, fields) in (1..).zip(&specs) {
        sup.insert(pid(n), fields, "arguments");
    }
    let _ = sup.on_exit(pid(6), &boom(), 0);
    let _retry = sup.restart_failed(pid(6)).unwrap();
    let mut plan = sup.stop_all();
    plan.stop.sort_by_key(|stop| stop.pid);
    plan.deadlines.values_mut().for_each(|pids| pids.sort());
    assert_eq!(plan.stop.iter().map(|stop| stop.pid).collect::<Vec<_>>(), [1, 2, 3, 4, 5].map(pid));
    assert_eq!(
        plan.deadlines.into_iter().collect::<Vec<_>>(),
        [(second, vec![pid(1), pid(4)]), (Duration::from_secs(5), vec![pid(5)])]
    );
    assert_eq!((sup.len(), sup.restarting()), (0, 0));
}

#[test]
fn s100_an_invalid_or_significant_specification_is_refused() {
    let sup = sup();
    let empty = SpecFields::new("", "Test");
    let missing = SpecError::MissingId { module: "Test" };
    assert_eq!(sup.admit(&empty), Err(StartRefused::Spec(missing)));
    let significant = worker(Restart::Temporary).significant(true);
    let error = SpecError::SignificantButNeverShutdown { id: "ignored".into() };
    assert_eq!(sup.admit(&significant), Err(StartRefused::Spec(error)));
    assert!(DynamicChildren::<()>::new(&DynamicFlags { period: Duration::ZERO, ..flags(1) }).is_err());
}

#[test]
fn s101_restarting_children_are_listed_without_id_and_count_against_max_children() {
    let limited = DynamicFlags { max_children: Some(2), ..flags(100) };
    let mut sup = DynamicChildren::new(&limited).unwrap();
    sup.insert(pid(1), &worker(Restart::Permanent), ());
    assert_eq!(sup.admit(&worker(Restart::Permanent)), Ok(()));
    sup.insert(pid(2), &worker(Restart::Permanent).child_type(ChildType::Supervisor), ());
    let full = StartRefused::MaxChildren { limit: 2 };
    assert_eq!(sup.admit(&worker(Restart::Permanent)), Err(full.clone()));
    let _ = sup.on_exit(pid(1), &boom(), 0);
    let _retry = sup.restart_failed(pid(1)).unwrap();
    assert_eq!(sup.admit(&worker(Restart::Permanent)), Err(full));
    assert!(sup.which_children().iter().all(|info| info.id.is_none()));
    assert_eq!(statuses(&sup), [ChildStatus::Restarting, ChildStatus::Running(pid(2))]);
    let counts = ChildCounts { specs: 2, active: 1, supervisors: 1, workers: 1 };
    assert_eq!(sup.count_children(), counts);
    assert_eq!(sup.terminate_child(pid(1)), Ok(None));
    assert_eq!(sup.admit(&worker(Restart::Permanent)), Ok(()));
    let none = DynamicChildren::<()>::new(&DynamicFlags { max_children: Some(0), ..flags(1) }).unwrap();
    assert_eq!(none.admit(&worker(Restart::Permanent)), Err(StartRefused::MaxChildren { limit: 0 }));
}

#[test]
fn s102_tolerated_reasons_differ_from_those_of_a_static_supervisor() {
    let traits = |restart, shutdown: Shutdown| DynamicTraits::of(&worker(restart).shutdown(shutdown));
    let permanent = traits(Restart::Permanent, Shutdown::Infinity);
    assert!(permanent.expects_stop(&ExitReason::Shutdown));
    assert!(permanent.expects_stop(&ExitReason::shutdown_with("why")));
    assert!(!worker(Restart::Permanent).expects_stop(&ExitReason::shutdown_with("why")));
    assert!(!permanent.expects_stop(&ExitReason::Normal));
    assert!(!permanent.expects_stop(&ExitReason::Killed));
    assert!(traits(Restart::Temporary, Shutdown::Infinity).expects_stop(&ExitReason::Normal));
    let brutal = traits(Restart::Temporary, Shutdown::BrutalKill);
    assert!(brutal.expects_stop(&ExitReason::Killed));
    assert!(!brutal.expects_stop(&ExitReason::Shutdown));
}

#[test]
fn terminating_a_child_that_is_being_restarted_calls_the_restart_off() {
    let mut sup = sup();
    sup.insert(pid(1), &worker(Restart::Permanent), "arguments");
    let _ = sup.on_exit(pid(1), &boom(), 0);
    let retry = sup.restart_failed(pid(1)).unwrap();
    assert_eq!(sup.terminate_child(pid(1)), Ok(None));
    assert_eq!(sup.on_retry(retry, 0), DynamicDecision::Ignore);
    assert_eq!(sup.terminate_child(pid(1)), Err(NotAChild { pid: pid(1) }));
    // The same while its start function is running.
    sup.insert(pid(2), &worker(Restart::Permanent), "arguments");
    let _ = sup.on_exit(pid(2), &boom(), 0);
    assert_eq!(sup.terminate_child(pid(2)), Ok(None));
    assert_eq!(sup.restarted(pid(2), Some(pid(3))), Restarted::Unwanted);
    assert_eq!(sup.restart_failed(pid(2)), None);
    assert_eq!(sup.len(), 0);
}

#[test]
fn terminating_a_running_child_answers_what_to_stop_and_its_exit_is_a_strangers() {
    let mut sup = sup();
    sup.insert(pid(1), &worker(Restart::Permanent), "arguments");
    assert_eq!(sup.terminate_child(pid(1)), Ok(Some(child(1, Restart::Permanent))));
    assert_eq!(sup.on_exit(pid(1), &ExitReason::Shutdown, 0), DynamicDecision::Ignore);
}

#[test]
fn new_flags_keep_the_children_and_the_counted_restarts() {
    let mut sup = DynamicChildren::new(&flags(5)).unwrap();
    for n in [1, 2] {
        sup.insert(pid(n), &worker(Restart::Permanent), ());
    }
    let _ = sup.on_exit(pid(1), &boom(), 0);
    assert_eq!(sup.restarted(pid(1), Some(pid(3))), Restarted::Running);
    let limited = DynamicFlags { max_children: Some(1), ..flags(1) };
    sup.update(&limited).unwrap();
    assert!(sup.update(&DynamicFlags { period: Duration::ZERO, ..flags(9) }).is_err());
    assert_eq!(sup.len(), 2);
    assert_eq!(sup.admit(&worker(Restart::Permanent)), Err(StartRefused::MaxChildren { limit: 1 }));
    assert!(matches!(sup.on_exit(pid(2), &boom(), 0), DynamicDecision::GiveUp { .. }));
}

/// A child in the naive model: a list of these is all it has.
struct Naive {
    pid: Pid,
    restart: Restart,
    running: bool,
    tag: u64,
}

/// Random histories: no child is lost or doubled, each keeps its own start, and restarts are counted exactly.
#[test]
fn random_histories_agree_with_a_naive_list() {
    let (mut gave_up, mut retried) = (0, 0);
    for seed in 0..600u64 {
        let mut rng = Rng(seed);
        let limits = DynamicFlags {
            max_restarts: rng.below(30) as u32,
            period: Duration::from_secs(1 + rng.below(3)),
            max_children: Some(1 + rng.below(12) as usize),
        };
        let mut sup = DynamicChildren::new(&limits).unwrap();
        let mut naive: Vec<Naive> = Vec::new();
        let mut stamps: Vec<i64> = Vec::new();
        let mut retries: VecDeque<(DynamicRetry, Pid)> = VecDeque::new();
        let (mut next, mut now) = (1, 0u64);
        let mut over = false;
        for _ in 0..300 {
            now += rng.below(5) / 4;
            // Which child is to be started again, if this step is the end of one or a retry.
            let mut decided = None;
            match rng.below(8) {
                0 | 1 => {
                    let restart =
                        [Restart::Permanent, Restart::Transient, Restart::Temporary][rng.below(3) as usize];
                    let admitted = sup.admit(&worker(restart)).is_ok();
                    assert_eq!(admitted, naive.len() < limits.max_children.unwrap());
                    if admitted {
                        sup.insert(pid(next), &worker(restart), u64::from(next));
                        naive.push(Naive { pid: pid(next), restart, running: true, tag: u64::from(next) });
                        next += 1;
                    }
                },
                2 => {
                    let target = pid(1 + rng.below(u64::from(next)) as u32);
                    let at = naive.iter().position(|child| child.pid == target);
                    let running = at.map(|at| naive.remove(at).running);
                    let answer = sup.terminate_child(target).map(|stop| stop.is_some());
                    assert_eq!(answer.ok(), running);
                },
                3 => {
                    if let Some((retry, old)) = retries.pop_front() {
                        let waiting = naive.iter().any(|child| child.pid == old && !child.running);
                        let decision = sup.on_retry(retry, now);
                        retried += u32::from(waiting);
                        assert_eq!(decision == DynamicDecision::Ignore, !waiting);
                        decided = waiting.then_some((old, decision));
                    }
                },
                _ => {
                    let target = pid(1 + rng.below(u64::from(next)) as u32);
                    let clean = rng.below(3) == 0;
                    let reason = if clean { ExitReason::Normal } else { boom() };
                    let decision = sup.on_exit(target, &reason, now);
                    let at = naive.iter().position(|child| child.pid == target && child.running);
                    match at.map(|at| naive[at].restart) {
                        None => assert_eq!(decision, DynamicDecision::Ignore),
                        Some(Restart::Permanent) => decided = Some((target, decision)),
                        Some(Restart::Transient) if !clean => decided = Some((target, decision)),
                        Some(_) => {
                            assert!(matches!(decision, DynamicDecision::Removed { .. }));
                            naive.remove(at.unwrap());
                        },
                    }
                },
            }
            if let Some((old, decision)) = decided {
                let at = naive.iter().position(|child| child.pid == old).unwrap();
                stamps.push(now as i64);
                stamps.retain(|stamp| *stamp >= now as i64 - limits.period.as_secs() as i64);
                if stamps.len() > limits.max_restarts as usize {
                    assert!(matches!(decision, DynamicDecision::GiveUp { .. }));
                    naive.remove(at);
                    over = true;
                } else {
                    assert!(matches!(decision, DynamicDecision::Restart { .. }));
                    assert_eq!(sup.start_of(old), Some(&naive[at].tag));
                    match rng.below(4) {
                        0 => {
                            retries.push_back((sup.restart_failed(old).unwrap(), old));
                            naive[at].running = false;
                        },
                        1 => {
                            assert_eq!(sup.restarted(old, None), Restarted::Removed);
                            naive.remove(at);
                        },
                        _ => {
                            assert_eq!(sup.restarted(old, Some(pid(next))), Restarted::Running);
                            let child = &mut naive[at];
                            (child.pid, child.running) = (pid(next), true);
                            next += 1;
                        },
                    }
                }
            }
            naive.sort_by_key(|child| child.pid);
            let expected: Vec<ChildStatus> = naive
                .iter()
                .map(|c| if c.running { ChildStatus::Running(c.pid) } else { ChildStatus::Restarting })
                .collect();
            assert_eq!(statuses(&sup), expected, "seed {seed}");
            let counts = sup.count_children();
            assert_eq!((counts.specs, counts.specs - counts.active), (sup.len(), sup.restarting()));
            assert_eq!(sup.intensity().used(now), in_window(&stamps, now, &limits), "seed {seed}");
            if over {
                gave_up += 1;
                break;
            }
        }
        let mut stopped: Vec<Pid> = sup.stop_all().stop.into_iter().map(|stop| stop.pid).collect();
        stopped.sort();
        let running: Vec<Pid> = naive.iter().filter(|child| child.running).map(|child| child.pid).collect();
        assert_eq!(stopped, running, "seed {seed}");
    }
    assert!(gave_up > 100 && retried > 500, "{gave_up} {retried}");
}

fn in_window(stamps: &[i64], now: u64, limits: &DynamicFlags) -> u64 {
    let oldest = now as i64 - limits.period.as_secs() as i64;
    stamps.iter().filter(|stamp| **stamp >= oldest).count() as u64
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    /// A number in `0..n`.
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

#[test]
fn a_process_that_is_given_for_two_children_is_the_later_one() {
    let mut sup = sup();
    for n in [1, 2] {
        sup.insert(pid(n), &worker(Restart::Permanent), "arguments");
        let _ = sup.on_exit(pid(n), &boom(), 0);
    }
    assert_eq!((sup.len(), sup.restarting()), (2, 2));
    // Start functions of one's own may answer anything: here, twice, a process that is known as a child being restarted.
    assert_eq!(sup.restarted(pid(2), Some(pid(1))), Restarted::Running);
    assert_eq!((sup.len(), sup.restarting()), (1, 0));
    let _ = sup.on_exit(pid(1), &boom(), 0);
    sup.insert(pid(1), &worker(Restart::Permanent), "arguments");
    assert_eq!((sup.len(), sup.restarting()), (1, 0));
    assert_eq!(statuses(&sup), [ChildStatus::Running(pid(1))]);
}

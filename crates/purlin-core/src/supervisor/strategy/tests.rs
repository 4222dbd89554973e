//! One scenario per statement about strategies, retries, administration and automatic shutdown.

use std::collections::{BTreeMap, VecDeque};

use super::super::admin::{ChildCounts, ChildNotFound, ChildRefused, StartRefused};
use super::super::spec::ChildType;
use super::*;
use std::time::Duration;

/// A supervisor whose children start unless told otherwise, and a diary of what it does.
struct Sup {
    children: Children<&'static str>,
    next_pid: u32,
    /// Ids whose next starts fail, with how often.
    failing: BTreeMap<&'static str, u32>,
    /// Ids whose start is ignored.
    ignoring: Vec<&'static str>,
    retries: VecDeque<Retry>,
    now: u64,
}

fn flags(strategy: Strategy) -> Flags {
    Flags { max_restarts: 100, ..Flags::new(strategy) }
}

fn permanent(id: &str) -> SpecFields {
    SpecFields::new(id, "Test")
}

fn transient(id: &str) -> SpecFields {
    permanent(id).restart(Restart::Transient)
}

fn temporary(id: &str) -> SpecFields {
    permanent(id).restart(Restart::Temporary)
}

fn id(id: &str) -> ChildId {
    id.into()
}

fn boom() -> ExitReason {
    ExitReason::error("boom")
}

impl Sup {
    fn new(flags: &Flags, specs: impl IntoIterator<Item = SpecFields>) -> Self {
        let specs = specs.into_iter().map(|fields| (fields, "arguments")).collect();
        let mut sup = Self {
            children: Children::new(flags, specs).unwrap(),
            next_pid: 1,
            failing: BTreeMap::new(),
            ignoring: Vec::new(),
            retries: VecDeque::new(),
            now: 0,
        };
        for key in sup.children.initial_start() {
            sup.start(key);
        }
        sup
    }

    fn abcd(strategy: Strategy) -> Self {
        Self::new(&flags(strategy), ["a", "b", "c", "d"].map(permanent))
    }

    /// `false` if the start failed; then nothing has been told to the state machine.
    fn start(&mut self, key: ChildKey) -> bool {
        let id = self.children.fields(key).unwrap().id.clone();
        assert_eq!(self.children.start_of(key), Some(&"arguments"), "{id}");
        if let Some(times) = self.failing.get_mut(id.as_str()).filter(|times| **times > 0) {
            *times -= 1;
            return false;
        }
        if self.ignoring.iter().any(|ignoring| id == *ignoring) {
            self.children.started(key, None);
            return true;
        }
        let pid = Pid::from_parts(1, self.next_pid, 0);
        self.next_pid += 1;
        assert_eq!(self.children.started(key, Some(pid)), Started::Running);
        true
    }

    fn pid(&self, id: &str) -> Pid {
        self.status(id).pid().unwrap()
    }

    fn status(&self, id: &str) -> ChildStatus {
        let found = self.children.iter().find(|(_, fields, _)| fields.id == id);
        found.map(|(_, _, status)| status).unwrap()
    }

    fn ids(&self) -> Vec<String> {
        self.children.iter().map(|(_, fields, _)| fields.id.to_string()).collect()
    }

    /// The child ends; the decision is carried out; what happened as words.
    fn end(&mut self, id: &str, reason: &ExitReason) -> String {
        let decision = self.children.on_exit(self.pid(id), reason, self.now);
        self.carry_out(decision)
    }

    fn retry(&mut self) -> String {
        let retry = self.retries.pop_front().unwrap();
        let decision = self.children.on_retry(&retry, self.now);
        self.carry_out(decision)
    }

    fn carry_out(&mut self, decision: Decision) -> String {
        let mut words = Vec::new();
        if decision.reported().is_some() {
            words.push("report".to_string());
        }
        match decision {
            Decision::Ignore => words.push("ignore".into()),
            Decision::Removed { child, .. } => words.push(format!("removed {}", child.fields.id)),
            Decision::Keep { child } => words.push(format!("keep {}", child.fields.id)),
            Decision::AutoShutdown { .. } => words.push("auto_shutdown".into()),
            Decision::GiveUp { child, .. } => words.push(format!("give_up {}", child.fields.id)),
            Decision::Restart { round, .. } => {
                words.extend(round.stop.iter().map(|stop| format!("-{}", stop.fields.id)));
                for key in round.start {
                    let id = self.children.fields(key).unwrap().id.clone();
                    if !self.start(key) {
                        self.retries.push_back(self.children.start_failed(key).unwrap());
                        words.push(format!("!{id}"));
                        break;
                    }
                    words.push(format!("+{id}"));
                }
            },
        }
        words.join(" ")
    }

    fn stop_all(&mut self) -> Vec<String> {
        self.children.stop_all().into_iter().map(|stop| stop.fields.id.to_string()).collect()
    }
}

#[test]
fn s1_children_start_in_list_order() {
    let sup = Sup::abcd(Strategy::OneForOne);
    assert_eq!(sup.ids(), ["a", "b", "c", "d"]);
    assert!(sup.pid("a") < sup.pid("b") && sup.pid("c") < sup.pid("d"));
}

#[test]
fn s7_after_a_failed_initial_start_the_started_ones_stop_in_reverse() {
    let specs = ["a", "b", "c"].map(|id| (permanent(id), "arguments")).to_vec();
    let mut children = Children::new(&flags(Strategy::OneForOne), specs).unwrap();
    let keys = children.initial_start();
    children.started(keys[0], Some(Pid::from_parts(1, 1, 0)));
    children.started(keys[1], Some(Pid::from_parts(1, 2, 0)));
    let stopped: Vec<_> = children.stop_all().into_iter().map(|stop| stop.fields.id).collect();
    assert_eq!(stopped, [id("b"), id("a")]);
}

#[test]
fn s10_s11_bad_flags_and_duplicate_ids_are_refused() {
    let bad = Flags { period: Duration::ZERO, ..Flags::default() };
    let refused = Children::<()>::new(&bad, vec![]).unwrap_err();
    assert_eq!(refused, ConfigError::Flags(FlagsError::InvalidPeriod { period: Duration::ZERO }));
    let specs = vec![(permanent("a"), ()), (permanent("a"), ())];
    let refused = Children::new(&Flags::default(), specs).unwrap_err();
    assert_eq!(refused, ConfigError::Spec(SpecError::DuplicateId { id: id("a") }));
}

#[test]
fn s5_an_ignored_temporary_child_is_not_kept_and_others_are() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    let temp = sup.children.start_child(temporary("t"), "arguments").unwrap();
    assert_eq!(sup.children.started(temp, None), Started::Removed);
    let perm = sup.children.start_child(permanent("p"), "arguments").unwrap();
    assert_eq!(sup.children.started(perm, None), Started::Undefined);
    assert_eq!(sup.ids(), ["a", "b", "c", "d", "p"]);
    assert_eq!(sup.status("p"), ChildStatus::Undefined);
}

#[test]
fn s19_s20_s21_start_child_appends_and_refuses_known_ids() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    let key = sup.children.start_child(permanent("e"), "arguments").unwrap();
    assert!(sup.start(key));
    assert_eq!(sup.ids(), ["a", "b", "c", "d", "e"]);
    // A place that has become free is not taken again.
    sup.children.terminate_child(&id("b")).unwrap();
    sup.children.delete_child(&id("b")).unwrap();
    let key = sup.children.start_child(permanent("b"), "arguments").unwrap();
    assert!(sup.start(key));
    assert_eq!(sup.ids(), ["a", "c", "d", "e", "b"]);
    let refused = sup.children.start_child(permanent("e"), "arguments");
    assert_eq!(refused, Err(StartRefused::AlreadyStarted { id: id("e"), pid: sup.pid("e") }));
    sup.children.terminate_child(&id("e")).unwrap();
    let refused = sup.children.start_child(permanent("e"), "arguments");
    assert_eq!(refused, Err(StartRefused::AlreadyPresent { id: id("e") }));
    sup.failing.insert("a", 1);
    sup.end("a", &boom());
    let refused = sup.children.start_child(permanent("a"), "arguments");
    assert_eq!(refused, Err(StartRefused::AlreadyPresent { id: id("a") }));
}

#[test]
fn a_failed_start_child_leaves_nothing_behind() {
    let mut sup = Sup::abcd(Strategy::OneForAll);
    let key = sup.children.start_child(permanent("e"), "arguments").unwrap();
    let (fields, start) = sup.children.start_child_failed(key).unwrap();
    assert_eq!((fields.id, start), (id("e"), Some("arguments")));
    assert_eq!(sup.ids(), ["a", "b", "c", "d"]);
    assert!(sup.children.start_child(permanent("e"), "arguments").is_ok());
}

#[test]
fn s23_s24_a_terminated_child_stays_undefined_and_a_temporary_one_is_forgotten() {
    let mut sup = Sup::new(&flags(Strategy::OneForOne), [permanent("p"), temporary("t")]);
    let (p, t) = (sup.pid("p"), sup.pid("t"));
    assert_eq!(sup.children.terminate_child(&id("p")).unwrap().unwrap().pid, p);
    assert_eq!(sup.children.terminate_child(&id("t")).unwrap().unwrap().pid, t);
    assert_eq!((sup.ids(), sup.status("p")), (vec!["p".to_string()], ChildStatus::Undefined));
    // The exits that follow are strangers'.
    for pid in [p, t] {
        assert_eq!(sup.children.on_exit(pid, &ExitReason::Killed, 0), Decision::Ignore);
    }
}

#[test]
fn s25_terminating_twice_is_fine_and_an_unknown_id_is_not_found() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    assert!(sup.children.terminate_child(&id("a")).unwrap().is_some());
    assert_eq!(sup.children.terminate_child(&id("a")), Ok(None));
    assert_eq!(sup.children.terminate_child(&id("x")), Err(ChildNotFound { id: id("x") }));
}

#[test]
fn s26_s28_restart_and_delete_want_a_stopped_child() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    let running = ChildRefused::Running { id: id("a"), pid: sup.pid("a") };
    assert_eq!(sup.children.restart_child(&id("a")), Err(running.clone()));
    assert_eq!(sup.children.delete_child(&id("a")), Err(running));
    sup.failing.insert("b", 1);
    sup.end("b", &boom());
    assert_eq!(sup.children.restart_child(&id("b")), Err(ChildRefused::Restarting { id: id("b") }));
    assert_eq!(sup.children.delete_child(&id("b")), Err(ChildRefused::Restarting { id: id("b") }));
    assert_eq!(sup.children.restart_child(&id("x")), Err(ChildRefused::NotFound { id: id("x") }));
    assert_eq!(sup.children.delete_child(&id("x")), Err(ChildRefused::NotFound { id: id("x") }));
    for stopped in ["c", "d"] {
        sup.children.terminate_child(&id(stopped)).unwrap();
    }
    let key = sup.children.restart_child(&id("c")).unwrap();
    assert!(sup.start(key));
    assert_eq!(sup.children.delete_child(&id("d")).unwrap().id, id("d"));
    assert_eq!(sup.ids(), ["a", "b", "c"]);
}

#[test]
fn s32_s34_s35_listing_and_counting_tell_running_from_restarting_from_stopped() {
    let specs = [permanent("a"), permanent("b"), permanent("s").child_type(ChildType::Supervisor)];
    let mut sup = Sup::new(&flags(Strategy::OneForOne), specs);
    sup.failing.insert("a", 1);
    sup.end("a", &boom());
    sup.children.terminate_child(&id("s")).unwrap();
    let b = sup.pid("b");
    let listed: Vec<_> =
        sup.children.which_children().into_iter().map(|c| (c.id.unwrap().to_string(), c.status)).collect();
    let (a, s) = (ChildStatus::Restarting, ChildStatus::Undefined);
    assert_eq!(listed, [("s".into(), s), ("b".into(), ChildStatus::Running(b)), ("a".into(), a)]);
    let counts = ChildCounts { specs: 3, active: 1, supervisors: 1, workers: 2 };
    assert_eq!(sup.children.count_children(|_| true), counts);
    assert_eq!(sup.children.count_children(|pid| pid != b), ChildCounts { active: 0, ..counts });
    assert_eq!(sup.children.get_childspec(&id("a")), Ok(&permanent("a")));
    assert_eq!(sup.children.get_childspec(&id("x")), Err(ChildNotFound { id: id("x") }));
}

#[test]
fn s36_requests_between_retries_are_answered_and_can_call_the_retry_off() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    sup.failing.insert("a", 1);
    assert_eq!(sup.end("a", &boom()), "report !a");
    assert_eq!(sup.children.terminate_child(&id("a")), Ok(None));
    assert_eq!(sup.status("a"), ChildStatus::Undefined);
    assert_eq!(sup.retry(), "ignore");
    assert!(sup.children.delete_child(&id("a")).is_ok());
}

#[test]
fn an_overtaken_retry_does_not_count_a_second_time() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    sup.failing.insert("a", 2);
    sup.end("a", &boom());
    sup.children.terminate_child(&id("a")).unwrap();
    let key = sup.children.restart_child(&id("a")).unwrap();
    sup.failing.insert("a", 0);
    assert!(sup.start(key));
    sup.failing.insert("a", 1);
    assert_eq!(sup.end("a", &boom()), "report !a");
    assert_eq!(sup.children.intensity().used(0), 2);
    assert_eq!(sup.retry(), "ignore", "the first one's time is over");
    assert_eq!(sup.retry(), "+a");
    assert_eq!(sup.children.intensity().used(0), 3);
}

#[test]
fn s38_exits_of_strangers_are_ignored() {
    let mut sup = Sup::abcd(Strategy::OneForAll);
    let stranger = Pid::from_parts(1, 999, 0);
    assert_eq!(sup.children.on_exit(stranger, &boom(), 0), Decision::Ignore);
    let old = sup.pid("a");
    sup.end("a", &boom());
    assert_eq!(sup.children.on_exit(old, &boom(), 0), Decision::Ignore);
    assert_eq!(sup.children.intensity().used(0), 1);
}

#[test]
fn s39_s47_a_permanent_child_is_restarted_and_reported_after_any_end() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    for reason in [ExitReason::Normal, ExitReason::Shutdown, ExitReason::shutdown_with(1), boom()] {
        assert_eq!(sup.end("b", &reason), "report +b");
    }
}

#[test]
fn s40_s41_s52_s69_a_transient_child_stays_down_after_a_clean_end_and_siblings_are_left_alone() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        for reason in [ExitReason::Normal, ExitReason::Shutdown, ExitReason::shutdown_with("x")] {
            let mut sup = Sup::new(&flags(strategy), [transient("a"), permanent("b")]);
            let b = sup.pid("b");
            assert_eq!(sup.end("a", &reason), "keep a");
            assert_eq!((sup.status("a"), sup.pid("b")), (ChildStatus::Undefined, b));
            assert_eq!(sup.children.intensity().used(0), 0, "s69: clean ends do not count");
        }
    }
}

#[test]
fn s42_a_transient_child_is_restarted_after_anything_else() {
    let mut sup = Sup::new(&flags(Strategy::OneForOne), [transient("a")]);
    for reason in [ExitReason::Killed, ExitReason::NoProc, boom()] {
        assert_eq!(sup.end("a", &reason), "report +a");
    }
}

#[test]
fn s43_s52_s69_a_temporary_child_is_forgotten_when_it_ends_and_siblings_are_left_alone() {
    for (reason, words) in [(ExitReason::Normal, "removed t"), (boom(), "report removed t")] {
        let mut sup = Sup::new(&flags(Strategy::OneForAll), [temporary("t"), permanent("b")]);
        let b = sup.pid("b");
        assert_eq!(sup.end("t", &reason), words);
        assert_eq!((sup.ids(), sup.pid("b")), (vec!["b".to_string()], b));
        assert_eq!(sup.children.intensity().used(0), 0, "s69");
    }
}

#[test]
fn s45_s48_one_for_one_replaces_the_process_in_place_and_touches_nobody_else() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    let before = ["a", "b", "c", "d"].map(|id| sup.pid(id));
    assert_eq!(sup.end("b", &boom()), "report +b");
    assert_eq!(sup.ids(), ["a", "b", "c", "d"]);
    assert_ne!(sup.pid("b"), before[1]);
    assert_eq!(["a", "c", "d"].map(|id| sup.pid(id)), [before[0], before[2], before[3]]);
}

#[test]
fn s46_the_arguments_of_a_running_temporary_child_are_dropped() {
    let mut sup = Sup::new(&flags(Strategy::OneForOne), [temporary("t"), permanent("p")]);
    let keys = sup.children.initial_start();
    assert_eq!((sup.children.start_of(keys[0]), sup.children.start_of(keys[1])), (None, Some(&"arguments")));
    let late = sup.children.start_child(temporary("late"), "arguments").unwrap();
    assert!(sup.start(late));
    assert_eq!(sup.children.start_of(late), None);
}

#[test]
fn s49_one_for_all_stops_the_others_in_reverse_and_starts_all_in_order() {
    let mut sup = Sup::abcd(Strategy::OneForAll);
    assert_eq!(sup.end("b", &boom()), "report -d -c -a +a +b +c +d");
}

#[test]
fn s50_rest_for_one_stops_and_starts_only_the_later_ones() {
    let mut sup = Sup::abcd(Strategy::RestForOne);
    let a = sup.pid("a");
    assert_eq!(sup.end("b", &boom()), "report -d -c +b +c +d");
    assert_eq!(sup.pid("a"), a);
    assert_eq!(sup.end("d", &boom()), "report +d");
}

#[test]
fn a_group_restart_forgets_temporary_siblings_and_starts_stopped_ones_again() {
    let specs = [permanent("a"), temporary("t"), transient("n"), permanent("z")];
    let mut sup = Sup::new(&flags(Strategy::OneForAll), specs);
    sup.end("n", &ExitReason::Normal);
    sup.children.terminate_child(&id("z")).unwrap();
    assert_eq!(sup.end("a", &boom()), "report -t +a +n +z");
    assert_eq!(sup.ids(), ["a", "n", "z"]);
}

#[test]
fn an_ignored_start_in_a_round_goes_on_with_the_next_child() {
    let mut sup = Sup::abcd(Strategy::OneForAll);
    sup.ignoring.push("b");
    assert_eq!(sup.end("a", &boom()), "report -d -c -b +a +b +c +d");
    assert_eq!(sup.status("b"), ChildStatus::Undefined);
}

#[test]
fn s59_a_failed_restart_is_retried_by_message_and_each_counts() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    sup.failing.insert("b", 3);
    assert_eq!(sup.end("b", &boom()), "report !b");
    assert_eq!(sup.status("b"), ChildStatus::Restarting);
    assert_eq!((sup.retry(), sup.retry(), sup.retry()), ("!b".into(), "!b".into(), "+b".into()));
    assert_eq!(sup.children.intensity().used(0), 4);
    assert!(sup.retries.is_empty());
}

#[test]
fn s59_rest_for_one_goes_on_from_the_child_that_failed() {
    let mut sup = Sup::abcd(Strategy::RestForOne);
    sup.failing.insert("c", 1);
    assert_eq!(sup.end("b", &boom()), "report -d -c +b !c");
    let b = sup.pid("b");
    assert_eq!((sup.status("c"), sup.status("d")), (ChildStatus::Restarting, ChildStatus::Undefined));
    assert_eq!(sup.retry(), "+c +d");
    assert_eq!(sup.pid("b"), b);
}

#[test]
fn s59_one_for_all_starts_over_when_one_failed() {
    let mut sup = Sup::abcd(Strategy::OneForAll);
    sup.failing.insert("c", 1);
    assert_eq!(sup.end("d", &boom()), "report -c -b -a +a +b !c");
    assert_eq!((sup.status("c"), sup.status("d")), (ChildStatus::Restarting, ChildStatus::Undefined));
    assert_eq!(sup.retry(), "-b -a +a +b +c +d");
}

#[test]
fn a_crash_during_a_pending_group_retry_takes_the_retry_over() {
    let mut sup = Sup::abcd(Strategy::OneForAll);
    sup.failing.insert("c", 1);
    sup.end("d", &boom());
    assert_eq!(sup.end("a", &boom()), "report -b +a +b +c +d");
    assert_eq!(sup.retry(), "ignore");
}

#[test]
fn s60_s65_retries_end_when_the_intensity_is_exceeded() {
    let flags = Flags { max_restarts: 2, ..Flags::new(Strategy::OneForOne) };
    let mut sup = Sup::new(&flags, ["a", "b", "c"].map(permanent));
    sup.failing.insert("b", 100);
    assert_eq!(sup.end("b", &boom()), "report !b");
    assert_eq!(sup.retry(), "!b");
    assert_eq!(sup.retry(), "give_up b");
    assert_eq!(sup.stop_all(), ["c", "a"], "s68");
    let none = Flags { max_restarts: 0, ..Flags::default() };
    assert_eq!(Sup::new(&none, [permanent("a")]).end("a", &boom()), "report give_up a");
}

#[test]
fn s63_stopping_during_a_retry_stops_what_runs_and_the_retry_is_void() {
    let mut sup = Sup::abcd(Strategy::RestForOne);
    sup.failing.insert("c", 1);
    sup.end("b", &boom());
    assert_eq!(sup.stop_all(), ["b", "a"]);
    assert_eq!(sup.retry(), "ignore");
    assert!(sup.stop_all().is_empty());
}

#[test]
fn s64_n_restarts_in_window_are_fine_and_the_next_gives_up() {
    let flags = Flags { max_restarts: 3, ..Flags::new(Strategy::OneForAll) };
    let mut sup = Sup::new(&flags, ["a", "b", "c"].map(permanent));
    for second in [0, 2, 5] {
        sup.now = second;
        assert!(sup.end("b", &boom()).starts_with("report -c"));
    }
    assert_eq!(sup.end("c", &boom()), "report give_up c");
    assert_eq!(sup.stop_all(), ["b", "a"], "s68: the child itself is down already");
}

#[test]
fn s70_manual_starts_and_restarts_do_not_count() {
    let flags = Flags { max_restarts: 0, ..Flags::default() };
    let mut sup = Sup::new(&flags, [permanent("a")]);
    for _ in 0..10 {
        sup.children.terminate_child(&id("a")).unwrap();
        let key = sup.children.restart_child(&id("a")).unwrap();
        assert!(sup.start(key));
    }
    assert_eq!(sup.children.intensity().used(0), 0);
}

#[test]
fn s71_stop_all_is_strictly_reverse_start_order_and_carries_what_stopping_needs() {
    let specs = [permanent("a").shutdown(Duration::from_secs(1)), temporary("t"), permanent("c")];
    let mut sup = Sup::new(&flags(Strategy::OneForOne), specs.clone());
    let late = sup.children.start_child(permanent("late"), "arguments").unwrap();
    assert!(sup.start(late));
    let stops = sup.children.stop_all();
    let fields: Vec<_> = stops.into_iter().map(|stop| stop.fields).collect();
    let [a, t, c] = specs;
    assert_eq!(fields, [permanent("late"), c, t, a]);
}

fn significant(auto_shutdown: AutoShutdown) -> Sup {
    let flags = Flags { auto_shutdown, ..flags(Strategy::OneForOne) };
    let specs = [
        permanent("p"),
        transient("x").significant(true),
        temporary("y").significant(true),
        transient("plain"),
    ];
    Sup::new(&flags, specs)
}

#[test]
fn s83_significant_children_are_refused_without_auto_shutdown() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    let refused = sup.children.start_child(transient("s").significant(true), "arguments");
    let error = SpecError::SignificantButNeverShutdown { id: id("s") };
    assert_eq!(refused, Err(StartRefused::Spec(error)));
}

#[test]
fn s84_the_first_significant_child_that_ends_by_itself_stops_the_supervisor() {
    assert_eq!(significant(AutoShutdown::AnySignificant).end("x", &ExitReason::Normal), "auto_shutdown");
    let mut sup = significant(AutoShutdown::AnySignificant);
    assert_eq!(sup.end("plain", &ExitReason::Normal), "keep plain");
    assert_eq!(sup.end("x", &boom()), "report +x", "it was restarted, so it has not ended");
    assert_eq!(sup.children.terminate_child(&id("x")).map(|stop| stop.is_some()), Ok(true));
    assert_eq!(sup.end("y", &boom()), "report auto_shutdown");
    assert_eq!(sup.stop_all(), ["p"]);
}

#[test]
fn s85_all_significant_waits_for_the_last_one() {
    let mut sup = significant(AutoShutdown::AllSignificant);
    assert_eq!(sup.end("x", &ExitReason::Shutdown), "keep x");
    assert_eq!(sup.end("y", &ExitReason::Normal), "auto_shutdown");
    let mut sup = significant(AutoShutdown::AllSignificant);
    sup.children.terminate_child(&id("x")).unwrap();
    assert_eq!(sup.end("y", &ExitReason::Normal), "auto_shutdown", "a terminated one is not running");
}

#[test]
fn s85_a_significant_child_waiting_for_its_retry_counts_as_running() {
    let mut sup = significant(AutoShutdown::AllSignificant);
    sup.failing.insert("x", 1);
    assert_eq!(sup.end("x", &boom()), "report !x");
    assert_eq!(sup.end("y", &ExitReason::Normal), "removed y");
    assert_eq!(sup.retry(), "+x");
    assert_eq!(sup.end("x", &ExitReason::Normal), "auto_shutdown");
}

#[test]
fn s91_new_specs_keep_running_processes_and_do_not_start_new_children() {
    let mut sup = Sup::new(&flags(Strategy::OneForOne), ["a", "b", "c"].map(permanent));
    sup.failing.insert("c", 1);
    sup.end("c", &boom());
    let (a, b) = (sup.pid("a"), sup.pid("b"));
    let new = ["c", "new", "a"].map(|id| (transient(id), "arguments")).to_vec();
    sup.children.update(&flags(Strategy::RestForOne), new).unwrap();
    assert_eq!(sup.ids(), ["c", "new", "a", "b"]);
    assert_eq!((sup.pid("a"), sup.pid("b"), sup.status("new")), (a, b, ChildStatus::Undefined));
    assert_eq!(sup.retry(), "-b -a +c +new +a +b", "a pending retry survives, with the new strategy");
    assert_eq!(sup.end("a", &ExitReason::Normal), "keep a", "the new restart type holds");
    assert_eq!(sup.children.intensity().used(0), 2);
}

#[test]
fn s92_bad_new_flags_or_specs_leave_everything_as_it_was() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    let bad = Flags { period: Duration::ZERO, ..Flags::default() };
    assert!(matches!(sup.children.update(&bad, vec![]), Err(ConfigError::Flags(_))));
    let twice = vec![(permanent("q"), "arguments"), (permanent("q"), "arguments")];
    assert!(matches!(
        sup.children.update(&flags(Strategy::OneForAll), twice),
        Err(ConfigError::Spec(SpecError::DuplicateId { .. }))
    ));
    assert_eq!(sup.ids(), ["a", "b", "c", "d"]);
    assert_eq!(sup.end("a", &boom()), "report +a", "still one_for_one");
}

#[test]
fn of_a_child_that_got_another_process_only_the_last_one_counts() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    let key = sup.children.initial_start()[0];
    let (first, second) = (sup.pid("a"), Pid::from_parts(1, 99, 0));
    assert_eq!(sup.children.started(key, Some(second)), Started::Running);
    assert_eq!(sup.children.on_exit(first, &boom(), 0), Decision::Ignore);
    // A start that failed leaves it without any.
    assert!(sup.children.start_failed(key).is_some());
    assert_eq!(sup.children.on_exit(second, &boom(), 0), Decision::Ignore);
    assert_eq!(sup.status("a"), ChildStatus::Restarting);
}

#[test]
fn s92_new_limits_of_the_restart_intensity_hold_from_then_on() {
    let mut sup = Sup::abcd(Strategy::OneForOne);
    let none = Flags { max_restarts: 0, ..flags(Strategy::OneForOne) };
    sup.children.update(&none, vec![]).unwrap();
    assert_eq!(sup.end("a", &boom()), "report give_up a");
}

#[test]
fn s92_a_significant_child_that_an_update_left_over_stops_nobody_who_never_shuts_down() {
    let auto = Flags { auto_shutdown: AutoShutdown::AnySignificant, ..flags(Strategy::OneForOne) };
    let mut sup = Sup::new(&auto, ["a", "b"].map(|id| transient(id).significant(true)));
    sup.children.update(&flags(Strategy::OneForOne), vec![]).unwrap();
    assert_eq!(sup.end("a", &ExitReason::Normal), "keep a");
}

#[test]
fn s91_a_stopped_child_that_becomes_temporary_can_be_started_once_more() {
    let mut sup = Sup::new(&flags(Strategy::OneForOne), ["a", "b"].map(transient));
    sup.end("a", &ExitReason::Normal);
    let specs = ["a", "b"].map(|id| (temporary(id), "arguments")).to_vec();
    sup.children.update(&flags(Strategy::OneForOne), specs).unwrap();
    let key = sup.children.restart_child(&id("a")).unwrap();
    assert!(sup.start(key), "it has its arguments");
    // Both run for the last time: nothing is kept to start them again with.
    for key in sup.children.initial_start() {
        assert_eq!(sup.children.start_of(key), None);
    }
}

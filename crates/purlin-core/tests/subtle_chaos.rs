//! Proves that supervisors lose and double no child, whatever order crashes, failing starts, retries and administration come in.

mod supervisor_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use purlin_core::supervisor::*;
use purlin_core::*;
use supervisor_support::*;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

/// Each story gets the next number.
fn numbered() -> impl Fn() -> Dice {
    let next = Arc::new(AtomicU64::new(1));
    move || Dice(next.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Starts that fail now and then, after a first one that does not.
fn unsteady(id: &'static str, journal: &Journal, dice: &mut Dice) -> Plan {
    let mut script = vec![None];
    for _ in 0..8 {
        script.push(match dice.below(4) {
            0 => Some(Init::Fail("no")),
            1 => Some(Init::Panic),
            _ => None,
        });
    }
    Plan::new(id, journal).script(script)
}

/// How many processes of this plan are up, by what they have written down.
fn up(journal: &Journal, id: &str) -> usize {
    journal.count(&format!("start {id}")) - journal.count(&format!("down {id}"))
}

fn hurt(pid: Pid, dice: &mut Dice) {
    let worker = Ref::<Worker>::from_pid(pid);
    match (dice.below(4), worker) {
        (0, Some(worker)) => worker.cast(Crash),
        (1, Some(worker)) => worker.cast(End(ExitReason::Normal)),
        (2, _) => process::exit(pid, boom()),
        _ => process::exit(pid, ExitReason::Kill),
    }
}

const IDS: [&str; 4] = ["a", "b", "c", "d"];

fn child(n: usize, plans: &[Plan]) -> Child<Worker> {
    let restart = [Restart::Permanent, Restart::Transient, Restart::Permanent, Restart::Temporary][n];
    plans[n].child().restart(restart)
}

async fn anything(sup: &SupervisorRef, plans: &[Plan], dice: &mut Dice) {
    let id = IDS[dice.below(4)];
    match dice.below(8) {
        // Refusals and failed starts are part of the game; a supervisor that does not answer is not.
        0 => match sup.terminate_child(id).await {
            Ok(()) | Err(FindChildError::NotFound(_)) => {},
            Err(other) => panic!("{other}"),
        },
        1 => match sup.restart_child(id).await {
            Ok(_) | Err(RestartChildError::Refused(_) | RestartChildError::Failed(_)) => {},
            Err(other) => panic!("{other}"),
        },
        2 => match sup.delete_child(id).await {
            Ok(()) | Err(DeleteChildError::Refused(_)) => {},
            Err(other) => panic!("{other}"),
        },
        3 => match sup.start_child(child(IDS.iter().position(|i| *i == id).unwrap(), plans)).await {
            Ok(_) | Err(StartChildError::Refused(_) | StartChildError::Failed(_)) => {},
            Err(other) => panic!("{other}"),
        },
        // Several at the same moment, and perhaps another thing while that is dealt with.
        _ => {
            let listed = sup.which_children().await.unwrap();
            let pids: Vec<Pid> = listed.iter().filter_map(|info| info.status.pid()).collect();
            for pid in pids {
                if dice.below(2) == 0 {
                    hurt(pid, dice);
                }
            }
        },
    }
}

#[test]
fn s48_s49_s50_s59_whatever_happens_to_children_each_is_there_once_in_the_end() {
    let dice = numbered();
    everywhere(move || {
        let mut dice = dice();
        async move {
            let journal = Journal::new();
            let plans: Vec<Plan> = IDS.iter().map(|id| unsteady(id, &journal, &mut dice)).collect();
            let spec =
                [Supervisor::one_for_one, Supervisor::one_for_all, Supervisor::rest_for_one][dice.below(3)]();
            let sup = spec
                .max_restarts(1_000_000, secs(5))
                .children((0..4).map(|n| child(n, &plans)))
                .start_link()
                .await
                .unwrap();
            for _ in 0..12 {
                anything(&sup, &plans, &mut dice).await;
            }
            for plan in &plans {
                plan.script.lock().unwrap().clear();
            }
            // From now on every start succeeds: what is between two retries comes up by itself, what was stopped is started by hand.
            for _ in 0..3 {
                for id in IDS {
                    while let Err(RestartChildError::Refused(ChildRefused::Restarting { .. })) =
                        sup.restart_child(id).await
                    {}
                }
                // The exits of those that were hurt last may still be on their way.
                for info in sup.which_children().await.unwrap() {
                    if let Some(pid) = info.status.pid() {
                        while process::processes().contains(&pid) && !process::is_alive(pid) {
                            process::yield_now().await;
                        }
                    }
                }
            }
            let quiet = || async {
                let listed = sup.which_children().await.unwrap();
                listed.iter().all(|info| info.status.pid().is_none_or(process::is_alive))
            };
            while !quiet().await {}
            let listed = sup.which_children().await.unwrap();
            for id in IDS {
                let expected = listed
                    .iter()
                    .filter(|info| info.id.as_ref().is_some_and(|i| i == id) && info.status.pid().is_some())
                    .count();
                journal
                    .until(|all| {
                        let count = |what: &str| all.iter().filter(|e| **e == format!("{what} {id}")).count();
                        count("start") - count("down") == expected
                    })
                    .await;
            }
            let all_up = IDS.map(|id| up(&journal, id));
            assert!(all_up.iter().all(|n| *n <= 1), "{all_up:?}");
            sup.stop().await.unwrap();
            assert_eq!(IDS.map(|id| up(&journal, id)), [0; 4]);
        }
    });
}

#[test]
fn s53_s99_whatever_happens_to_dynamic_children_none_is_lost_or_doubled() {
    let dice = numbered();
    everywhere(move || {
        let mut dice = dice();
        async move {
            let journal = Journal::new();
            let sup = DynamicSupervisor::new()
                .max_restarts(1_000_000, secs(5))
                .max_children(6)
                .start_link()
                .await
                .unwrap();
            let mut specs = 0;
            let plans: Vec<Plan> = IDS.iter().map(|id| unsteady(id, &journal, &mut dice)).collect();
            for plan in &plans {
                sup.start_child(plan.child()).await.unwrap();
                specs += 1;
            }
            for _ in 0..12 {
                let listed = sup.which_children().await.unwrap();
                assert_eq!(listed.len(), specs);
                let pids: Vec<Pid> = listed.iter().filter_map(|info| info.status.pid()).collect();
                match dice.below(6) {
                    0 => match sup.start_child(plans[dice.below(4)].child()).await {
                        Ok(_) => specs += 1,
                        Err(StartChildError::Failed(_)) => {},
                        Err(StartChildError::Refused(StartRefused::MaxChildren { limit: 6 })) => {
                            assert_eq!(specs, 6)
                        },
                        Err(other) => panic!("{other}"),
                    },
                    1 if !pids.is_empty() => match sup.terminate_child(pids[dice.below(pids.len())]).await {
                        Ok(()) => specs -= 1,
                        Err(TerminateChildError::NotAChild(_)) => {},
                        Err(other) => panic!("{other}"),
                    },
                    _ => {
                        for pid in pids {
                            if dice.below(2) == 0 {
                                hurt(pid, &mut dice);
                            }
                        }
                    },
                }
            }
            for plan in &plans {
                plan.script.lock().unwrap().clear();
            }
            loop {
                let listed = sup.which_children().await.unwrap();
                assert_eq!(listed.len(), specs);
                if listed.iter().all(|info| info.status.pid().is_some_and(process::is_alive)) {
                    break;
                }
            }
            sup.stop().await.unwrap();
            assert_eq!(IDS.map(|id| up(&journal, id)), [0; 4]);
        }
    });
}

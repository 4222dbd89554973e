//! Proves `sys`: looking at, holding, tracing and stopping a running process (SY1 to SY19, G79 to G82).

mod common;

use common::lab::*;
use common::*;
use purlin_core::sys::{SysError, SysEvent};
use purlin_core::*;

/// A server whose state can be cloned.
#[derive(Clone, Debug, PartialEq)]
struct Counter(i64);

struct Bump;

impl GenServer for Counter {
    type Args = i64;
    async fn init(start: i64, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Counter(start))
    }
    fn format_status(&self) -> String {
        format!("counted to {}", self.0)
    }
}
impl HandleCast<Bump> for Counter {
    async fn handle_cast(&mut self, _: Bump, _: &mut Cx<Self>) {
        self.0 += 1;
    }
}
impl HandleRead<Bump> for Counter {
    type Reply = i64;
    fn handle_read(&self, _: Bump, _: &ReadCx<Self>) -> i64 {
        self.0
    }
}

#[test]
fn sy1_g79_get_state_returns_the_state_and_replace_state_the_new_one() {
    on_every_path(|_| async move {
        let server = Counter::start(1).name("counter").await.unwrap();
        assert_eq!(sys::get_state(&server).await, Ok(Counter(1)));
        assert_eq!(sys::get_state(&Counter::named("counter")).await, Ok(Counter(1)));
        assert_eq!(sys::replace_state(&server, |c| Counter(c.0 * 10)).await, Ok(Counter(10)));
        assert_eq!(sys::inspect_state(&server, |c| c.0 + 1).await, Ok(11));
        assert_eq!(server.call(Bump).await.unwrap(), 10);
    });
}

#[test]
fn g79_a_function_that_panics_leaves_the_old_state() {
    on_every_path(|_| async move {
        let server = Counter::start(1).await.unwrap();
        assert_eq!(
            sys::replace_state(&server, |_| planned("in replace_state")).await,
            Err(SysError::Panicked)
        );
        assert_eq!(
            sys::inspect_state(&server, |_| -> i64 { planned("in inspect_state") }).await,
            Err(SysError::Panicked)
        );
        assert_eq!(sys::get_state(&server).await, Ok(Counter(1)));
        assert!(server.is_alive());
    });
}

#[test]
fn g82_requests_are_served_in_mailbox_order() {
    on_every_path(|_| async move {
        let server = Counter::start(0).await.unwrap();
        for n in 1..=20 {
            server.cast(Bump);
            assert_eq!(sys::get_state(&server).await, Ok(Counter(n)), "not ahead of the cast before it");
        }
    });
}

#[test]
fn sy3_g80_a_suspended_server_holds_messages_serves_requests_and_resumes_in_order() {
    in_simulation_on_every_path(|mut me| async move {
        let log = Log::default();
        let server = Lab::start(Setup::trapping(&log)).await.unwrap();
        let pid = server.pid();
        server.cast(Tell("before"));
        sys::suspend(pid).await.unwrap();
        assert_eq!(log.all(), ["init", "before"]);
        server.cast(Tell("one"));
        process::send(pid, Note("two"));
        let home = me.pid();
        let caller = server.clone();
        // What was sent has arrived when a request that was sent behind it is answered.
        sys::get_status(pid).await.unwrap();
        let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
            let mut call = Box::pin(caller.call(doing(|lab, _| lab.log.add("three".to_owned()))));
            assert!(poll_once(&mut call).await.is_none());
            sys::get_status(pid).await.unwrap();
            process::send(home, "called");
            process::send(home, call.await.is_ok());
        });
        assert_eq!(next::<&str>(&mut me).await, "called");
        process::exit(pid, ExitReason::Shutdown);
        for _ in 0..3 {
            assert!(sys::get_status(pid).await.unwrap().suspended);
            assert_eq!(sys::inspect_state(&server, |lab| lab.log.all().len()).await, Ok(2));
        }
        assert_eq!(log.all(), ["init", "before"], "nothing was handled");
        sys::resume(pid).await.unwrap();
        assert!(next::<bool>(&mut me).await);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        server.call(Get).await.unwrap();
        assert_eq!(log.all(), ["init", "before", "one", "two", "three", "exit shutdown"]);
        assert!(!sys::get_status(pid).await.unwrap().suspended);
    });
}

#[test]
fn sy3_a_suspended_server_does_not_handle_its_idle_timeout_before_it_resumes() {
    in_simulation(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        server.call(doing(|_, cx| cx.timeout(secs(1)))).await.unwrap();
        sys::suspend(server.pid()).await.unwrap();
        process::sleep(secs(10)).await;
        assert_eq!(log.all(), ["init"]);
        sys::resume(server.pid()).await.unwrap();
        server.call(Get).await.unwrap();
        assert_eq!(log.all(), ["init", "timeout"]);
    });
}

#[test]
fn sy3_a_suspended_raw_process_holds_its_messages_and_goes_on_with_them() {
    everywhere(|mut me| async move {
        let home = me.pid();
        let p = process::spawn(async move |mut mailbox: Mailbox<u32>| {
            loop {
                let n = mailbox.receive().await;
                process::send(home, n);
            }
        });
        sys::suspend(p.pid()).await.unwrap();
        p.send(1u32);
        p.send(2u32);
        assert!(sys::get_status(p.pid()).await.unwrap().suspended);
        nothing(&mut me);
        sys::resume(p.pid()).await.unwrap();
        assert_eq!((next::<u32>(&mut me).await, next::<u32>(&mut me).await), (1, 2));
        process::exit(p.pid(), ExitReason::Kill);
    });
}

#[test]
fn sy4_suspending_and_resuming_twice_are_once() {
    on_every_path(|_| async move {
        let server = lab().await;
        let pid = server.pid();
        for _ in 0..2 {
            sys::suspend(pid).await.unwrap();
            assert!(sys::get_status(pid).await.unwrap().suspended);
        }
        for n in 1..3 {
            sys::resume(pid).await.unwrap();
            assert!(!sys::get_status(pid).await.unwrap().suspended);
            assert_eq!(server.call(Add(1)).await.unwrap(), n);
        }
    });
}

#[test]
fn sy6_terminate_and_stop_work_on_a_suspended_process() {
    everywhere(|_| async move {
        let log = Log::default();
        for n in 0..3 {
            let server = Lab::start(Setup::logging(&log)).await.unwrap();
            sys::suspend(server.pid()).await.unwrap();
            server.cast(Tell("never handled"));
            match n {
                0 => sys::terminate(server.pid(), ExitReason::Shutdown).await.unwrap(),
                1 => server.stop_with(ExitReason::Shutdown, secs(20)).await.unwrap(),
                _ => process::stop(server.pid(), ExitReason::Shutdown, secs(20)).await.unwrap(),
            }
            assert!(!server.is_alive());
        }
        assert_eq!(log.all(), ["init", "terminate shutdown"].repeat(3));
        let p = idle();
        sys::suspend(p).await.unwrap();
        sys::terminate(p, ExitReason::Shutdown).await.unwrap();
        assert!(!process::is_alive(p));
    });
}

#[test]
fn a_suspended_process_can_be_killed_and_hit_by_exit_signals() {
    everywhere(|mut me| async move {
        for reason in [ExitReason::Kill, ExitReason::Shutdown] {
            let server = lab().await;
            sys::suspend(server.pid()).await.unwrap();
            let monitor = me.monitor(server.pid());
            process::exit(server.pid(), reason.clone());
            let ended = down(&mut me, monitor).await.reason;
            assert_eq!(ended, if reason == ExitReason::Kill { ExitReason::Killed } else { reason });
        }
    });
}

fn names(events: &[SysEvent]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event {
            SysEvent::In { message, .. } => message.rsplit("::").next().unwrap().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn sy8_sy9_log_keeps_the_last_n_events_in_the_order_of_time() {
    in_simulation_on_every_path(|_| async move {
        let server = Counter::start(0).await.unwrap();
        let pid = server.pid();
        assert_eq!(sys::get_log(pid).await, Ok(vec![]));
        server.cast(Bump);
        sys::log(pid, true).await.unwrap();
        for _ in 0..12 {
            process::sleep(millis(1)).await;
            server.cast(Bump);
        }
        let log = sys::get_log(pid).await.unwrap();
        assert_eq!(names(&log), ["Bump"; 10], "10 by default");
        let times: Vec<_> =
            log.iter().map(|e| if let SysEvent::In { at, .. } = e { *at } else { panic!() }).collect();
        assert!(times.is_sorted() && times[0] < times[9], "{times:?}");
        assert_eq!(*times.last().unwrap(), Node::current().now());
        sys::log_keeping(pid, 3).await.unwrap();
        assert_eq!(sys::get_log(pid).await.unwrap().len(), 10, "shrinks with the next event");
        // Which is a call of an idle server, made in place if nobody were listening.
        assert_eq!(server.call(Bump).await.unwrap(), 13);
        assert_eq!(sys::get_log(pid).await.unwrap().len(), 3);
        assert_eq!(sys::get_status(pid).await.unwrap().log.len(), 3);
        sys::log(pid, false).await.unwrap();
        assert_eq!(sys::get_log(pid).await, Ok(vec![]));
    });
}

#[test]
fn sy10_statistics_tell_start_now_work_and_messages_in() {
    in_simulation_on_every_path(|_| async move {
        let server = Counter::start(0).await.unwrap();
        let pid = server.pid();
        assert_eq!(sys::get_statistics(pid).await, Ok(None));
        process::sleep(secs(1)).await;
        sys::statistics(pid, true).await.unwrap();
        process::sleep(secs(2)).await;
        for _ in 0..5 {
            server.cast(Bump);
        }
        server.call(Bump).await.unwrap();
        let s = sys::get_statistics(pid).await.unwrap().unwrap();
        assert_eq!((s.messages_in, s.reductions), (6, 6));
        assert_eq!(s.current_time - s.start_time, secs(2));
        sys::statistics(pid, true).await.unwrap();
        let s = sys::get_statistics(pid).await.unwrap().unwrap();
        assert_eq!((s.messages_in, s.reductions), (0, 0), "from zero");
        sys::statistics(pid, false).await.unwrap();
        assert_eq!(sys::get_statistics(pid).await, Ok(None));
    });
}

#[test]
fn sy11_trace_logs_every_message_until_it_is_switched_off() {
    let events = Events::default();
    events.during(|| {
        run(Run::Simulated { seed: 2, path: CallPath::Direct }, |_| async move {
            let server = Counter::start(0).await.unwrap();
            server.cast(Bump);
            sys::trace(server.pid(), true).await.unwrap();
            server.cast(Bump);
            server.call(Bump).await.unwrap();
            sys::trace(server.pid(), false).await.unwrap();
            server.cast(Bump);
            server.call(Bump).await.unwrap();
        });
    });
    let traced = events.take("purlin::trace");
    assert_eq!(traced.len(), 2, "{traced:?}");
    assert!(traced.iter().all(|t| t.contains("Bump") && t.contains("Counter")), "{traced:?}");
}

#[test]
fn sy15_a_raw_process_joins_in_whenever_it_receives() {
    everywhere(|_| async move {
        let p = idle();
        let status = sys::get_status(p).await.unwrap();
        assert_eq!((status.pid, status.module, status.suspended), (p, "process", false));
        sys::log(p, true).await.unwrap();
        assert!(sys::get_status(p).await.unwrap().debugged);
        sys::log(p, false).await.unwrap();
        process::exit(p, ExitReason::Kill);
    });
}

#[test]
fn sy16_get_status_tells_module_parent_debug_and_formatted_state() {
    on_every_path(|me| async move {
        let server = Counter::start_link(3).await.unwrap();
        let status = sys::get_status(server.pid()).await.unwrap();
        assert_eq!((status.pid, status.parent), (server.pid(), Some(me.pid())));
        assert_eq!((status.suspended, status.debugged), (false, false));
        assert_eq!(status.state, "counted to 3");
        assert!(status.module.ends_with("Counter"));
        sys::statistics(server.pid(), true).await.unwrap();
        assert!(sys::get_status(server.pid()).await.unwrap().debugged);
        process::unlink(server.pid());
    });
}

#[test]
fn sy16_a_format_status_that_panics_fails_the_request_and_not_the_server() {
    everywhere(|_| async move {
        let server = Lab::start(Setup { status: Some(|| planned("in format_status")), ..Setup::default() })
            .await
            .unwrap();
        assert_eq!(sys::get_status(server.pid()).await.unwrap_err(), SysError::Panicked);
        assert_eq!(server.call(Add(1)).await.unwrap(), 1);
    });
}

#[test]
fn sy17_a_request_that_times_out_leaves_no_stray_answer() {
    in_simulation_on_every_path(|mut me| async move {
        let server = Counter::start(7).await.unwrap();
        let busy = lab().await;
        busy.cast(cast_waiting(|_, _| Box::pin(process::sleep(secs(60)))));
        let begin = Node::current().now();
        assert_eq!(sys::get_status(busy.pid()).await.unwrap_err(), SysError::Timeout);
        assert_eq!(sys::inspect_state(&busy, |lab| lab.value).await, Err(SysError::Timeout));
        assert_eq!(Node::current().now() - begin, secs(10));
        assert_eq!(sys::terminate(busy.pid(), ExitReason::Shutdown).await, Err(SysError::Timeout));
        process::sleep(secs(100)).await;
        nothing(&mut me);
        assert!(!busy.is_alive(), "the request was served in the end");
        assert_eq!(sys::get_state(&server).await, Ok(Counter(7)));
        assert_eq!(Node::current().stats().timers, 0);
    });
}

#[test]
fn sy19_what_is_switched_off_again_costs_nothing_calls_run_in_place_as_before() {
    run(Run::Simulated { seed: 1, path: CallPath::Direct }, |_| async move {
        let server = Counter::start(0).await.unwrap();
        let queued = || Node::current().stats().queued_calls;
        server.call(Bump).await.unwrap();
        assert_eq!(queued(), 0);
        sys::log(server.pid(), true).await.unwrap();
        server.call(Bump).await.unwrap();
        assert_eq!(queued(), 1);
        sys::log(server.pid(), false).await.unwrap();
        server.call(Bump).await.unwrap();
        assert_eq!(queued(), 1);
        for (on, off) in [(true, false)] {
            sys::trace(server.pid(), on).await.unwrap();
            sys::statistics(server.pid(), on).await.unwrap();
            sys::trace(server.pid(), off).await.unwrap();
            server.call(Bump).await.unwrap();
            assert_eq!(queued(), 2, "one of the two is still on");
            sys::statistics(server.pid(), off).await.unwrap();
            server.call(Bump).await.unwrap();
            assert_eq!(queued(), 2);
        }
    });
}

#[test]
fn requests_to_a_dead_or_unknown_process_fail_with_noproc() {
    everywhere(|_| async move {
        let server = Counter::start(0).await.unwrap();
        server.stop_with(ExitReason::Normal, secs(20)).await.unwrap();
        let pid = server.pid();
        assert_eq!(sys::get_state(&server).await, Err(SysError::NoProc));
        assert_eq!(sys::get_state(&Counter::named("nobody")).await, Err(SysError::NoProc));
        assert_eq!(sys::get_status(pid).await.unwrap_err(), SysError::NoProc);
        assert_eq!(sys::suspend(pid).await, Err(SysError::NoProc));
        assert_eq!(sys::resume(pid).await, Err(SysError::NoProc));
        assert_eq!(sys::trace(pid, true).await, Err(SysError::NoProc));
        assert_eq!(sys::get_log(pid).await, Err(SysError::NoProc));
        assert_eq!(sys::terminate(pid, ExitReason::Normal).await, Err(SysError::NoProc));
        assert_eq!(sys::suspend(Pid::from_parts(999_999, 1, 1)).await, Err(SysError::NoProc));
    });
}

#[test]
fn a_request_to_a_server_that_dies_meanwhile_fails_with_noproc() {
    in_simulation(|_| async move {
        let server = lab().await;
        server.cast(cast_waiting(|_, _| Box::pin(std::future::pending())));
        let mut request = Box::pin(sys::get_status(server.pid()));
        assert!(poll_once(&mut request).await.is_none());
        process::exit(server.pid(), ExitReason::Kill);
        assert_eq!(request.await.unwrap_err(), SysError::NoProc);
    });
}

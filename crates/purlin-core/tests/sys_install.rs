//! Proves that functions installed with `sys` see every event, keep their state, and leave nothing behind (SY13, SY14, SY19).

mod common;

use std::ops::ControlFlow;

use common::*;
use purlin_core::sys::{SysError, SysEvent};
use purlin_core::*;

#[derive(Clone, Debug, PartialEq)]
struct Counter(i64);

struct Add(i64);

impl GenServer for Counter {
    type Args = i64;
    async fn init(start: i64, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Counter(start))
    }
}

impl HandleCast<Add> for Counter {
    async fn handle_cast(&mut self, Add(n): Add, _: &mut Cx<Self>) {
        self.0 += n;
    }
}

impl HandleCall<Add> for Counter {
    type Reply = i64;
    async fn handle_call(&mut self, Add(n): Add, _: &mut Cx<Self>) -> i64 {
        self.0 += n;
        self.0
    }
}

const ON: ControlFlow<()> = ControlFlow::Continue(());

fn text(event: &SysEvent) -> String {
    match event {
        SysEvent::In { message, .. } => (*message).to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn sy13_two_of_the_same_function_need_different_ids() {
    on_every_path(|_| async move {
        let counter = Counter::start(0).await.unwrap();
        let pid = counter.pid();
        let log = Log::default();
        let note = |id: &'static str| {
            let log = log.clone();
            move |event: &SysEvent| {
                log.add(format!("{id} {}", text(event)));
                ON
            }
        };
        sys::install(pid, "one", note("first")).await.unwrap();
        assert_eq!(sys::install(pid, "one", note("again")).await, Err(SysError::IdTaken));
        sys::install(pid, "two", note("second")).await.unwrap();
        counter.cast(Add(1));
        assert_eq!(counter.call(Add(1)).await.unwrap(), 2);
        let seen = ["first Add", "second Add"];
        assert_eq!(log.all(), [seen, seen].concat(), "both, in the order of installation");
        assert_eq!(sys::remove(pid, "one").await, Ok(true));
        assert_eq!(sys::remove(pid, "one").await, Ok(false));
        counter.call(Add(1)).await.unwrap();
        assert_eq!(log.all().len(), 5);
        sys::install(pid, "one", note("anew")).await.unwrap();
        counter.call(Add(1)).await.unwrap();
        assert_eq!(log.all()[5..], ["second Add", "anew Add"]);
    });
}

#[test]
fn sy13_a_function_keeps_its_state_and_takes_itself_out_when_it_is_done() {
    on_every_path(|_| async move {
        let counter = Counter::start(0).await.unwrap();
        let (seen, dropped) = (Log::default(), Log::default());
        let (into, note) = (seen.clone(), DropNote(dropped.clone(), "the function's state"));
        let mut left = 3;
        sys::install(counter.pid(), "three", move |event| {
            let _ = &note;
            into.add((left, text(event)));
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ON }
        })
        .await
        .unwrap();
        assert!(sys::get_status(counter.pid()).await.unwrap().debugged);
        for n in 1..=5 {
            assert_eq!(dropped.all().len(), usize::from(n > 3));
            assert_eq!(counter.call(Add(1)).await.unwrap(), n);
        }
        let left: Vec<i32> = seen.all().into_iter().map(|(left, _)| left).collect();
        assert_eq!(left, [3, 2, 1]);
        assert!(!sys::get_status(counter.pid()).await.unwrap().debugged);
        assert_eq!(sys::remove(counter.pid(), "three").await, Ok(false));
    });
}

#[test]
fn sy13_a_function_sees_the_state_before_the_message_is_handled() {
    on_every_path(|_| async move {
        let counter = Counter::start(5).name("counter").await.unwrap();
        let seen = Log::default();
        let log = seen.clone();
        let f = move |_: &SysEvent, state: &Counter| {
            log.add(state.0);
            ON
        };
        sys::install_with_state(&Counter::named("counter"), "state", f).await.unwrap();
        for n in [1, 10, 100] {
            counter.cast(Add(n));
        }
        assert_eq!(counter.call(Add(0)).await.unwrap(), 116);
        assert_eq!(seen.all(), [5, 6, 16, 116]);
        let refused = sys::install_with_state(&counter, "state", |_, _| ON).await;
        assert_eq!(refused, Err(SysError::IdTaken));
        counter.stop().await.unwrap();
        assert_eq!(sys::install_with_state(&counter, "late", |_, _| ON).await, Err(SysError::NoProc));
        assert_eq!(sys::install(counter.pid(), "late", |_| ON).await, Err(SysError::NoProc));
        assert_eq!(sys::remove(counter.pid(), "state").await, Err(SysError::NoProc));
    });
}

#[test]
fn sy13_a_function_that_panics_is_taken_out_and_the_server_goes_on() {
    on_every_path(|_| async move {
        let counter = Counter::start(0).await.unwrap();
        let seen = Log::default();
        let log = seen.clone();
        let bomb = Bomb("when the function is dropped");
        sys::install(counter.pid(), "bad", move |_| {
            let _ = &bomb;
            planned("in a function of sys::install")
        })
        .await
        .unwrap();
        sys::install(counter.pid(), "good", move |event| {
            log.add(text(event));
            ON
        })
        .await
        .unwrap();
        assert_eq!(counter.call(Add(1)).await.unwrap(), 1);
        assert_eq!(counter.call(Add(1)).await.unwrap(), 2);
        assert_eq!(seen.all(), ["Add", "Add"]);
        assert_eq!(sys::remove(counter.pid(), "bad").await, Ok(false));
        assert_eq!(sys::remove(counter.pid(), "good").await, Ok(true));
    });
}

#[test]
fn sy13_functions_go_with_their_process_before_anybody_hears_of_its_end() {
    on_every_path(|mut me| async move {
        let counter = Counter::start(0).await.unwrap();
        let dropped = Log::default();
        let (note, bomb) = (DropNote(dropped.clone(), "state"), Bomb("at the end of the process"));
        sys::install(counter.pid(), "one", move |_| {
            let _ = &note;
            ON
        })
        .await
        .unwrap();
        sys::install(counter.pid(), "two", move |_| {
            let _ = &bomb;
            ON
        })
        .await
        .unwrap();
        let monitor = me.monitor(counter.pid());
        process::exit(counter.pid(), ExitReason::Kill);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        assert_eq!(dropped.all(), ["state"]);
    });
}

/// A file of this test, gone at its end.
struct Place(std::path::PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Place(std::env::temp_dir().join(format!("purlin-{name}-{}-{n}.log", std::process::id())))
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.0).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn sy14_log_to_file_writes_every_event_and_closes_the_file_when_it_is_switched_off() {
    in_simulation_on_every_path(|_| async move {
        let (first, second) = (Place::new("first"), Place::new("second"));
        std::fs::write(&first.0, "what was there before\n").unwrap();
        let counter = Counter::start(0).await.unwrap();
        let pid = counter.pid();
        process::sleep(millis(1500)).await;
        sys::log_to_file(pid, &first.0).await.unwrap();
        counter.call(Add(1)).await.unwrap();
        process::sleep(millis(25)).await;
        counter.call(Add(1)).await.unwrap();
        assert_eq!(first.lines(), [format!("1.500000 {pid} got Add"), format!("1.525000 {pid} got Add")]);
        sys::log_to_file(pid, &second.0).await.unwrap();
        counter.call(Add(1)).await.unwrap();
        assert_eq!((first.lines().len(), second.lines().len()), (2, 1));
        // An id of the program's is no file.
        assert_eq!(sys::remove(pid, "file").await, Ok(false));
        assert_eq!(sys::stop_log_to_file(pid).await, Ok(true));
        assert_eq!(sys::stop_log_to_file(pid).await, Ok(false));
        counter.call(Add(1)).await.unwrap();
        assert_eq!(second.lines().len(), 1);
        let missing = second.0.join("not a folder");
        assert!(matches!(sys::log_to_file(pid, missing).await, Err(SysError::File(_))));
        assert!(!sys::get_status(pid).await.unwrap().debugged);
    });
}

#[test]
fn sy19_a_server_whose_functions_are_gone_is_called_in_place_again() {
    run(Run::Simulated { seed: 1, path: CallPath::Direct }, |_| async move {
        let counter = Counter::start(0).await.unwrap();
        let queued = || Node::current().stats().queued_calls;
        sys::install(counter.pid(), "once", |_| ControlFlow::Break(())).await.unwrap();
        counter.call(Add(1)).await.unwrap();
        assert_eq!(queued(), 1);
        counter.call(Add(1)).await.unwrap();
        assert_eq!(queued(), 1, "it was done");
        sys::install(counter.pid(), "one", |_| ON).await.unwrap();
        sys::install(counter.pid(), "two", |_| ON).await.unwrap();
        sys::remove(counter.pid(), "one").await.unwrap();
        counter.call(Add(1)).await.unwrap();
        assert_eq!(queued(), 2, "one of the two is still there");
        sys::remove(counter.pid(), "two").await.unwrap();
        counter.call(Add(1)).await.unwrap();
        assert_eq!(queued(), 2);
    });
}

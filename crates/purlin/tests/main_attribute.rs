//! Proves that `#[purlin::main]` runs a program on a node, passes its result on, and stops it in order when a signal asks for it.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitCode, Stdio};

use purlin::prelude::*;

/// Says when it ends, so that a test sees the order.
struct Speaker(&'static str);

#[gen_server]
impl Speaker {
    fn init(name: &'static str, cx: &mut Cx<Self>) -> Self {
        cx.trap_exits(true);
        Speaker(name)
    }

    #[info]
    fn exit(&mut self, exit: Exit, cx: &mut Cx<Self>) {
        cx.stop(exit.reason);
    }

    fn terminate(&mut self, reason: &ExitReason) {
        println!("{} ends: {reason}", self.0);
    }
}

struct Fragile;

#[gen_server]
impl Fragile {
    fn init() -> Self {
        Fragile
    }

    #[cast]
    fn fail(&mut self) {
        panic!("as meant");
    }
}

#[purlin::main]
async fn returns() -> Result<()> {
    Speaker::start("speaker").await?;
    println!("on {}", Node::current().name());
    Ok(())
}

#[purlin::main(name = "shop", worker_threads = 1)]
async fn fails() -> Result<(), StartError> {
    println!("on {}", Node::current().name());
    Err(StartError::BadName)
}

#[purlin::main(flavor = "current_thread")]
async fn has_a_status() -> ExitCode {
    ExitCode::from(7)
}

#[purlin::main]
async fn panics() {
    Speaker::start("speaker").await.unwrap();
    panic!("as meant");
}

#[purlin::main]
async fn waits() -> Result<()> {
    Speaker::start("speaker").await?;
    println!("ready");
    std::future::pending().await
}

#[purlin::main]
async fn sees_its_servers_end() -> ExitCode {
    let speaker = Speaker::start("speaker").await.unwrap();
    println!("ready");
    process::wait(speaker.pid()).await;
    println!("main ends");
    ExitCode::from(3)
}

/// Does not want to end.
struct Stubborn;

#[gen_server]
impl Stubborn {
    fn init(cx: &mut Cx<Self>) -> Self {
        cx.trap_exits(true);
        Stubborn
    }

    #[info]
    fn exit(&mut self, _: Exit) {}

    async fn terminate(&mut self, _: &ExitReason) {
        println!("no");
        std::future::pending().await
    }
}

#[purlin::main]
async fn does_not_stop() {
    Stubborn::start(()).await.unwrap();
    println!("ready");
    std::future::pending().await
}

#[purlin::main]
async fn tells_a_stop_from_a_failure() -> ExitCode {
    let supervisor = Supervisor::one_for_one()
        .max_restarts(0, secs(5))
        .child(Speaker::child_spec("speaker").name("speaker"))
        .start_link()
        .await
        .unwrap();
    println!("ready");
    if std::env::var_os(FAILS).is_some() {
        process::exit(process::whereis("speaker").unwrap(), ExitReason::Kill);
    }
    process::wait(supervisor.pid()).await;
    println!("stopping: {}", Node::current().is_stopping());
    ExitCode::from(4)
}

/// Nobody listens to `tracing`.
#[purlin::main]
async fn fails_without_a_subscriber() {
    let top =
        Supervisor::one_for_one().max_restarts(0, secs(5)).child(Fragile::child_spec(()).name("fragile"));
    let top = top.start_link().await.unwrap();
    Fragile::named("fragile").fail();
    top.wait().await;
}

#[purlin::main]
async fn hears_that_it_is_stopping() -> ExitCode {
    let speaker = Speaker::start("speaker").await.unwrap();
    println!("ready");
    Node::current().stopping().await;
    println!("main hears it");
    process::wait(speaker.pid()).await;
    ExitCode::from(5)
}

#[purlin::main(worker_threads = 1)]
async fn blocks_its_only_worker() {
    process::spawn(async |_: Mailbox<()>| {
        println!("ready");
        loop {
            std::thread::park();
        }
    });
    Node::current().stopping().await;
    println!("main hears it");
    std::future::pending().await
}

/// An application whose tree is one speaker.
struct Part;

impl Application for Part {
    type Args = &'static str;

    async fn start(_: application::StartType, name: &'static str) -> Result<(Pid, Self), Crash> {
        let top = Supervisor::one_for_one().max_restarts(0, secs(5));
        let top = top.child(Speaker::child_spec(name).name(name)).start_link().await?;
        Ok((top.pid(), Part))
    }

    async fn stop(self) {
        println!("a part is down");
    }
}

#[purlin::main]
async fn has_applications() -> Result<()> {
    let db = ApplicationSpec::new::<Part>("db", "db");
    let shop = ApplicationSpec::new::<Part>("shop", "shop").application(db);
    application::ensure_all_started([shop], Permanent, application::Mode::Serial).await?;
    println!("ready");
    if std::env::var_os(FAILS).is_some() {
        process::exit(process::whereis("shop").unwrap(), ExitReason::Kill);
    }
    std::future::pending().await
}

const VARIABLE: &str = "PURLIN_TEST_PROGRAM";
/// Set for a program in which something fails.
const FAILS: &str = "PURLIN_TEST_FAILS";

/// Is run by the tests below, in a process of its own.
#[test]
fn program() {
    let Ok(name) = std::env::var(VARIABLE) else { return };
    let code = match name.as_str() {
        "returns" => returns(),
        "fails" => fails(),
        "has_a_status" => has_a_status(),
        "panics" => panics(),
        "waits" => waits(),
        "sees_its_servers_end" => sees_its_servers_end(),
        "does_not_stop" => does_not_stop(),
        "tells_a_stop_from_a_failure" => tells_a_stop_from_a_failure(),
        "fails_without_a_subscriber" => fails_without_a_subscriber(),
        "hears_that_it_is_stopping" => hears_that_it_is_stopping(),
        "has_applications" => has_applications(),
        "blocks_its_only_worker" => blocks_its_only_worker(),
        other => panic!("there is no program {other}"),
    };
    println!("{code:?} returned");
}

fn start(name: &str) -> Child {
    start_with(name, &mut Command::new(std::env::current_exe().unwrap()))
}

fn start_with(name: &str, command: &mut Command) -> Child {
    command.args(["--exact", "program", "--nocapture", "--test-threads=1"]).env(VARIABLE, name);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What the program wrote, and its status.
fn output(child: Child) -> (String, Option<i32>) {
    let output = child.wait_with_output().unwrap();
    (
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr),
        output.status.code(),
    )
}

/// Reads until the program says `line`.
fn wait_for(child: &mut Child, line: &str) -> BufReader<std::process::ChildStdout> {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.ends_with(&format!("{line}\n")) {
        assert_ne!(reader.read_line(&mut text).unwrap(), 0, "the program ended too early: {text}");
    }
    reader
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().unwrap();
    assert!(status.success());
}

fn rest(mut reader: BufReader<std::process::ChildStdout>, child: &mut Child) -> (String, Option<i32>) {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    (text, child.wait().unwrap().code())
}

fn success() -> String {
    format!("{:?} returned", ExitCode::SUCCESS)
}

#[test]
fn when_main_returns_the_node_is_stopped_and_the_result_passed_on() {
    let (text, _) = output(start("returns"));
    assert!(text.contains("on nonode\nspeaker ends: shutdown\n"), "{text}");
    assert!(text.contains(&success()), "{text}");
}

#[test]
fn an_error_of_main_is_shown_and_makes_the_program_fail() {
    let (text, _) = output(start("fails"));
    assert!(text.contains("on shop\n") && text.contains("Error: BadName"), "{text}");
    assert!(text.contains(&format!("{:?} returned", ExitCode::FAILURE)), "{text}");
}

#[test]
fn a_status_is_passed_on() {
    let (text, _) = output(start("has_a_status"));
    assert!(text.contains(&format!("{:?} returned", ExitCode::from(7))), "{text}");
}

#[test]
fn the_node_is_stopped_before_a_panic_of_main_goes_on() {
    let (text, code) = output(start("panics"));
    assert!(text.contains("speaker ends: shutdown\n") && text.contains("as meant"), "{text}");
    assert_eq!(code, Some(101));
}

#[test]
fn a_signal_stops_the_processes_and_ends_the_program_well() {
    for name in ["TERM", "INT"] {
        let mut child = start("waits");
        let reader = wait_for(&mut child, "ready");
        signal(&child, name);
        let (text, code) = rest(reader, &mut child);
        assert!(text.starts_with("speaker ends: shutdown\n"), "{text}");
        assert!(text.contains(&success()), "{text}");
        assert_eq!(code, Some(0));
    }
}

#[test]
fn main_may_see_its_servers_end_and_say_the_last_word() {
    let mut child = start("sees_its_servers_end");
    let reader = wait_for(&mut child, "ready");
    signal(&child, "TERM");
    let (text, _) = rest(reader, &mut child);
    assert!(text.starts_with("speaker ends: shutdown\nmain ends\n"), "{text}");
    assert!(text.contains(&format!("{:?} returned", ExitCode::from(3))), "{text}");
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let mut child = start("does_not_stop");
    let mut reader = wait_for(&mut child, "ready");
    signal(&child, "TERM");
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "no\n");
    signal(&child, "INT");
    let (_, code) = rest(reader, &mut child);
    assert_eq!(code, Some(130));
}

#[test]
fn main_can_tell_a_stop_by_a_signal_from_a_supervisor_that_gives_up() {
    let mut child = start("tells_a_stop_from_a_failure");
    let reader = wait_for(&mut child, "ready");
    signal(&child, "TERM");
    let (text, _) = rest(reader, &mut child);
    assert!(text.starts_with("speaker ends: shutdown\nstopping: true\n"), "{text}");

    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = start_with("tells_a_stop_from_a_failure", command.env(FAILS, "1"));
    let reader = wait_for(&mut child, "ready");
    let (text, _) = rest(reader, &mut child);
    assert!(text.starts_with("stopping: false\n"), "{text}");
}

#[test]
fn main_hears_that_a_signal_has_come_and_its_result_is_the_programs() {
    let mut child = start("hears_that_it_is_stopping");
    let reader = wait_for(&mut child, "ready");
    signal(&child, "INT");
    let (text, _) = rest(reader, &mut child);
    assert!(text.contains("main hears it\n") && text.contains("speaker ends: shutdown\n"), "{text}");
    assert!(text.contains(&format!("{:?} returned", ExitCode::from(5))), "{text}");
}

#[test]
fn ap30_a_signal_stops_the_applications_in_the_reverse_order_of_their_start() {
    for name in ["TERM", "INT"] {
        let mut child = start("has_applications");
        let reader = wait_for(&mut child, "ready");
        signal(&child, name);
        let (text, _) = rest(reader, &mut child);
        let order = "shop ends: shutdown\na part is down\ndb ends: shutdown\na part is down\n";
        assert!(text.starts_with(order), "{text}");
        assert!(text.contains(&success()), "{text}");
    }
}

#[test]
fn ap8_the_end_of_a_permanent_application_stops_the_others_and_makes_the_program_fail() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = start_with("has_applications", command.env(FAILS, "1"));
    let reader = wait_for(&mut child, "ready");
    let mut errors = child.stderr.take().unwrap();
    let (text, _) = rest(reader, &mut child);
    assert!(text.starts_with("a part is down\ndb ends: shutdown\na part is down\n"), "{text}");
    assert!(text.contains(&format!("{:?} returned", ExitCode::FAILURE)), "{text}");
    let mut told = String::new();
    errors.read_to_string(&mut told).unwrap();
    let line = "purlin: the application \"shop\" ended, and the node with it: shutdown\n";
    assert!(told.contains(line), "{told}");
}

#[test]
fn a_second_signal_ends_a_program_whose_threads_are_all_blocked() {
    let mut child = start("blocks_its_only_worker");
    let mut reader = wait_for(&mut child, "ready");
    signal(&child, "INT");
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "main hears it\n");
    signal(&child, "TERM");
    let (_, code) = rest(reader, &mut child);
    assert_eq!(code, Some(143));
}

#[test]
fn without_a_subscriber_stderr_tells_of_crashes_and_of_supervisors_that_give_up() {
    let (text, status) = output(start("fails_without_a_subscriber"));
    let line = |begin: &str| {
        text.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("no {begin}: {text}"))
    };
    let crash = line("purlin: process <0.");
    for part in ["Fragile", "fragile", "crashed", "as meant", "main_attribute.rs", "last message fail"] {
        assert!(crash.to_lowercase().contains(&part.to_lowercase()), "no {part}: {crash}");
    }
    let end = line("purlin: supervisor <0.");
    assert!(end.contains("more than 0 restarts within 5s") && end.contains("fragile"), "{end}");
    assert_eq!(status, Some(0));
}

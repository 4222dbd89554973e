//! Proves that the demonstration, run as a user runs it, ends with books that agree, and that it notices a
//! receiver that lies.

use std::process::{Command, Output};

/// A small, fast demonstration: 100 events, 400 deliveries.
fn demo(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_webhooks"))
        .args(["demo", "--deliveries", "400", "--rate", "1000"])
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = String::from_utf8(output.stdout.clone()).expect("its output is UTF-8");
    (output, text)
}

/// The numbers of a row of the table: accepted, delivered, retried, given up, restarts.
fn row(text: &str, endpoint: &str) -> [u64; 5] {
    let cells = |line: &str| -> Vec<u64> {
        line.split_whitespace().skip(1).filter_map(|cell| cell.replace(',', "").parse().ok()).collect()
    };
    let table = text.lines().skip_while(|line| !line.trim_start().starts_with("endpoint"));
    let line = table.skip(1).find(|line| line.trim_start().starts_with(endpoint));
    let cells = cells(line.unwrap_or_else(|| panic!("no row `{endpoint}` in\n{text}")));
    cells[..5].try_into().expect("five counts")
}

#[test]
fn an_honest_run_delivers_everything_but_what_went_to_the_dead_receiver_and_exits_with_0() {
    let (output, text) = demo(&[]);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for endpoint in ["healthy", "slow", "flaky"] {
        let [accepted, delivered, _retried, given_up, _restarts] = row(&text, endpoint);
        assert_eq!((accepted, delivered, given_up), (100, 100, 0), "{text}");
    }
    let [accepted, delivered, retried, given_up, _restarts] = row(&text, "dead");
    assert_eq!((accepted, delivered, retried, given_up), (100, 0, 300, 100), "{text}");
    assert!(row(&text, "flaky")[2] > 10, "the flaky receiver made for no retries:\n{text}");
    assert!(row(&text, "together")[4] > 0, "no killed process was replaced:\n{text}");
    assert!(text.contains("All books agree"), "{text}");
}

#[test]
fn a_receiver_that_reports_one_delivery_fewer_makes_the_exit_status_1_and_is_named() {
    let (output, text) = demo(&["--lying-receiver"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let healthy = text
        .lines()
        .find(|line| line.contains("DIFFERENT"))
        .unwrap_or_else(|| panic!("no difference in\n{text}"));
    assert!(
        healthy.trim_start().starts_with("healthy") && healthy.contains("the receiver has 99"),
        "{healthy}"
    );
    assert!(text.contains("THE BOOKS DIFFER"), "{text}");
}

#[test]
fn a_file_of_events_that_cannot_be_used_is_named_and_the_exit_status_is_2() {
    let (output, _) = demo(&["--events", "/no/such/events.json"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.starts_with("webhooks: cannot use the events of /no/such/events.json: "), "{message}");
}

//! Proves that the counter of the README prints what it says.

use std::process::Command;

#[test]
fn the_counter_prints_five_and_nought() {
    let output = Command::new(env!("CARGO_BIN_EXE_example-counter")).output().expect("the example runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "5\n0\n");
}

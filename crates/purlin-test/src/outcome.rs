//! What a test's body may return.

use std::fmt::Debug;
use std::process::ExitCode;

/// The result of a test's body: `()`, or a `Result` whose error can be shown.
#[diagnostic::on_unimplemented(
    message = "a test does not return `{Self}`",
    note = "a test returns nothing, or a `Result` whose error implements `Debug`"
)]
pub trait Outcome {
    #[doc(hidden)]
    fn judge(self) -> Result<(), String>;
}

impl Outcome for () {
    fn judge(self) -> Result<(), String> {
        Ok(())
    }
}

impl Outcome for ExitCode {
    fn judge(self) -> Result<(), String> {
        if matches!(self, ExitCode::SUCCESS) { Ok(()) } else { Err(format!("the test returned {self:?}")) }
    }
}

impl<T: Outcome, E: Debug> Outcome for Result<T, E> {
    fn judge(self) -> Result<(), String> {
        match self {
            Ok(value) => value.judge(),
            Err(error) => Err(format!("the test returned an error: {error:?}")),
        }
    }
}

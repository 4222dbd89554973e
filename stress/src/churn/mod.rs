//! Churn.

use std::process::ExitCode;

pub(crate) struct Options;

impl Options {
    pub(crate) fn parse(_: &[&str]) -> Option<Options> {
        None
    }
}

pub(crate) fn run(_: &Options) -> ExitCode {
    ExitCode::SUCCESS
}

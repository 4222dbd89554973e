//! Changing a running server's state from one version of its meaning to another (OTP's `code_change`).

use std::fmt;

use super::{Found, ServerHandle, SysError, ask, with_state};
use crate::process::cell::SUSPENDED;
use crate::process::panic;

/// Why a state could not be carried over: any error, or a text.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A server's state that can be carried over from an older version, or to one: for [`change_code`].
///
/// Code is not loaded at run time; what changes is what the code makes of a state: the layout of a cache, a limit, a protocol that peers have
/// agreed on. `Old` is a type that says which version the state is of, and brings what else is needed (OTP's `OldVsn` and `Extra`). Implement
/// the trait for each step that exists, up or down; a step that does not exist does not compile.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Cx, GenServer, InitError, sys};
/// use std::collections::BTreeMap;
///
/// /// Version 1 counts; version 2 counts by name.
/// #[derive(Clone, Debug, PartialEq)]
/// enum Counter {
///     V1(u64),
///     V2(BTreeMap<String, u64>),
/// }
/// # impl GenServer for Counter { type Args = u64; async fn init(n: u64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter::V1(n)) } }
///
/// /// From version 1: what was counted so far gets this name.
/// struct FromV1(&'static str);
///
/// impl sys::HandleCodeChange<FromV1> for Counter {
///     fn code_change(&self, FromV1(name): FromV1) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
///         match self {
///             Counter::V1(n) => Ok(Counter::V2([(name.to_owned(), *n)].into())),
///             Counter::V2(_) => Err("it is of version 2 already".into()),
///         }
///     }
/// }
///
/// let counter = Counter::start(7).await?;
/// sys::suspend(counter.pid()).await?;                                // calls and casts wait
/// sys::change_code(&counter, FromV1("all")).await?;
/// let again = sys::change_code(&counter, FromV1("all")).await.unwrap_err();
/// assert_eq!(again.to_string(), "the state is as it was: it is of version 2 already");
/// sys::resume(counter.pid()).await?;
/// assert_eq!(sys::get_state(&counter).await?, Counter::V2([("all".to_owned(), 7)].into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how its state is carried over from `{Old}`",
    label = "no such step",
    note = "add `impl sys::HandleCodeChange<{Old}> for {Self}`"
)]
pub trait HandleCodeChange<Old>: Sized + 'static {
    /// The new state, made from the present one. That one stays as it is until this has returned.
    ///
    /// # Errors
    /// Why it cannot be done; the server keeps its state.
    fn code_change(&self, old: Old) -> Result<Self, Failure>;
}

/// Why a server's state was not changed. It is as it was, and the server as suspended as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum ChangeCodeError {
    /// The server is not suspended: [`suspend`](super::suspend) it first, and [`resume`](super::resume) it afterwards.
    NotSuspended,
    /// Its [`code_change`](HandleCodeChange::code_change) failed.
    Failed(Failure),
    /// The request was not served, or `code_change` panicked.
    Sys(SysError),
}

impl fmt::Display for ChangeCodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeCodeError::NotSuspended => f.write_str("the server is not suspended"),
            ChangeCodeError::Failed(error) => write!(f, "the state is as it was: {error}"),
            ChangeCodeError::Sys(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ChangeCodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Shown by `Display` already, so it is not a source as well.
            ChangeCodeError::Failed(error) => error.source(),
            _ => None,
        }
    }
}

impl From<SysError> for ChangeCodeError {
    fn from(error: SysError) -> Self {
        ChangeCodeError::Sys(error)
    }
}

/// Replaces a suspended server's state by what [`HandleCodeChange::code_change`] makes of it, inside its process.
///
/// Suspend all servers that are to change together, change them, and resume them: none of them sees the others half-changed.
///
/// # Errors
/// See [`ChangeCodeError`]. Whatever it is, a panic included, the server keeps its old state and goes on with it when it is resumed.
pub async fn change_code<H, Old>(server: &H, old: Old) -> Result<(), ChangeCodeError>
where
    H: ServerHandle,
    H::Server: HandleCodeChange<Old>,
    Old: Send + 'static,
{
    let Found(process) = server.found().ok_or(SysError::NoProc)?;
    ask(&process, move |proc| {
        if !proc.has(SUSPENDED) {
            return Err(ChangeCodeError::NotSuspended);
        }
        let changed = with_state(proc, |state: &mut H::Server| {
            let new = state.code_change(old)?;
            Ok(std::mem::replace(state, new))
        });
        match changed {
            None => Err(SysError::NoState.into()),
            Some(Err(error)) => Err(ChangeCodeError::Failed(error)),
            Some(Ok(before)) => {
                panic::drop_quietly("a state that was changed", before);
                Ok(())
            },
        }
    })
    .await?
}

//! Checks that a macro cannot make, because it sees tokens and no types: generated code makes the compiler ask.

use std::marker::PhantomData;

use purlin_core::Crash;

/// Stands for what a handler returns. `look` tells a `Result<_, Crash>` from everything else, also behind an alias: an inherent method is
/// found before one of a trait.
pub struct Returned<T>(PhantomData<fn() -> T>);

impl<T> Returned<T> {
    /// The stand-in for `T`.
    #[expect(clippy::new_without_default, reason = "only generated code makes one")]
    pub fn new() -> Returned<T> {
        Returned(PhantomData)
    }
}

/// The answer for an ordinary reply.
#[derive(Debug)]
pub struct Visible;

/// The answer for a `Crash` that the macro has not seen.
#[derive(Debug)]
pub struct Hidden;

impl<T> Returned<Result<T, Crash>> {
    /// It is a `Result<_, Crash>`.
    pub fn look(&self) -> Hidden {
        Hidden
    }
}

/// The way for everything else.
pub trait Look {
    /// It is none.
    fn look(&self) -> Visible {
        Visible
    }
}

impl<T> Look for Returned<T> {}

/// What is wanted of the answer.
#[diagnostic::on_unimplemented(
    message = "this return type hides a `Crash` behind an alias",
    label = "write it out: `Result<.., Crash>`",
    note = "`#[gen_server]` sees how a type is written, not what it is: a `Crash` it cannot see would become part of the reply, \
            instead of ending the server"
)]
pub trait InFull {}

impl InFull for Visible {}

/// Refuses a hidden `Crash`.
pub fn reply_in_full<T: InFull>(_: T) {}

/// A state that an `async` method with `&self` can hold on to while it waits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has an `async` method with `&self` but is not `Sync`",
    label = "the method may go on in another thread and take `&self` with it",
    note = "take `&mut self`, or replace the `Cell`, `RefCell` or raw pointer in it by an atomic or a lock"
)]
pub trait SharedAcrossAwait {}

impl<T: Sync + ?Sized> SharedAcrossAwait for T {}

/// Refuses a state that is not `Sync`.
pub fn shared_across_await<T: SharedAcrossAwait + ?Sized>() {}

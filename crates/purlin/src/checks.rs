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

// The type `__checks` of an expansion has one field for each thing to check, of one of the types below: what is unfit is an error there.

/// A state that can be a server's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a server, because it is not `Send`",
    label = "a server may run on another thread than the one that made it",
    note = "use `Arc` instead of `Rc`, and a lock or an atomic instead of a raw pointer"
)]
pub trait FitState: Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> FitState for T {}

/// Exists if `T` is fit.
pub struct StateCheck<T: FitState>(PhantomData<fn() -> T>);

/// Something that a message can carry.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a message, because it is not `Send`",
    label = "a message goes from one thread to another",
    note = "use `Arc` instead of `Rc`, and a lock or an atomic instead of a raw pointer"
)]
pub trait FitMessage: Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> FitMessage for T {}

/// Exists if `T` is fit.
pub struct MessageCheck<T: FitMessage>(PhantomData<fn() -> T>);

/// Something that a call can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a reply, because it is not `Send`",
    label = "a reply goes from one thread to another",
    note = "use `Arc` instead of `Rc`, and a lock or an atomic instead of a raw pointer"
)]
pub trait FitReply: Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> FitReply for T {}

/// Exists if `T` is fit.
pub struct ReplyCheck<T: FitReply>(PhantomData<fn() -> T>);

/// A state that `&self` calls can look at.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has a `&self` call but is not `Sync`",
    label = "several callers would look at the state at once",
    note = "take `&mut self` (the call then runs alone), or replace the `Cell`, `RefCell` or raw pointer in it by an atomic or a lock"
)]
pub trait FitRead: Sync {}

#[diagnostic::do_not_recommend]
impl<T: Sync> FitRead for T {}

/// Exists if `T` is fit.
pub struct ReadCheck<T: FitRead>(PhantomData<fn() -> T>);

/// A state that an `async` method with `&self` can hold on to while it waits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has an `async` method with `&self` but is not `Sync`",
    label = "the method may go on in another thread, and take `&self` with it",
    note = "take `&mut self`, or replace the `Cell`, `RefCell` or raw pointer in it by an atomic or a lock"
)]
pub trait FitShared: Sync {}

#[diagnostic::do_not_recommend]
impl<T: Sync> FitShared for T {}

/// Exists if `T` is fit.
pub struct SharedCheck<T: FitShared>(PhantomData<fn() -> T>);

//! Envelopes: messages with their handler, 40 bytes, without allocation up to four words.
//!
//! An envelope is a pointer to a static table and four words. A message of at most 32 bytes (and a word's alignment) lies in the
//! words; a larger one is boxed by the sender and the first word points to it. The table knows how to drop the message, what its
//! type is called and, when the message was made for a particular server, how that server handles it.

use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit, align_of, size_of};
use std::task::Context;

use crate::process::cell::Proc;

/// What the receiving process does with an envelope before anybody looks inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A message of the program: waits its turn, counts against a bound, waits while the server is suspended.
    User,
    /// A request of `sys`: waits its turn, but is served by a suspended server too.
    System,
    /// An exit or DOWN signal: applied in order as soon as the mailbox is looked at.
    Signal,
}

/// Four words that hold a message or the box it is in.
pub(crate) type Payload = [MaybeUninit<usize>; 4];

/// Handles a message inside the activation of the server it was made for.
///
/// # Safety
/// `payload` holds the message of the table that this function is from and is given up to the function; the process is of the
/// type that the table was made for, and the caller holds its run lock.
pub(crate) type HandleFn = unsafe fn(payload: *mut Payload, proc: &Proc, cx: &mut Context<'_>);

pub(crate) struct MsgTable {
    pub(crate) kind: Kind,
    pub(crate) type_id: fn() -> TypeId,
    pub(crate) type_name: fn() -> &'static str,
    pub(crate) drop: unsafe fn(*mut Payload),
    pub(crate) handle: Option<HandleFn>,
}

pub(crate) struct Envelope {
    table: &'static MsgTable,
    payload: Payload,
}

// SAFETY: every constructor demands a `Send` message, and nothing but that message is inside.
unsafe impl Send for Envelope {}

const fn fits<M>() -> bool {
    size_of::<M>() <= size_of::<Payload>() && align_of::<M>() <= align_of::<Payload>()
}

/// Moves `message` into a payload.
pub(crate) fn pack<M>(message: M) -> Payload {
    let mut payload: Payload = [MaybeUninit::uninit(); 4];
    if const { fits::<M>() } {
        // SAFETY: size and alignment fit, checked just above; the payload is ours.
        unsafe { payload.as_mut_ptr().cast::<M>().write(message) };
    } else {
        payload[0] = MaybeUninit::new(Box::into_raw(Box::new(message)).expose_provenance());
    }
    payload
}

/// Moves the message out of a payload.
///
/// # Safety
/// The payload was made by `pack::<M>` and is not used again.
pub(crate) unsafe fn unpack<M>(payload: *mut Payload) -> M {
    if const { fits::<M>() } {
        // SAFETY: by the caller's promise a live `M` lies here and is given up.
        unsafe { payload.cast::<M>().read() }
    } else {
        // SAFETY: by the caller's promise the first word is the box that `pack` made, given up here.
        unsafe { *Box::from_raw(std::ptr::with_exposed_provenance_mut::<M>((*payload)[0].assume_init())) }
    }
}

/// Borrows the message in a payload.
///
/// # Safety
/// The payload was made by `pack::<M>` and still owns the message; the borrow ends before it is moved out.
unsafe fn peek<'a, M>(payload: *const Payload) -> &'a M {
    if const { fits::<M>() } {
        // SAFETY: by the caller's promise.
        unsafe { &*payload.cast::<M>() }
    } else {
        // SAFETY: by the caller's promise the first word is the box that `pack` made.
        unsafe { &*std::ptr::with_exposed_provenance::<M>((*payload)[0].assume_init()) }
    }
}

/// # Safety
/// As for [`unpack`].
pub(crate) unsafe fn drop_payload<M>(payload: *mut Payload) {
    // SAFETY: the caller's promise is the same.
    drop(unsafe { unpack::<M>(payload) });
}

/// The table of a message that was made for nobody in particular: raw processes and untyped sends.
struct Plain<M>(PhantomData<M>);

impl<M: Send + 'static> Plain<M> {
    const TABLE: MsgTable = MsgTable {
        kind: Kind::User,
        type_id: TypeId::of::<M>,
        type_name: std::any::type_name::<M>,
        drop: drop_payload::<M>,
        handle: None,
    };
}

impl Envelope {
    /// A message without a handler of its own.
    pub(crate) fn plain<M: Send + 'static>(message: M) -> Envelope {
        Envelope { table: &Plain::<M>::TABLE, payload: pack(message) }
    }

    /// A message with the table `table`, which must have been made for `M`.
    ///
    /// # Safety
    /// `table` drops and handles an `M`; it goes only into the mailbox of a process that the table's handler is for.
    pub(crate) unsafe fn with_table<M: Send>(table: &'static MsgTable, message: M) -> Envelope {
        Envelope { table, payload: pack(message) }
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.table.kind
    }

    #[inline]
    pub(crate) fn table(&self) -> &'static MsgTable {
        self.table
    }

    pub(crate) fn is<M: 'static>(&self) -> bool {
        (self.table.type_id)() == TypeId::of::<M>()
    }

    pub(crate) fn type_id(&self) -> TypeId {
        (self.table.type_id)()
    }

    pub(crate) fn type_name(&self) -> &'static str {
        (self.table.type_name)()
    }

    /// The message, if it is an `M`; else the envelope back.
    pub(crate) fn downcast<M: 'static>(self) -> Result<M, Envelope> {
        if self.is::<M>() {
            let mut this = ManuallyDrop::new(self);
            // SAFETY: the type was compared; the payload is given up and `this` is never dropped.
            Ok(unsafe { unpack::<M>(&mut this.payload) })
        } else {
            Err(self)
        }
    }

    /// Borrows the message, if it is an `M`.
    pub(crate) fn downcast_ref<M: 'static>(&self) -> Option<&M> {
        // SAFETY: the type was compared, and `self` keeps the message for as long as it is borrowed.
        self.is::<M>().then(|| unsafe { peek::<M>(&self.payload) })
    }

    /// Gives the payload up, with the table that knows it.
    pub(crate) fn into_parts(self) -> (&'static MsgTable, Payload) {
        let this = ManuallyDrop::new(self);
        (this.table, this.payload)
    }
}

impl Drop for Envelope {
    fn drop(&mut self) {
        // SAFETY: the payload holds the table's message; nobody moved it out, or `self` would have been forgotten.
        unsafe { (self.table.drop)(&mut self.payload) }
    }
}

/// An envelope in the signature of a trait that the macro's users see.
#[doc(hidden)]
pub struct Opaque(pub(crate) Envelope);

impl From<Envelope> for Opaque {
    fn from(envelope: Envelope) -> Self {
        Opaque(envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn an_envelope_is_forty_bytes() {
        assert_eq!(size_of::<Envelope>(), 40);
    }

    #[test]
    fn small_and_large_messages_come_out_as_they_went_in() {
        assert_eq!(Envelope::plain(7u8).downcast::<u8>().ok(), Some(7));
        assert_eq!(Envelope::plain([9u64; 4]).downcast::<[u64; 4]>().ok(), Some([9; 4]));
        assert_eq!(Envelope::plain([9u64; 5]).downcast::<[u64; 5]>().ok(), Some([9; 5]));
        assert_eq!(Envelope::plain(7u128).downcast::<u128>().ok(), Some(7));
        assert_eq!(Envelope::plain(()).downcast::<()>().ok(), Some(()));
    }

    #[test]
    fn a_message_of_another_type_is_given_back_whole() {
        let back = Envelope::plain(String::from("hello")).downcast::<u32>().expect_err("not a u32");
        assert_eq!(back.downcast_ref::<String>().map(String::as_str), Some("hello"));
    }

    #[test]
    fn a_message_is_dropped_exactly_once() {
        let counter = Arc::new(());
        drop(Envelope::plain(counter.clone()));
        drop(Envelope::plain((counter.clone(), [0u64; 8])));
        drop(Envelope::plain(counter.clone()).downcast::<Arc<()>>());
        assert_eq!(Arc::strong_count(&counter), 1);
    }
}

//! A handler's future while it runs, and while it is suspended.
//!
//! A frame is the future together with the slot its answer goes to. It is built in a buffer, because a pinned future cannot move:
//! a handler that is polled on a caller's thread and stays pending is handed to the server's own task by handing over the buffer.
//! Buffers of 512 bytes come from a pool of the thread; a larger future gets one of its own. An idle server owns none.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use crate::gen_server::cx::Marks;

const POOLED: Layout = match Layout::from_size_align(512, 16) {
    Ok(layout) => layout,
    Err(_) => panic!("a valid layout"),
};
const KEEP: usize = 16;

struct Pool(Vec<NonNull<u8>>);

impl Drop for Pool {
    fn drop(&mut self) {
        for buffer in self.0.drain(..) {
            // SAFETY: every pointer in the pool was allocated with this layout and is owned by the pool.
            unsafe { dealloc(buffer.as_ptr(), POOLED) };
        }
    }
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool(Vec::new())) };
}

fn take(layout: Layout) -> NonNull<u8> {
    let pooled = layout.size() <= POOLED.size() && layout.align() <= POOLED.align();
    if pooled && let Ok(Some(buffer)) = POOL.try_with(|pool| pool.borrow_mut().0.pop()) {
        return buffer;
    }
    let layout = if pooled { POOLED } else { layout };
    // SAFETY: the layout is not of size 0: a frame holds at least its answer's slot.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

fn give(buffer: NonNull<u8>, layout: Layout) {
    let pooled = layout.size() <= POOLED.size() && layout.align() <= POOLED.align();
    if pooled {
        let kept = POOL.try_with(|pool| {
            let pool = &mut pool.borrow_mut().0;
            (pool.len() < KEEP).then(|| pool.push(buffer)).is_some()
        });
        if kept == Ok(true) {
            return;
        }
    }
    // SAFETY: `take` allocated it with this layout.
    unsafe { dealloc(buffer.as_ptr(), if pooled { POOLED } else { layout }) }
}

/// A future with an effect on its server when it is done.
pub(crate) trait Frame: Send {
    /// Polls; when ready, the outcome (answer, crash) is in its place.
    ///
    /// `marks` lie in the context that the future borrows: they are touched only when the future is done.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, marks: *mut Marks) -> Poll<()>;

    /// The poll panicked: the caller's slot must not be dropped before the reason can be read, so it goes to the marks.
    fn give_up(self: Pin<&mut Self>, marks: *mut Marks);
}

/// How to treat a buffer whose frame's type is known to its maker only.
///
/// # Safety
/// Each function is given a buffer that holds a frame of the type that the table was made for, pinned there; `drop` is called once, and last.
struct FrameTable {
    layout: Layout,
    poll: unsafe fn(NonNull<u8>, &mut Context<'_>, *mut Marks) -> Poll<()>,
    give_up: unsafe fn(NonNull<u8>, *mut Marks),
    drop: unsafe fn(NonNull<u8>),
}

struct TableOf<F>(std::marker::PhantomData<F>);

impl<F: Frame> TableOf<F> {
    const TABLE: FrameTable = FrameTable {
        layout: Layout::new::<F>(),
        // SAFETY: the boxed frame is an F, pinned in its buffer.
        poll: |at, cx, marks| unsafe { Pin::new_unchecked(at.cast::<F>().as_mut()).poll(cx, marks) },
        // SAFETY: as above.
        give_up: |at, marks| unsafe { Pin::new_unchecked(at.cast::<F>().as_mut()).give_up(marks) },
        // SAFETY: as above; called once.
        drop: |at| unsafe { at.cast::<F>().drop_in_place() },
    };
}

/// A frame in its buffer. Dropping it drops the future in place, then returns the buffer.
pub(crate) struct BoxFrame {
    at: NonNull<u8>,
    table: &'static FrameTable,
}

// SAFETY: a frame is Send by the trait's bound, and the buffer is owned.
unsafe impl Send for BoxFrame {}

impl BoxFrame {
    pub(crate) fn new<F: Frame>(frame: F) -> BoxFrame {
        let table = &TableOf::<F>::TABLE;
        let at = take(table.layout);
        // SAFETY: the buffer is large and aligned enough for this layout, and ours.
        unsafe { at.cast::<F>().write(frame) };
        BoxFrame { at, table }
    }

    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, marks: *mut Marks) -> Poll<()> {
        // SAFETY: the table belongs to what lies in the buffer.
        unsafe { (self.table.poll)(self.at, cx, marks) }
    }

    pub(crate) fn give_up(&mut self, marks: *mut Marks) {
        // SAFETY: as above.
        unsafe { (self.table.give_up)(self.at, marks) }
    }

    /// The frame's place, for the one who made it and knows its type.
    pub(crate) fn place<F: Frame>(&mut self) -> NonNull<F> {
        debug_assert!(
            std::ptr::eq(self.table, &TableOf::<F>::TABLE) || self.table.layout == Layout::new::<F>()
        );
        self.at.cast()
    }
}

impl Drop for BoxFrame {
    fn drop(&mut self) {
        struct Return(NonNull<u8>, Layout);
        impl Drop for Return {
            fn drop(&mut self) {
                give(self.0, self.1);
            }
        }
        // The buffer goes back even if the future's Drop panics.
        let _return = Return(self.at, self.table.layout);
        // SAFETY: the frame is alive, and dropped only here.
        unsafe { (self.table.drop)(self.at) }
    }
}

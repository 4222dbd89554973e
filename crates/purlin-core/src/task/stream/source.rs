//! Where a stream of tasks has its inputs from: an iterator, or another stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::ExitReason;

/// Inputs, pulled one by one. Implemented by [`Inputs`] and [`StreamInputs`].
pub trait Source: sealed::Sealed {
    /// One input.
    type Item;
    #[doc(hidden)]
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::Item>>;
}

/// The inputs are an iterator's.
#[derive(Debug)]
pub struct Inputs<I>(pub(super) I);

impl<I: Iterator> Source for Inputs<I> {
    type Item = I::Item;
    fn poll_input(&mut self, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

/// The inputs are a stream's.
#[derive(Debug)]
pub struct StreamInputs<S>(pub(super) Pin<Box<S>>);

impl<S: Stream> Source for StreamInputs<S> {
    type Item = S::Item;
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

/// What stands in the place of the value of a task that has none. Implemented by [`Reason`] and [`InputAndReason`].
pub trait Failure<I>: sealed::Sealed {
    /// The error of an element.
    type Error;
    #[doc(hidden)]
    fn keep(input: &I) -> Option<I>;
    #[doc(hidden)]
    fn error(input: Option<I>, reason: ExitReason) -> Self::Error;
}

/// The reason alone.
#[derive(Debug)]
pub struct Reason;

impl<I> Failure<I> for Reason {
    type Error = ExitReason;
    fn keep(_: &I) -> Option<I> {
        None
    }
    fn error(_: Option<I>, reason: ExitReason) -> ExitReason {
        reason
    }
}

/// The input and the reason.
#[derive(Debug)]
pub struct InputAndReason;

impl<I: Clone> Failure<I> for InputAndReason {
    type Error = (I, ExitReason);
    fn keep(input: &I) -> Option<I> {
        Some(input.clone())
    }
    fn error(input: Option<I>, reason: ExitReason) -> (I, ExitReason) {
        match input {
            Some(input) => (input, reason),
            None => unreachable!("`keep` keeps it"),
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl<I> Sealed for super::Inputs<I> {}
    impl<S> Sealed for super::StreamInputs<S> {}
    impl Sealed for super::Reason {}
    impl Sealed for super::InputAndReason {}
}

//! What is, or is not, in a mailbox: `assert_receive!`, `assert_received!`, `refute_receive!`, `refute_received!`.
//!
//! ```
//! # #[derive(Debug)] enum Msg { Count(u64), Text(String), Done }
//! # purlin_test::__private::example(async |_: purlin_test::Test, mut mailbox: purlin::Mailbox<Msg>| {
//! use purlin::prelude::*;
//! use purlin_test::{assert_receive, assert_received, refute_receive};
//! # /*
//! #[derive(Debug)]
//! enum Msg { Count(u64), Text(String), Done }
//! # */
//! let me = mailbox.address();
//! process::spawn(async move |_: Mailbox<()>| {
//!     me.send(Msg::Count(1));
//!     me.send(Msg::Count(12));
//!     me.send(Msg::Text("twelve".to_owned()));
//!     me.send(Msg::Done);
//! });
//!
//! assert_receive!(mailbox, Msg::Done);                                        // waits for it; the others stay
//! let large = assert_receive!(mailbox, Msg::Count(n) if n > 10 => n);         // what stands behind `=>`
//! assert_eq!(large, 12);
//! let text = assert_received!(mailbox, Msg::Text(text) => text);              // does not wait
//! assert_eq!(text, "twelve");
//! let whole: Msg = assert_received!(mailbox, Msg::Count(_));                  // without `=>`: the message
//! refute_receive!(mailbox, Msg::Done);                                        // for 100 ms
//! # drop(whole);
//! # });
//! ```
//!
//! # Forms
//! | | |
//! |---|---|
//! | `assert_receive!(mailbox, pattern)` | waits for a message that matches, takes it out of the mailbox, is that message |
//! | `.. pattern if guard` | matches only if the guard is true |
//! | `.. pattern => expression` | is the expression, which may use what the pattern binds |
//! | `.., within secs(2)` | waits for up to 2 s instead of the usual [time](#time) |
//! | `mailbox as Down, ..` | in a `Mailbox<AnyMsg>`: looks at messages of type `Down` only; the pattern is one for `Down` |
//!
//! `assert_received!` looks at what is in the mailbox now; nothing is awaited, and `within` makes no sense. `refute_receive!` fails if a
//! message that matches comes within the time, `refute_received!` if one is there now; they are `()`.
//!
//! All of them are selective: messages that do not match stay in the mailbox, in their places. They are for the process that owns the mailbox:
//! the test itself, or a process that it has spawned. Guard and expression are evaluated while the mailbox is looked through: they cannot
//! `.await` or `return`.
//!
//! # Time
//! In a simulated test all of them wait for 100 ms of virtual time, which costs nothing. In real time `refute_receive!` waits for 100 ms, and
//! takes all of it when it passes; `assert_receive!` waits for up to 5 s, since it returns as soon as the message is there, and a busy machine
//! is no reason to fail. (ExUnit's 100 ms are for both.) [`assert_receive_timeout`] sets another limit for the process that calls it.
//!
//! # When it fails
//! The panic shows the pattern, how long it waited, and what is in the mailbox: each message as `{:?}` if its type has that, else its type.
//!
//! ```text
//! assert_receive!: nothing that matches `Msg::Count(n) if n > 10` came within 100ms.
//! The mailbox of <0.1.1> holds 2 messages:
//!   1. Count(1)
//!   2. Text("one")
//! ```

use std::any::Any;
use std::fmt::{Debug, Write as _};
use std::time::Duration;

use purlin_core::{AnyMsg, Down, Exit, Node, Pid};

use crate::leaks::short;
use crate::telemetry::TelemetryEvent;
use crate::waiting::{DEFAULT_WAIT, assert_wait, choose_wait};

/// How many messages a failure shows.
const SHOWN: usize = 20;

/// Waits for a message that matches, takes it out of the mailbox, and is that message, or what stands behind `=>`. Panics if none comes in
/// time.
///
/// ```
/// # purlin_test::__private::example(async |_: purlin_test::Test, mut mailbox: purlin::Mailbox<purlin::AnyMsg>| {
/// use purlin::prelude::*;
/// use purlin_test::assert_receive;
/// let worker = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
/// mailbox.monitor(worker.pid());
/// mailbox.address().send(7u8);
/// worker.send(());
/// let reason = assert_receive!(mailbox as Down, Down { pid, reason, .. } if pid == Some(worker.pid()) => reason);
/// assert!(reason.is_normal());
/// assert_receive!(mailbox as u8, 7, within secs(1));
/// # });
/// ```
/// See [`receive`](crate::receive) for all forms.
#[macro_export]
macro_rules! assert_receive {
    ($($mailbox:ident).+ as $type:ty, $pattern:pat $(if $guard:expr)? $(=> $result:expr)? $(, within $limit:expr)? $(,)?) => {{
        let __limit = $crate::__private::receive::assert_limit(&[$($limit)?]);
        let __found = $($mailbox).+.receive_map_timeout(
            __limit,
            $crate::__pick!([$type] $pattern $(if $guard)? $(=> $result)?),
        ).await;
        match __found {
            ::core::option::Option::Some(__found) => __found,
            ::core::option::Option::None => $crate::__private::receive::missing(
                "assert_receive!",
                $crate::__pattern!($pattern $(if $guard)?),
                ::core::option::Option::Some(__limit),
                $crate::__contents!([$type] $($mailbox).+),
            ),
        }
    }};
    ($mailbox:expr, $pattern:pat $(if $guard:expr)? $(=> $result:expr)? $(, within $limit:expr)? $(,)?) => {{
        let __limit = $crate::__private::receive::assert_limit(&[$($limit)?]);
        let __found = $mailbox.receive_map_timeout(
            __limit,
            $crate::__pick!([] $pattern $(if $guard)? $(=> $result)?),
        ).await;
        match __found {
            ::core::option::Option::Some(__found) => __found,
            ::core::option::Option::None => $crate::__private::receive::missing(
                "assert_receive!",
                $crate::__pattern!($pattern $(if $guard)?),
                ::core::option::Option::Some(__limit),
                $crate::__contents!([] $mailbox),
            ),
        }
    }};
}

/// [`assert_receive!`](crate::assert_receive) without waiting: the message is in the mailbox now.
///
/// ```
/// # purlin_test::__private::example(async |_: purlin_test::Test, mut mailbox: purlin::Mailbox<u8>| {
/// use purlin_test::assert_received;
/// mailbox.address().send(7);
/// mailbox.address().send(8);
/// assert_received!(mailbox, 8);
/// let seven = assert_received!(mailbox, n => u32::from(n));
/// assert_eq!(seven, 7u32);
/// # });
/// ```
#[macro_export]
macro_rules! assert_received {
    ($($mailbox:ident).+ as $type:ty, $pattern:pat $(if $guard:expr)? $(=> $result:expr)? $(,)?) => {
        match $($mailbox).+.try_receive_map($crate::__pick!([$type] $pattern $(if $guard)? $(=> $result)?)) {
            ::core::option::Option::Some(__found) => __found,
            ::core::option::Option::None => $crate::__private::receive::missing(
                "assert_received!",
                $crate::__pattern!($pattern $(if $guard)?),
                ::core::option::Option::None,
                $crate::__contents!([$type] $($mailbox).+),
            ),
        }
    };
    ($mailbox:expr, $pattern:pat $(if $guard:expr)? $(=> $result:expr)? $(,)?) => {
        match $mailbox.try_receive_map($crate::__pick!([] $pattern $(if $guard)? $(=> $result)?)) {
            ::core::option::Option::Some(__found) => __found,
            ::core::option::Option::None => $crate::__private::receive::missing(
                "assert_received!",
                $crate::__pattern!($pattern $(if $guard)?),
                ::core::option::Option::None,
                $crate::__contents!([] $mailbox),
            ),
        }
    };
}

/// Panics if a message that matches comes within 100 ms, or the time given by `within`.
///
/// ```
/// # purlin_test::__private::example(async |_: purlin_test::Test, mut mailbox: purlin::Mailbox<u8>| {
/// use purlin::millis;
/// use purlin_test::refute_receive;
/// mailbox.address().send(7);
/// refute_receive!(mailbox, 8, within millis(1));
/// refute_receive!(mailbox, n if n > 7);
/// assert_eq!(mailbox.len(), 1);
/// # });
/// ```
#[macro_export]
macro_rules! refute_receive {
    ($($mailbox:ident).+ as $type:ty, $pattern:pat $(if $guard:expr)? $(, within $limit:expr)? $(,)?) => {{
        let __limit = $crate::__private::receive::refute_limit(&[$($limit)?]);
        let __found = $($mailbox).+.receive_map_timeout(__limit, $crate::__pick!([$type] $pattern $(if $guard)?)).await;
        if let ::core::option::Option::Some(__found) = __found {
            $crate::__private::receive::unwanted(
                "refute_receive!",
                $crate::__pattern!($pattern $(if $guard)?),
                $crate::__show!(&__found),
                $crate::__contents!([$type] $($mailbox).+),
            )
        }
    }};
    ($mailbox:expr, $pattern:pat $(if $guard:expr)? $(, within $limit:expr)? $(,)?) => {{
        let __limit = $crate::__private::receive::refute_limit(&[$($limit)?]);
        let __found = $mailbox.receive_map_timeout(__limit, $crate::__pick!([] $pattern $(if $guard)?)).await;
        if let ::core::option::Option::Some(__found) = __found {
            $crate::__private::receive::unwanted(
                "refute_receive!",
                $crate::__pattern!($pattern $(if $guard)?),
                $crate::__show!(&__found),
                $crate::__contents!([] $mailbox),
            )
        }
    }};
}

/// Panics if a message that matches is in the mailbox now.
///
/// ```
/// # purlin_test::__private::example(async |_: purlin_test::Test, mut mailbox: purlin::Mailbox<u8>| {
/// use purlin_test::refute_received;
/// mailbox.address().send(7);
/// refute_received!(mailbox, 8 | 9);
/// # });
/// ```
#[macro_export]
macro_rules! refute_received {
    ($($mailbox:ident).+ as $type:ty, $pattern:pat $(if $guard:expr)? $(,)?) => {
        if let ::core::option::Option::Some(__found) =
            $($mailbox).+.try_receive_map($crate::__pick!([$type] $pattern $(if $guard)?))
        {
            $crate::__private::receive::unwanted(
                "refute_received!",
                $crate::__pattern!($pattern $(if $guard)?),
                $crate::__show!(&__found),
                $crate::__contents!([$type] $($mailbox).+),
            )
        }
    };
    ($mailbox:expr, $pattern:pat $(if $guard:expr)? $(,)?) => {
        if let ::core::option::Option::Some(__found) =
            $mailbox.try_receive_map($crate::__pick!([] $pattern $(if $guard)?))
        {
            $crate::__private::receive::unwanted(
                "refute_received!",
                $crate::__pattern!($pattern $(if $guard)?),
                $crate::__show!(&__found),
                $crate::__contents!([] $mailbox),
            )
        }
    };
}

/// The closure that picks a message. With `[Type]` it looks into messages of any type.
#[doc(hidden)]
#[macro_export]
macro_rules! __pick {
    ([] $($pattern:tt)+) => {
        |__message| $crate::__matched!(__message, $($pattern)+)
    };
    ([$type:ty] $($pattern:tt)+) => {
        |__any: $crate::__private::receive::AnyMsg| match __any.downcast::<$type>() {
            ::core::result::Result::Ok(__message) => {
                $crate::__matched!(__message, $($pattern)+).map_err($crate::__private::receive::AnyMsg::new::<$type>)
            },
            ::core::result::Result::Err(__any) => ::core::result::Result::Err(__any),
        }
    };
}

/// `Ok` with what the pattern makes of a message, or `Err` with the message.
#[doc(hidden)]
#[macro_export]
macro_rules! __matched {
    ($message:ident, $pattern:pat $(if $guard:expr)? => $result:expr) => {{
        #[allow(unreachable_patterns, clippy::all, reason = "the pattern may match everything")]
        let __picked = match $message {
            $pattern $(if $guard)? => ::core::result::Result::Ok($result),
            __other => ::core::result::Result::Err(__other),
        };
        __picked
    }};
    ($message:ident, $pattern:pat $(if $guard:expr)?) => {{
        let mut __matches = false;
        // The guard never says yes, so nothing is moved out of the message.
        #[allow(unreachable_patterns, clippy::all, reason = "the pattern may match everything")]
        match $message {
            $pattern if { __matches = true $(&& $guard)?; false } => ::core::unreachable!(),
            _ => {},
        }
        if __matches {
            ::core::result::Result::Ok($message)
        } else {
            ::core::result::Result::Err($message)
        }
    }};
}

/// A pattern as it is written.
#[doc(hidden)]
#[macro_export]
macro_rules! __pattern {
    ($pattern:pat $(if $guard:expr)?) => {
        ::core::concat!(::core::stringify!($pattern) $(, " if ", ::core::stringify!($guard))?)
    };
}

/// What is in a mailbox, which stays as it is.
#[doc(hidden)]
#[macro_export]
macro_rules! __contents {
    ([] $mailbox:expr) => {{
        let mut __contents = $crate::__private::receive::Contents::new($mailbox.pid(), $mailbox.len());
        let _ = $mailbox.try_receive_map(|__message| -> ::core::result::Result<(), _> {
            ::core::result::Result::Err(__contents.add(__message, |__message| $crate::__show!(__message)))
        });
        __contents
    }};
    ([$type:ty] $mailbox:expr) => {{
        let mut __contents = $crate::__private::receive::Contents::new($mailbox.pid(), $mailbox.len());
        let _ = $mailbox.try_receive_map(|__any| -> ::core::result::Result<(), _> {
            ::core::result::Result::Err(
                __contents.add_any(__any, |__message: &$type| $crate::__show!(__message)),
            )
        });
        __contents
    }};
}

/// A message, given by reference, as `{:?}`, or its type.
#[doc(hidden)]
#[macro_export]
macro_rules! __show {
    ($message:expr) => {{
        #[allow(unused_imports, reason = "one of the two")]
        use $crate::__private::receive::{ByDebug as _, ByType as _};
        (&&$crate::__private::receive::Show($message)).show()
    }};
}

/// The parts that the macros expand to; no part of the interface.
#[doc(hidden)]
pub mod support {
    pub use purlin_core::AnyMsg;

    pub use super::{ByDebug, ByType, Contents, Show, assert_limit, missing, refute_limit, unwanted};
}

/// Gives every `assert_receive!` of the calling process that does not say [`within`](self#forms) this long, instead of the usual
/// [time](self#time).
///
/// ```
/// # purlin_test::__private::example(async |_: purlin_test::Test, mut mailbox: purlin::Mailbox<&str>| {
/// use purlin::prelude::*;
/// use purlin_test::{assert_receive, assert_receive_timeout};
/// assert_receive_timeout(secs(2));
/// process::send_after(mailbox.pid(), millis(150), "late");
/// assert_receive!(mailbox, "late");
/// # });
/// ```
pub fn assert_receive_timeout(limit: Duration) {
    choose_wait(limit);
}

/// How long to wait for something that should come.
#[doc(hidden)]
pub fn assert_limit(given: &[Duration]) -> Duration {
    given.first().copied().unwrap_or_else(assert_wait)
}

/// How long to wait for something that should not come.
#[doc(hidden)]
pub fn refute_limit(given: &[Duration]) -> Duration {
    given.first().copied().unwrap_or(DEFAULT_WAIT)
}

/// A message to be shown. `(&&Show(..)).show()` finds [`ByDebug`] first, one reference nearer, if the message has `Debug`.
#[doc(hidden)]
pub struct Show<'a, M>(pub &'a M);

#[doc(hidden)]
pub trait ByDebug {
    fn show(&self) -> String;
}

#[doc(hidden)]
pub trait ByType {
    fn show(&self) -> String;
}

impl<M: Debug> ByDebug for &Show<'_, M> {
    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl<M> ByType for Show<'_, M> {
    fn show(&self) -> String {
        short(std::any::type_name::<M>())
    }
}

/// What is in a mailbox, as text.
#[doc(hidden)]
pub struct Contents {
    of: Pid,
    /// All messages, also those of types that the mailbox does not take.
    all: usize,
    shown: Vec<String>,
}

impl Contents {
    #[doc(hidden)]
    pub fn new(of: Pid, all: usize) -> Contents {
        Contents { of, all, shown: Vec::new() }
    }

    /// Adds a message, and gives it back.
    #[doc(hidden)]
    pub fn add<M: Send + 'static>(&mut self, message: M, show: impl FnOnce(&M) -> String) -> M {
        let mut slot = Some(message);
        if let Some(any) = (&mut slot as &mut dyn Any).downcast_mut::<Option<AnyMsg>>() {
            *any = any.take().map(|any| self.add_known(any));
        } else if let Some(message) = &slot {
            self.shown.push(show(message));
        }
        match slot {
            Some(message) => message,
            None => unreachable!("it was put back"),
        }
    }

    /// Adds a message of any type, which is shown by `show` if it is a `T`.
    #[doc(hidden)]
    pub fn add_any<T: Send + 'static>(&mut self, any: AnyMsg, show: impl FnOnce(&T) -> String) -> AnyMsg {
        match any.downcast::<T>() {
            Ok(message) => {
                self.shown.push(show(&message));
                AnyMsg::new(message)
            },
            Err(any) => self.add_known(any),
        }
    }

    /// Shows the types that every program has.
    fn add_known(&mut self, any: AnyMsg) -> AnyMsg {
        macro_rules! known {
            ($any:ident: $($type:ty),+) => {
                $(let $any = match self.add_if::<$type>($any) {
                    Ok(any) => return any,
                    Err(any) => any,
                };)+
            };
        }
        known!(any: Down, Exit, TelemetryEvent, String, &'static str, (), bool, char, u8, u16, u32, u64, usize, i32, i64, f64);
        self.shown.push(short(any.type_name()));
        any
    }

    fn add_if<T: Debug + Send + 'static>(&mut self, any: AnyMsg) -> Result<AnyMsg, AnyMsg> {
        let message = any.downcast::<T>()?;
        self.shown.push(format!("{message:?}"));
        Ok(AnyMsg::new(message))
    }

    fn text(self) -> String {
        let mut text = match self.all {
            0 => return format!("The mailbox of {} is empty.", self.of),
            1 => format!("The mailbox of {} holds 1 message:", self.of),
            n => format!("The mailbox of {} holds {n} messages:", self.of),
        };
        for (index, message) in self.shown.iter().take(SHOWN).enumerate() {
            let _ = write!(text, "\n  {}. {message}", index + 1);
        }
        let more = self.shown.len().saturating_sub(SHOWN);
        if more > 0 {
            let _ = write!(text, "\n  and {more} more");
        }
        let others = self.all.saturating_sub(self.shown.len());
        if others > 0 {
            let _ = write!(text, "\n  {others} of types that the mailbox does not take");
        }
        text
    }
}

/// Nothing matched.
#[doc(hidden)]
#[cold]
#[track_caller]
pub fn missing(what: &str, pattern: &str, waited: Option<Duration>, contents: Contents) -> ! {
    let contents = contents.text();
    match waited {
        Some(limit) => {
            let time = match Node::try_current().is_some_and(|node| node.is_simulated()) {
                true => " of virtual time",
                false => "",
            };
            panic!("{what}: nothing that matches `{pattern}` came within {limit:?}{time}.\n{contents}")
        },
        None => panic!("{what}: nothing that matches `{pattern}` is there.\n{contents}"),
    }
}

/// Something matched that should not have come.
#[doc(hidden)]
#[cold]
#[track_caller]
pub fn unwanted(what: &str, pattern: &str, message: String, contents: Contents) -> ! {
    let contents = contents.text();
    panic!("{what}: a message came that matches `{pattern}`: {message}\nWithout it: {contents}")
}

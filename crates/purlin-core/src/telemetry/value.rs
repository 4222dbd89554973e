//! What an event carries: measurements (numbers) and metadata (everything else).
//!
//! Both are short ordered lists with one value per key; a lookup compares a handful of keys. Keys are constants of the program.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::EventName;
use crate::{ExitReason, Pid};

/// A number that was measured.
///
/// ```
/// use purlin_core::telemetry::Measure;
/// use std::time::Duration;
/// let count = Measure::from(3u64);
/// assert_eq!((count.as_u64(), count.as_i64(), count.as_f64()), (Some(3), Some(3), 3.0));
/// let time = Measure::from(Duration::from_millis(500));
/// assert_eq!((time.as_duration(), time.as_f64()), (Some(Duration::from_millis(500)), 0.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Measure {
    /// A count or size.
    U64(u64),
    /// A difference.
    I64(i64),
    /// A ratio or any other real number.
    F64(f64),
    /// A length of time.
    Duration(Duration),
}

impl Measure {
    /// The number as an unsigned integer, if it is a whole number that fits. A duration has no integer form.
    pub fn as_u64(self) -> Option<u64> {
        match self {
            Measure::U64(n) => Some(n),
            Measure::I64(n) => u64::try_from(n).ok(),
            Measure::F64(_) | Measure::Duration(_) => None,
        }
    }

    /// The number as a signed integer, if it is a whole number that fits. A duration has no integer form.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Measure::U64(n) => i64::try_from(n).ok(),
            Measure::I64(n) => Some(n),
            Measure::F64(_) | Measure::Duration(_) => None,
        }
    }

    /// The number as a float, rounded if it must be; a duration in seconds. What a metrics exporter wants.
    pub fn as_f64(self) -> f64 {
        match self {
            Measure::U64(n) => n as f64,
            Measure::I64(n) => n as f64,
            Measure::F64(x) => x,
            Measure::Duration(d) => d.as_secs_f64(),
        }
    }

    /// The duration, if it is one.
    pub fn as_duration(self) -> Option<Duration> {
        match self {
            Measure::Duration(d) => Some(d),
            _ => None,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Measure::U64(n) => n.fmt(f),
            Measure::I64(n) => n.fmt(f),
            Measure::F64(x) => x.fmt(f),
            Measure::Duration(d) => fmt::Debug::fmt(d, f),
        }
    }
}

/// A value of metadata.
///
/// ```
/// use purlin_core::telemetry::Value;
/// use purlin_core::{ExitReason, Pid};
/// use std::time::Duration;
/// assert_eq!(Value::from("text").as_str(), Some("text"));
/// let number = Value::from(3u64);
/// assert_eq!((number.as_u64(), number.as_i64(), number.as_f64()), (Some(3), Some(3), Some(3.0)));
/// assert_eq!(Value::from(true).as_bool(), Some(true));
/// assert_eq!(Value::from(Duration::ZERO).as_duration(), Some(Duration::ZERO));
/// let pid = Pid::from_parts(0, 1, 1);
/// assert_eq!(Value::from(pid).as_pid(), Some(pid));
/// assert_eq!(Value::from(ExitReason::Killed).as_reason(), Some(&ExitReason::Killed));
/// const PLACED: &[&str] = &["shop", "order", "placed"];
/// assert_eq!(Value::from(PLACED).as_event(), Some(PLACED));
/// assert_eq!(Value::any(vec![1, 2]).to_string(), "[1, 2]");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value {
    /// Text made at run time.
    Str(Arc<str>),
    /// Text that is part of the program.
    Static(&'static str),
    /// An unsigned integer.
    U64(u64),
    /// A signed integer.
    I64(i64),
    /// A float.
    F64(f64),
    /// Yes or no.
    Bool(bool),
    /// A length of time that is a setting, a timeout for example; times that were measured are measurements.
    Duration(Duration),
    /// A process.
    Pid(Pid),
    /// Why a process ended.
    Reason(ExitReason),
    /// The name of an event.
    Event(EventName),
    /// Anything that can be printed; see [`Value::any`].
    Any(Arc<dyn fmt::Debug + Send + Sync>),
}

impl Value {
    /// Holds any value that can be printed. Prefer the other variants, which a handler can read.
    pub fn any(value: impl fmt::Debug + Send + Sync + 'static) -> Value {
        Value::Any(Arc::new(value))
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            Value::Static(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one and not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::U64(n) => Some(*n),
            Value::I64(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The integer, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::U64(n) => i64::try_from(*n).ok(),
            Value::I64(n) => Some(*n),
            _ => None,
        }
    }

    /// The number, rounded if it must be.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::U64(n) => Some(*n as f64),
            Value::I64(n) => Some(*n as f64),
            Value::F64(x) => Some(*x),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The duration, if it is one.
    pub fn as_duration(&self) -> Option<Duration> {
        match self {
            Value::Duration(d) => Some(*d),
            _ => None,
        }
    }

    /// The process, if it is one.
    pub fn as_pid(&self) -> Option<Pid> {
        match self {
            Value::Pid(pid) => Some(*pid),
            _ => None,
        }
    }

    /// The exit reason, if it is one.
    pub fn as_reason(&self) -> Option<&ExitReason> {
        match self {
            Value::Reason(reason) => Some(reason),
            _ => None,
        }
    }

    /// The name of an event, if it is one.
    pub fn as_event(&self) -> Option<EventName> {
        match self {
            Value::Event(name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Str(text) => f.write_str(text),
            Value::Static(text) => f.write_str(text),
            Value::U64(n) => n.fmt(f),
            Value::I64(n) => n.fmt(f),
            Value::F64(x) => x.fmt(f),
            Value::Bool(b) => b.fmt(f),
            Value::Duration(d) => fmt::Debug::fmt(d, f),
            Value::Pid(pid) => pid.fmt(f),
            Value::Reason(reason) => fmt::Display::fmt(reason, f),
            Value::Event(name) => f.write_str(&name.join(".")),
            Value::Any(value) => value.fmt(f),
        }
    }
}

/// `From` for types that convert into a variant's type without loss, or by the expression given.
macro_rules! from {
    ($target:ident: $($variant:ident($($source:ty $(: $convert:expr)?),+)),+ $(,)?) => { $($(
        impl From<$source> for $target {
            fn from(value: $source) -> $target {
                from!(@ $target::$variant, value $(, $convert)?)
            }
        }
    )+)+ };
    (@ $variant:expr, $value:ident) => { $variant($value.into()) };
    (@ $variant:expr, $value:ident, $convert:expr) => { $variant($convert($value)) };
}

from!(Measure:
    U64(u8, u16, u32, u64, usize: |n: usize| n as u64),
    I64(i8, i16, i32, i64, isize: |n: isize| n as i64),
    F64(f32, f64),
    Duration(Duration),
);

from!(Value:
    Str(Arc<str>, String),
    Static(&'static str),
    U64(u8, u16, u32, u64, usize: |n: usize| n as u64),
    I64(i8, i16, i32, i64, isize: |n: isize| n as i64),
    F64(f32, f64),
    Bool(bool),
    Duration(Duration),
    Pid(Pid),
    Reason(ExitReason),
    Event(EventName),
);

/// A short ordered list with one value per key, and the ways to make one.
macro_rules! ordered_list {
    ($(#[$doc:meta])* $name:ident of $value:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name(Vec<(&'static str, $value)>);

        impl $name {
            /// Nothing yet.
            pub const fn new() -> $name {
                $name(Vec::new())
            }

            /// Adds a value, or replaces the one with the same key in its place; for building in one expression.
            pub fn with(mut self, key: &'static str, value: impl Into<$value>) -> $name {
                self.insert(key, value);
                self
            }

            /// [`with`](Self::with) if there is a value; without one nothing changes.
            pub fn with_some(mut self, key: &'static str, value: Option<impl Into<$value>>) -> $name {
                if let Some(value) = value {
                    self.insert(key, value);
                }
                self
            }

            /// Adds a value, or replaces the one with the same key in its place.
            pub fn insert(&mut self, key: &'static str, value: impl Into<$value>) {
                let value = value.into();
                match self.0.iter_mut().find(|(k, _)| *k == key) {
                    Some((_, old)) => *old = value,
                    None => self.0.push((key, value)),
                }
            }

            /// Inserts everything from `other`, in its order.
            pub fn extend(&mut self, other: impl Into<$name>) {
                for (key, value) in other.into().0 {
                    self.insert(key, value);
                }
            }

            /// The keys and values, in order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &$value)> {
                self.0.iter().map(|(key, value)| (*key, value))
            }

            /// How many there are.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        /// Of two pairs with one key, the later value stays, at the earlier place.
        impl<const N: usize> From<[(&'static str, $value); N]> for $name {
            fn from(pairs: [(&'static str, $value); N]) -> $name {
                let mut list = $name(Vec::with_capacity(N));
                for (key, value) in pairs {
                    list.insert(key, value);
                }
                list
            }
        }

        impl From<()> for $name {
            fn from((): ()) -> $name {
                $name::new()
            }
        }

        /// As `key=value key=value`.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (n, (key, value)) in self.0.iter().enumerate() {
                    let space = if n == 0 { "" } else { " " };
                    write!(f, "{space}{key}={value}")?;
                }
                Ok(())
            }
        }
    };
}

ordered_list! {
    /// The numbers of an event.
    ///
    /// ```
    /// use std::time::Duration;
    /// use purlin_core::telemetry::Measurements;
    /// let built = Measurements::new().with("rows", 3u64).with("duration", Duration::from_millis(2));
    /// let array = Measurements::from([("rows", 3u64.into()), ("duration", Duration::from_millis(2).into())]);
    /// assert_eq!(built.to_string(), "rows=3 duration=2ms");
    /// assert_eq!(built.to_string(), array.to_string());
    /// assert_eq!(built.u64("rows"), Some(3));
    /// assert_eq!(built.u64("columns"), None);
    ///
    /// let mut more = Measurements::new();
    /// assert!(more.is_empty());
    /// more.insert("rows", 1u64);
    /// more.extend(built);                                            // a later value replaces an earlier one
    /// assert_eq!(more.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["rows", "duration"]);
    /// assert_eq!((more.len(), more.u64("rows")), (2, Some(3)));
    /// ```
    Measurements of Measure
}

ordered_list! {
    /// What an event tells besides numbers.
    ///
    /// ```
    /// use purlin_core::telemetry::Metadata;
    /// let metadata = Metadata::new().with("table", "orders").with_some("name", None::<String>).with("retry", true);
    /// assert_eq!(metadata.to_string(), "table=orders retry=true");
    /// assert_eq!(metadata.str("table"), Some("orders"));
    /// assert_eq!(metadata.bool("retry"), Some(true));
    /// assert!(metadata.get("name").is_none());
    /// ```
    Metadata of Value
}

impl Measurements {
    /// The measurement with this key.
    pub fn get(&self, key: &str) -> Option<Measure> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, measure)| *measure)
    }

    /// [`Measure::as_u64`] of the measurement with this key.
    pub fn u64(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// [`Measure::as_f64`] of the measurement with this key.
    pub fn f64(&self, key: &str) -> Option<f64> {
        self.get(key).map(Measure::as_f64)
    }

    /// [`Measure::as_duration`] of the measurement with this key.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        self.get(key)?.as_duration()
    }
}

impl Metadata {
    /// The value with this key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// [`Value::as_str`] of the value with this key.
    pub fn str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// [`Value::as_u64`] of the value with this key.
    pub fn u64(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// [`Value::as_bool`] of the value with this key.
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// [`Value::as_pid`] of the value with this key.
    pub fn pid(&self, key: &str) -> Option<Pid> {
        self.get(key)?.as_pid()
    }

    /// [`Value::as_reason`] of the value with this key.
    pub fn reason(&self, key: &str) -> Option<&ExitReason> {
        self.get(key)?.as_reason()
    }
}

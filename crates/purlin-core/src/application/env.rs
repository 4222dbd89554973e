//! Configuration values: what they look like, and how a program gets its own types out of them.
//!
//! A value is a small tree: numbers, texts, lists and tables, as in a configuration file. Core reads no files; `purlin`'s feature `config`
//! makes such values from TOML and from environment variables.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A table of values by key, in the order of the keys. The environment of an application is one.
pub type EnvTable = BTreeMap<String, EnvValue>;

/// A configuration value.
///
/// ```
/// use purlin_core::application::{EnvTable, EnvValue, FromEnv};
/// let pool = EnvValue::from([("size", 10), ("queue", 50)]);
/// assert_eq!(pool.get("size"), Some(&EnvValue::Integer(10)));
/// assert_eq!(u16::from_env(pool.get("queue").unwrap()), Ok(50));
/// let table = EnvTable::from_env(&pool).unwrap();
/// assert_eq!(table.len(), 2);
/// assert_eq!(pool.to_string(), "{queue = 50, size = 10}");
/// ```
#[derive(Clone, PartialEq, Debug)]
pub enum EnvValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    // Not `String`: with a second item of that name among its crates, the compiler writes `std::string::String` in the errors of every program.
    /// Text.
    Text(String),
    /// Values in order.
    List(Vec<EnvValue>),
    /// Values by key.
    Table(EnvTable),
}

impl EnvValue {
    /// The value at a path of keys with dots between them, in this table and those in it; `None` if there is nothing, or on the way
    /// something else than a table. A key that has a dot itself is found in the table only.
    pub fn get(&self, path: &str) -> Option<&EnvValue> {
        match self {
            EnvValue::Table(table) => lookup(table, path),
            _ => None,
        }
    }

    /// What kind of value it is, as error messages say it: `"integer"`, `"table"`.
    pub fn kind(&self) -> &'static str {
        match self {
            EnvValue::Bool(_) => "boolean",
            EnvValue::Integer(_) => "integer",
            EnvValue::Float(_) => "float",
            EnvValue::Text(_) => "string",
            EnvValue::List(_) => "list",
            EnvValue::Table(_) => "table",
        }
    }
}

/// As in a configuration file.
impl fmt::Display for EnvValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnvValue::Bool(value) => value.fmt(f),
            EnvValue::Integer(value) => value.fmt(f),
            EnvValue::Float(value) => write!(f, "{value:?}"),
            EnvValue::Text(value) => write!(f, "{value:?}"),
            EnvValue::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            },
            EnvValue::Table(table) => {
                f.write_str("{")?;
                for (index, (key, value)) in table.iter().enumerate() {
                    write!(f, "{}{key} = {value}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            },
        }
    }
}

/// The value at a path in a table.
pub(crate) fn lookup<'t>(table: &'t EnvTable, path: &str) -> Option<&'t EnvValue> {
    match path.split_once('.') {
        None => table.get(path),
        Some((first, rest)) => table.get(first)?.get(rest),
    }
}

/// Puts a value at a path, making tables on the way; what is in the way and is no table is replaced.
pub(crate) fn insert(table: &mut EnvTable, path: &str, value: EnvValue) {
    let Some((first, rest)) = path.split_once('.') else {
        table.insert(path.to_owned(), value);
        return;
    };
    let place = table.entry(first.to_owned()).or_insert_with(|| EnvValue::Table(EnvTable::new()));
    if !matches!(place, EnvValue::Table(_)) {
        *place = EnvValue::Table(EnvTable::new());
    }
    if let EnvValue::Table(inner) = place {
        insert(inner, rest, value);
    }
}

/// Takes the value at a path out.
pub(crate) fn remove(table: &mut EnvTable, path: &str) -> Option<EnvValue> {
    match path.split_once('.') {
        None => table.remove(path),
        Some((first, rest)) => match table.get_mut(first)? {
            EnvValue::Table(inner) => remove(inner, rest),
            _ => None,
        },
    }
}

/// Puts everything of `over` into `table`: tables are merged key by key, at any depth, everything else is replaced.
pub(crate) fn merge(table: &mut EnvTable, over: &EnvTable) {
    for (key, value) in over {
        match (table.get_mut(key), value) {
            (Some(EnvValue::Table(below)), EnvValue::Table(value)) => merge(below, value),
            _ => _ = table.insert(key.clone(), value.clone()),
        }
    }
}

/// Why a path is none: empty, or with an empty part.
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    if path.split('.').any(str::is_empty) {
        return Err(format!("{path:?} is no key: it is empty, or has an empty part"));
    }
    Ok(())
}

macro_rules! values {
    ($($source:ty => $variant:ident($value:ident => $make:expr);)*) => {
        $(impl From<$source> for EnvValue {
            fn from($value: $source) -> EnvValue {
                EnvValue::$variant($make)
            }
        })*
    };
}

values! {
    bool => Bool(value => value);
    i8 => Integer(value => value.into());
    i16 => Integer(value => value.into());
    i32 => Integer(value => value.into());
    i64 => Integer(value => value);
    u8 => Integer(value => value.into());
    u16 => Integer(value => value.into());
    u32 => Integer(value => value.into());
    f32 => Float(value => value.into());
    f64 => Float(value => value);
    &str => Text(value => value.to_owned());
    String => Text(value => value);
    EnvTable => Table(value => value);
}

impl<T: Into<EnvValue>> From<Vec<T>> for EnvValue {
    fn from(values: Vec<T>) -> EnvValue {
        EnvValue::List(values.into_iter().map(Into::into).collect())
    }
}

/// A table, of pairs of key and value.
impl<K: Into<String>, T: Into<EnvValue>, const N: usize> From<[(K, T); N]> for EnvValue {
    fn from(pairs: [(K, T); N]) -> EnvValue {
        EnvValue::Table(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// A type that can be read out of a configuration value. Implement it for types of your own:
///
/// ```
/// use purlin_core::application::{EnvValue, FromEnv};
/// #[derive(PartialEq, Debug)]
/// enum Level { Low, High }
/// impl FromEnv for Level {
///     fn from_env(value: &EnvValue) -> Result<Level, String> {
///         match value {
///             EnvValue::Text(text) if text == "low" => Ok(Level::Low),
///             EnvValue::Text(text) if text == "high" => Ok(Level::High),
///             other => Err(format!("\"low\" or \"high\" is wanted, and it is {other}")),
///         }
///     }
/// }
/// assert_eq!(Level::from_env(&EnvValue::from("high")), Ok(Level::High));
/// ```
///
/// | type | takes |
/// |---|---|
/// | `bool`, `String`, [`EnvTable`], [`EnvValue`] | itself |
/// | whole numbers | an integer in their range |
/// | `f32`, `f64` | a float or an integer |
/// | `Duration` | text with a unit: `"250ms"`, `"5s"`, `"2m"`, `"1h"` |
/// | `Vec<T>` | a list of what `T` takes |
/// | `BTreeMap<String, T>` | a table of what `T` takes |
pub trait FromEnv: Sized {
    /// Reads the value.
    ///
    /// # Errors
    /// What was wanted and what is there, for a person who reads `application, key: ` in front of it.
    fn from_env(value: &EnvValue) -> Result<Self, String>;
}

fn wanted(what: &str, value: &EnvValue) -> String {
    format!("{what} is wanted, and it is the {} {value}", value.kind())
}

macro_rules! integers {
    ($($integer:ident)*) => {
        $(impl FromEnv for $integer {
            fn from_env(value: &EnvValue) -> Result<$integer, String> {
                let EnvValue::Integer(number) = value else { return Err(wanted("an integer", value)) };
                $integer::try_from(*number).map_err(|_| {
                    let (least, most) = ($integer::MIN, $integer::MAX);
                    format!("an integer from {least} to {most} is wanted, and it is {number}")
                })
            }
        })*
    };
}

integers! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

impl FromEnv for bool {
    fn from_env(value: &EnvValue) -> Result<bool, String> {
        match value {
            EnvValue::Bool(value) => Ok(*value),
            _ => Err(wanted("true or false", value)),
        }
    }
}

impl FromEnv for f64 {
    fn from_env(value: &EnvValue) -> Result<f64, String> {
        match value {
            EnvValue::Float(value) => Ok(*value),
            EnvValue::Integer(value) => Ok(*value as f64),
            _ => Err(wanted("a number", value)),
        }
    }
}

impl FromEnv for f32 {
    fn from_env(value: &EnvValue) -> Result<f32, String> {
        f64::from_env(value).map(|number| number as f32)
    }
}

impl FromEnv for String {
    fn from_env(value: &EnvValue) -> Result<String, String> {
        match value {
            EnvValue::Text(text) => Ok(text.clone()),
            _ => Err(wanted("text", value)),
        }
    }
}

impl FromEnv for EnvValue {
    fn from_env(value: &EnvValue) -> Result<EnvValue, String> {
        Ok(value.clone())
    }
}

impl FromEnv for Duration {
    fn from_env(value: &EnvValue) -> Result<Duration, String> {
        let refused = || wanted("a duration such as \"250ms\", \"5s\", \"2m\" or \"1h\"", value);
        let EnvValue::Text(text) = value else { return Err(refused()) };
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = text[..digits].parse().map_err(|_| refused())?;
        let seconds = match &text[digits..] {
            "ms" => return Ok(Duration::from_millis(number)),
            "s" => Some(number),
            "m" => number.checked_mul(60),
            "h" => number.checked_mul(3600),
            _ => None,
        };
        seconds.map(Duration::from_secs).ok_or_else(refused)
    }
}

impl<T: FromEnv> FromEnv for Vec<T> {
    fn from_env(value: &EnvValue) -> Result<Vec<T>, String> {
        let EnvValue::List(values) = value else { return Err(wanted("a list", value)) };
        let each = values.iter().enumerate();
        each.map(|(index, value)| T::from_env(value).map_err(|why| format!("element {index}: {why}")))
            .collect()
    }
}

impl<T: FromEnv> FromEnv for BTreeMap<String, T> {
    fn from_env(value: &EnvValue) -> Result<BTreeMap<String, T>, String> {
        let EnvValue::Table(table) = value else { return Err(wanted("a table", value)) };
        let read = |(key, value): (&String, &EnvValue)| match T::from_env(value) {
            Ok(value) => Ok((key.clone(), value)),
            Err(why) => Err(format!("{key}: {why}")),
        };
        table.iter().map(read).collect()
    }
}

/// A configuration value is missing, or is not what the program wants.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::application;
/// application::put_env("shop", "port", "eighty").unwrap();
/// let error = application::fetch_env::<u16>("shop", "port").unwrap_err();
/// assert_eq!(error.to_string(), "shop.port: an integer is wanted, and it is the string \"eighty\"");
/// let error = application::fetch_env::<u16>("shop", "host").unwrap_err();
/// assert_eq!(error.to_string(), "shop.host: no such configuration value");
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct EnvError {
    /// The application.
    pub application: String,
    /// The key, with the keys of the tables it is in.
    pub key: String,
    /// What is wrong; `None` if there is no such value.
    pub problem: Option<String>,
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = self.problem.as_deref().unwrap_or("no such configuration value");
        write!(f, "{}.{}: {problem}", self.application, self.key)
    }
}

impl std::error::Error for EnvError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<const N: usize>(pairs: [(&str, EnvValue); N]) -> EnvTable {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    #[test]
    fn ap18_tables_are_merged_key_by_key_at_any_depth() {
        let mut below = table([
            ("port", 80.into()),
            ("pool", [("size", EnvValue::from(10)), ("limits", [("low", 1), ("high", 2)].into())].into()),
        ]);
        let over = table([("pool", [("limits", [("high", 9)])].map(|(k, v)| (k, EnvValue::from(v))).into())]);
        merge(&mut below, &over);
        let read = |path: &str| lookup(&below, path).cloned();
        assert_eq!(read("port"), Some(80.into()));
        assert_eq!(read("pool.size"), Some(10.into()));
        assert_eq!((read("pool.limits.low"), read("pool.limits.high")), (Some(1.into()), Some(9.into())));
    }

    #[test]
    fn ap18_what_is_no_table_replaces_and_is_replaced_whole() {
        let mut below = table([("hosts", vec!["a", "b"].into()), ("pool", [("size", 1)].into())]);
        merge(&mut below, &table([("hosts", vec!["c"].into()), ("pool", "none".into())]));
        assert_eq!(below, table([("hosts", vec!["c"].into()), ("pool", "none".into())]));
    }

    #[test]
    fn a_path_makes_its_tables_and_removes_only_its_end() {
        let mut env = table([("pool", 3.into())]);
        insert(&mut env, "pool.limits.high", 9.into());
        insert(&mut env, "pool.limits.low", 1.into());
        assert_eq!(remove(&mut env, "pool.limits.high"), Some(9.into()));
        assert_eq!(remove(&mut env, "pool.limits.low.x"), None);
        assert_eq!(lookup(&env, "pool.limits"), Some(&[("low", 1)].into()));
        assert!(check_path("pool..high").is_err() && check_path("").is_err() && check_path("a.b").is_ok());
    }

    #[test]
    fn a_value_that_does_not_fit_says_what_was_wanted_and_what_is_there() {
        let error = |result: Result<u8, String>| result.unwrap_err();
        assert_eq!(error(u8::from_env(&300.into())), "an integer from 0 to 255 is wanted, and it is 300");
        assert_eq!(error(u8::from_env(&true.into())), "an integer is wanted, and it is the boolean true");
        let list = EnvValue::from(vec![EnvValue::from(1), "two".into()]);
        let why = Vec::<i64>::from_env(&list).unwrap_err();
        assert_eq!(why, "element 1: an integer is wanted, and it is the string \"two\"");
        let why = BTreeMap::<String, bool>::from_env(&[("on", 1)].into()).unwrap_err();
        assert_eq!(why, "on: true or false is wanted, and it is the integer 1");
        assert_eq!(f64::from_env(&3.into()), Ok(3.0));
    }

    #[test]
    fn a_duration_has_a_unit() {
        let read = |text: &str| Duration::from_env(&text.into());
        assert_eq!(read("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(read("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(read("1h"), Ok(Duration::from_secs(3600)));
        for bad in ["5", "s", "", "5 s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(Duration::from_env(&5.into()).is_err());
    }
}

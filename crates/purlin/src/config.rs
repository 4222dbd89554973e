//! Configurations of [applications](crate::application) from TOML files, environment variables and command lines.
//!
//! With the feature `config`. It makes an [`EnvConfig`], and knows nothing of what the values mean:
//!
//! ```
//! # #[purlin::main]
//! # async fn main() -> purlin::Result<()> {
//! use purlin::application;
//! use purlin::config::Config;
//!
//! let file = "
//!     [shop]                      # a table for each application
//!     port = 8080
//!     poll.every = '5s'
//! ";
//! Config::new()
//!     .text("shop.toml", file)?                                      // `file(path)` reads one
//!     .assignments(["shop.port=80"])?                                // what the program's own command line has
//!     .apply()
//!     .await?;
//! application::load(purlin::ApplicationSpec::library("shop"))?;       // or start it
//! assert_eq!(application::fetch_env("shop", "port"), Ok(80));
//! # Ok(())
//! # }
//! ```
//! Loading an application makes its environment from all of this, and so does [`change_config`](application::change_config) once it is loaded; which source wins is told at [`EnvConfig`]. Of several files the later ones win, key by key, at any depth.
//!
//! # Variables
//! `PURLIN_SHOP__POOL__SIZE=10` is `size` in the table `pool` of the application `shop`: the prefix, then application and keys in lower case
//! with two underscores between them. A value is what TOML takes for one (`10`, `true`, `["a", "b"]`), and text otherwise.
//!
//! # What is wrong is told where it is
//! ```
//! use purlin::config::Config;
//! let error = Config::new().text("shop.toml", "[shop]\nport = 99999999999999999999\n").unwrap_err();
//! assert_eq!(error.to_string(), "shop.toml:2: shop.port: the integer 99999999999999999999 is too large");
//! let error = Config::new().text("shop.toml", "port = 80\n").unwrap_err();
//! let told = "shop.toml:1: port: values belong into the table of an application, `[shop]` for example";
//! assert_eq!(error.to_string(), told);
//! ```
//! An application that is not loaded is no error: it may come later.
//! [`unknown_applications`](application::unknown_applications) lists them.
//!
//! # When not to use
//! Secrets do not belong into files that are checked in. A program with its own configuration format fills an [`EnvConfig`] itself.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

use purlin_core::application::{self, ConfigChangeError, EnvConfig, EnvTable, EnvTables, EnvValue};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What variables of the environment begin with.
const PREFIX: &str = "PURLIN_";

/// A configuration being put together; see the [module documentation](self).
#[derive(Clone, Debug, Default)]
#[must_use = "a configuration does nothing until it is applied"]
pub struct Config {
    made: EnvConfig,
}

impl Config {
    /// Nothing yet.
    pub fn new() -> Config {
        Config::default()
    }

    /// Reads a TOML file over what is there.
    ///
    /// ```
    /// use purlin::config::Config;
    /// let error = Config::new().file("no/such.toml").unwrap_err();
    /// assert!(error.to_string().starts_with("no/such.toml: "));
    /// assert!(Config::new().optional_file("no/such.toml").is_ok());
    /// ```
    ///
    /// # Errors
    /// The file cannot be read, is no TOML, or has what is no configuration; the error names file, line and key.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Config, ConfigError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::about(&name, error.to_string()))?;
        self.text(&name, &text)
    }

    /// [`file`](Self::file) for one that need not be there.
    ///
    /// # Errors
    /// As for [`file`](Self::file), if there is one.
    pub fn optional_file(self, path: impl AsRef<Path>) -> Result<Config, ConfigError> {
        match path.as_ref().metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self),
            _ => self.file(path),
        }
    }

    /// [`file`](Self::file) for text that the program has, with a name for error messages.
    ///
    /// # Errors
    /// As for [`file`](Self::file).
    pub fn text(mut self, name: &str, text: &str) -> Result<Config, ConfigError> {
        let place = Place { name, text };
        let root = DeTable::parse(text).map_err(|error| place.syntax(&error))?;
        for (application, value) in root.get_ref() {
            let key = application.get_ref();
            let DeValue::Table(table) = value.get_ref() else {
                let problem =
                    "values belong into the table of an application, `[shop]` for example".to_owned();
                return Err(place.error(&application.span(), key, problem));
            };
            let table = place.table(table, key)?;
            merge(&mut self.made.files, key, table);
        }
        Ok(self)
    }

    /// Takes the variables of the program's environment that begin with `PURLIN_` and have two underscores somewhere behind that.
    ///
    /// # Errors
    /// Such a variable is no Unicode, or has an empty part.
    pub fn variables(self) -> Result<Config, ConfigError> {
        let mut read = Vec::new();
        for (name, value) in std::env::vars_os() {
            // Names that are no Unicode are not ours.
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
            let value = value.into_string();
            let value = value.map_err(|_| ConfigError::about(name, "its value is no Unicode".to_owned()))?;
            read.push((name.to_owned(), value));
        }
        read.sort();
        self.variables_from(read)
    }

    /// [`variables`](Self::variables), of an environment that is given.
    ///
    /// ```
    /// use purlin::config::Config;
    /// let config = Config::new().variables_from([("PURLIN_SHOP__PORT", "80"), ("PATH", "/bin")]).unwrap();
    /// assert_eq!(config.into_env().variables["shop"]["port"], 80.into());
    /// ```
    ///
    /// # Errors
    /// As for [`variables`](Self::variables).
    pub fn variables_from<N: AsRef<str>, V: AsRef<str>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Config, ConfigError> {
        for (name, value) in variables {
            let name = name.as_ref();
            if is_ours(name) {
                let path = name[PREFIX.len()..].to_ascii_lowercase();
                let keys: Vec<&str> = path.split("__").collect();
                put(&mut self.made.variables, name, &keys, value.as_ref())?;
            }
        }
        Ok(self)
    }

    /// Takes assignments such as `shop.pool.size=10`, as a program may find them on its command line, after `--set` for example. Values are as
    /// in variables.
    ///
    /// # Errors
    /// One has no `=`, no application, or an empty key.
    pub fn assignments<A: AsRef<str>>(
        mut self,
        assignments: impl IntoIterator<Item = A>,
    ) -> Result<Config, ConfigError> {
        for assignment in assignments {
            let assignment = assignment.as_ref();
            let wrong =
                || ConfigError::about(assignment, "an assignment looks like `shop.port=80`".to_owned());
            let (path, value) = assignment.split_once('=').ok_or_else(wrong)?;
            let keys: Vec<&str> = path.trim().split('.').collect();
            put(&mut self.made.command_line, assignment, &keys, value.trim())?;
        }
        Ok(self)
    }

    /// What has been put together.
    pub fn into_env(self) -> EnvConfig {
        self.made
    }

    /// Gives the current node this configuration, in the place of the one it has; see [`change_config`](application::change_config). Best before
    /// any application is started.
    ///
    /// # Errors
    /// Running applications that could not take it over.
    pub async fn apply(self) -> Result<(), ConfigChangeError> {
        application::change_config(self.made).await
    }
}

fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.contains("__"))
}

/// Merges a table of an application over what is there.
fn merge(tables: &mut EnvTables, application: &str, table: EnvTable) {
    let over = EnvConfig { files: [(application.to_owned(), table)].into(), ..EnvConfig::default() };
    let mut below = EnvConfig { files: std::mem::take(tables), ..EnvConfig::default() };
    below.merge(&over);
    *tables = below.files;
}

/// Puts one value at a path that begins with the application.
fn put(tables: &mut EnvTables, place: &str, keys: &[&str], value: &str) -> Result<(), ConfigError> {
    let [application, keys @ ..] = keys else { unreachable!("a split has one part at least") };
    if keys.is_empty() || application.is_empty() || keys.iter().any(|key| key.is_empty()) {
        return Err(ConfigError::about(place, "it does not name an application and a key".to_owned()));
    }
    let mut value = match DeValue::parse(value) {
        // What is too large for a number, too, is text.
        Ok(parsed) => {
            Place { name: place, text: value }.value(&parsed, place).unwrap_or_else(|_| value.into())
        },
        Err(_) => value.into(),
    };
    let [first, inner @ ..] = keys else { unreachable!("there is a key") };
    for key in inner.iter().rev() {
        value = EnvValue::from([(*key, value)]);
    }
    merge(tables, application, [((*first).to_owned(), value)].into());
    Ok(())
}

/// A text being read, for what is said about it.
struct Place<'t> {
    name: &'t str,
    text: &'t str,
}

impl Place<'_> {
    fn table(&self, table: &DeTable<'_>, path: &str) -> Result<EnvTable, ConfigError> {
        let read = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            let key = key.get_ref();
            Ok((key.to_string(), self.value(value, &format!("{path}.{key}"))?))
        };
        table.iter().map(read).collect()
    }

    fn value(&self, value: &Spanned<DeValue<'_>>, path: &str) -> Result<EnvValue, ConfigError> {
        Ok(match value.get_ref() {
            DeValue::String(text) => EnvValue::Text(text.to_string()),
            DeValue::Boolean(value) => EnvValue::Bool(*value),
            // Civil times are the business of whoever reads them.
            DeValue::Datetime(time) => EnvValue::Text(time.to_string()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => EnvValue::Integer(number),
                Err(_) => {
                    let problem = format!("the integer {} is too large", number.as_str());
                    return Err(self.error(&value.span(), path, problem));
                },
            },
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => EnvValue::Float(number),
                Err(_) => {
                    let problem = format!("{} is no number", number.as_str());
                    return Err(self.error(&value.span(), path, problem));
                },
            },
            DeValue::Array(values) => {
                let each = values.iter().enumerate();
                let each = each.map(|(index, value)| self.value(value, &format!("{path}[{index}]")));
                EnvValue::List(each.collect::<Result<_, _>>()?)
            },
            DeValue::Table(table) => EnvValue::Table(self.table(table, path)?),
        })
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
    }

    fn error(&self, span: &Range<usize>, key: &str, problem: String) -> ConfigError {
        let line = Some(self.line(span));
        ConfigError { name: self.name.to_owned(), line, key: Some(key.to_owned()), problem }
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let line = error.span().map(|span| self.line(&span));
        // What is on the line up to the `=`: the key, as far as there is one.
        let key = line.and_then(|line| self.text.lines().nth(line - 1)?.split_once('='));
        let key = key.map(|(key, _)| key.trim().to_owned()).filter(|key| !key.is_empty());
        ConfigError { name: self.name.to_owned(), line, key, problem: error.message().to_owned() }
    }
}

/// A configuration that cannot be read: what is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ConfigError {
    /// The file, the variable or the assignment.
    pub name: String,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// The key, with those of the tables it is in.
    pub key: Option<String>,
    /// What is wrong.
    pub problem: String,
}

impl ConfigError {
    fn about(name: &str, problem: String) -> ConfigError {
        ConfigError { name: name.to_owned(), line: None, key: None, problem }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ConfigError {}

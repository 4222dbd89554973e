//! Where configuration comes from, which source wins, and what has changed: pure functions over tables.

use std::collections::BTreeMap;

use super::env::{self, EnvTable, EnvValue};

/// Environments by application.
pub type EnvTables = BTreeMap<String, EnvTable>;

/// The configuration that a node has from outside, by source. What an application's environment is made of, the strongest first:
///
/// 1. [`command_line`](Self::command_line),
/// 2. [`variables`](Self::variables) of the operating system's environment,
/// 3. values put with [`put_env_persistent`](super::put_env_persistent),
/// 4. [`files`](Self::files),
/// 5. the defaults of the application's own [specification](super::ApplicationSpec::env).
///
/// Tables are merged key by key, at any depth; anything else is replaced as a whole.
///
/// ```
/// use purlin_core::application::EnvConfig;
/// let mut config = EnvConfig::default();
/// config.files.entry("shop".to_owned()).or_default().insert("port".to_owned(), 80.into());
/// let mut late = EnvConfig::default();
/// late.files.entry("shop".to_owned()).or_default().insert("host".to_owned(), "::".into());
/// config.merge(&late);
/// assert_eq!(config.files["shop"].len(), 2);
/// assert_eq!(config.applications().collect::<Vec<_>>(), ["shop"]);
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EnvConfig {
    /// From files.
    pub files: EnvTables,
    /// From variables of the environment.
    pub variables: EnvTables,
    /// From the command line.
    pub command_line: EnvTables,
}

impl EnvConfig {
    /// Merges another configuration over this one, source by source.
    pub fn merge(&mut self, over: &EnvConfig) {
        merge_all(&mut self.files, &over.files);
        merge_all(&mut self.variables, &over.variables);
        merge_all(&mut self.command_line, &over.command_line);
    }

    /// The applications that it has something for.
    pub fn applications(&self) -> impl Iterator<Item = &str> {
        let all = self.files.keys().chain(self.variables.keys()).chain(self.command_line.keys());
        all.map(String::as_str).collect::<std::collections::BTreeSet<_>>().into_iter()
    }

    /// The environment of an application with these defaults and persistent values.
    pub(crate) fn environment(
        &self,
        name: &str,
        defaults: &EnvTable,
        persistent: Option<&EnvTable>,
    ) -> EnvTable {
        let mut made = defaults.clone();
        let sources =
            [self.files.get(name), persistent, self.variables.get(name), self.command_line.get(name)];
        for source in sources.into_iter().flatten() {
            env::merge(&mut made, source);
        }
        made
    }
}

fn merge_all(below: &mut EnvTables, over: &EnvTables) {
    for (name, table) in over {
        env::merge(below.entry(name.clone()).or_default(), table);
    }
}

/// How the environment of a running application has changed; what [`Application::config_change`](super::Application::config_change) is
/// told. Keys are those of the environment itself: of a table in it that changed, all of it is in here.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct ConfigChange {
    /// Keys that have another value, with the value they have now.
    pub changed: EnvTable,
    /// Keys that were not there before.
    pub new: EnvTable,
    /// Keys that are not there any more.
    pub removed: Vec<String>,
}

impl ConfigChange {
    /// What differs between two environments; `None` if nothing does.
    pub(crate) fn between(before: &EnvTable, now: &EnvTable) -> Option<ConfigChange> {
        let own = |(key, value): (&String, &EnvValue)| (key.clone(), value.clone());
        let change = ConfigChange {
            changed: now
                .iter()
                .filter(|(key, value)| before.get(*key).is_some_and(|old| old != *value))
                .map(own)
                .collect(),
            new: now.iter().filter(|(key, _)| !before.contains_key(*key)).map(own).collect(),
            removed: before.keys().filter(|key| !now.contains_key(*key)).cloned().collect(),
        };
        (change != ConfigChange::default()).then_some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pairs: &[(&str, i64)]) -> EnvTable {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect()
    }

    fn tables(pairs: &[(&str, i64)]) -> EnvTables {
        [("shop".to_owned(), table(pairs))].into()
    }

    #[test]
    fn ap17_the_stronger_source_wins_key_by_key() {
        let config = EnvConfig {
            files: tables(&[("a", 2), ("b", 2), ("c", 2), ("d", 2)]),
            variables: tables(&[("a", 4), ("b", 4)]),
            command_line: tables(&[("a", 5)]),
        };
        let persistent = table(&[("a", 3), ("b", 3), ("c", 3)]);
        let defaults = table(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]);
        let made = config.environment("shop", &defaults, Some(&persistent));
        assert_eq!(made, table(&[("a", 5), ("b", 4), ("c", 3), ("d", 2), ("e", 1)]));
        assert_eq!(config.environment("till", &defaults, None), defaults);
    }

    #[test]
    fn ap18_a_later_configuration_is_merged_over_the_earlier_one_by_application_and_key() {
        let mut config = EnvConfig { files: tables(&[("a", 1), ("b", 1)]), ..EnvConfig::default() };
        let mut later = EnvConfig { files: tables(&[("b", 2), ("c", 2)]), ..EnvConfig::default() };
        later.files.insert("till".to_owned(), table(&[("z", 9)]));
        config.merge(&later);
        assert_eq!(config.files["shop"], table(&[("a", 1), ("b", 2), ("c", 2)]));
        assert_eq!(config.applications().collect::<Vec<_>>(), ["shop", "till"]);
    }

    #[test]
    fn ap21_a_change_lists_what_is_other_new_and_gone() {
        let change = ConfigChange::between(
            &table(&[("a", 1), ("b", 1), ("c", 1)]),
            &table(&[("a", 1), ("b", 2), ("d", 1)]),
        );
        let change = change.unwrap();
        assert_eq!((change.changed, change.new), (table(&[("b", 2)]), table(&[("d", 1)])));
        assert_eq!(change.removed, ["c"]);
        assert_eq!(ConfigChange::between(&table(&[("a", 1)]), &table(&[("a", 1)])), None);
    }
}

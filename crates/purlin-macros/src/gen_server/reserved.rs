//! Names that a client method cannot have, because something else of that name would be found first.

/// Methods of `Ref` and `Name`, and of traits in everybody's scope: method lookup finds them before it looks through `Deref`.
const OF_HANDLES: &[&str] = &[
    "as_str",
    "call",
    "cast",
    "cast_wait",
    "clone",
    "clone_from",
    "display",
    "into",
    "is_alive",
    "pid",
    "send",
    "send_request",
    "stop",
    "stop_with",
    "target",
    "to_owned",
    "try_cast",
    "try_into",
    "via",
    "wait",
    "whereis",
];

/// Functions of `GenServer` that are used as `Counter::start(..)`: a method of that name in the block would hide them.
const OF_SERVERS: &[&str] =
    &["child_spec", "child_spec_once", "child_spec_with", "named", "start", "start_link"];

/// Methods that the server itself answers to, by their name alone.
const CALLBACKS: &[&str] = &["accepts", "format_status", "init", "terminate"];

/// Why a message must not have this name; `None` if it may.
pub(super) fn why_not(name: &str) -> Option<String> {
    let is_in = |names: &[&str]| names.contains(&name);
    if is_in(OF_HANDLES) {
        Some(format!(
            "every `Ref` and `Name` has a method `{name}` already, which would be called instead of this one: choose another name"
        ))
    } else if is_in(OF_SERVERS) {
        Some(format!(
            "every server has a function `{name}` already, which this one would hide: choose another name"
        ))
    } else if is_in(CALLBACKS) {
        Some(format!(
            "`{name}` is a callback of the server and cannot be a message: choose another name, or remove the attribute"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_handles_servers_and_callbacks_are_refused_each_with_its_reason() {
        assert!(why_not("stop").unwrap().starts_with("every `Ref` and `Name` has a method `stop`"));
        assert!(why_not("start").unwrap().starts_with("every server has a function `start`"));
        assert!(why_not("init").unwrap().starts_with("`init` is a callback"));
        assert_eq!(why_not("increment"), None);
    }
}

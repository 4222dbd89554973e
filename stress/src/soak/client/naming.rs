//! Names and keys: two processes that live never share one.

use std::sync::Mutex;

use purlin_core::*;

use super::Client;
use crate::soak::facts::Facts;
use crate::soak::journal::Short;
use crate::soak::world::open;

/// Notes that a process has got a name or key; whoever had it before has given it up, or is ending.
fn take_over(facts: &Facts, place: &Mutex<Option<Pid>>, me: Pid, what: &str) {
    let before = open(place).replace(me);
    if let Some(before) = before.filter(|before| *before != me && !facts.is_ending(*before)) {
        let (me, before) = (Short(Some(me)), Short(Some(before)));
        facts.violation(format!("{me} got {what}, which {before} has"));
    }
}

/// Notes that a process is about to give it up.
fn give_up(place: &Mutex<Option<Pid>>, me: Pid) {
    let mut place = open(place);
    if *place == Some(me) {
        *place = None;
    }
}

/// Whoever is found was not ended before the look began.
fn check_found(facts: &Facts, found: Option<Pid>, begun: u64, what: &str) {
    if let Some(pid) = found
        && facts.end_of(pid).is_some_and(|end| end.stamp < begun)
    {
        facts.violation(format!("{what} finds {}, which has ended", Short(Some(pid))));
    }
}

/// A local name: registers, looks up, gives up.
pub(super) async fn name(c: &mut Client) {
    let cell = c.cell.clone();
    let text = |index: usize| cell.named(&format!("name {index}"));
    if let Some(index) = c.name {
        if process::whereis(&text(index)) != Some(c.me) && c.lives() {
            c.facts.violation("a process does not have the name that it registered");
        }
        if c.random.one_in(2) {
            c.name = None;
            give_up(&cell.owners[index], c.me);
            if process::unregister(&text(index)).is_err() && c.lives() {
                c.facts.violation("a name cannot be given up");
            }
        }
        return;
    }
    let index = c.random.below(cell.owners.len() as u64) as usize;
    let begun = c.facts.stamp();
    check_found(&c.facts, process::whereis(&text(index)), begun, "whereis");
    match process::register(text(index), c.me) {
        Ok(()) => {
            take_over(&c.facts, &cell.owners[index], c.me, "a name");
            c.name = Some(index);
        },
        Err(RegisterError::NameTaken(pid)) if pid != c.me => {
            check_found(&c.facts, Some(pid), begun, "a name that is taken");
        },
        // A mortal may be ending.
        Err(RegisterError::NoProc) if c.mortal => {},
        Err(error) => c.facts.violation(format!("a name cannot be registered: {error}")),
    }
}

/// A unique key, with a value.
pub(super) async fn key(c: &mut Client) {
    let cell = c.cell.clone();
    let index = c.random.below(cell.holders.len() as u64) as usize;
    let key = index as u64;
    let begun = c.facts.stamp();
    let outcome = match c.keys.get(&index).copied() {
        Some(value) => match c.random.below(4) {
            0 => {
                c.keys.remove(&index);
                give_up(&cell.holders[index], c.me);
                cell.keys.unregister(&key)
            },
            1 => cell.keys.update_value(&key, |old| old + 1).map(|(new, old)| {
                c.keys.insert(index, new);
                if (old, new) != (value, value + 1) {
                    c.facts.violation(format!("{value} became {old} and {new}"));
                }
            }),
            2 => cell.keys.lookup(&key).map(|entries| {
                if *entries != [(c.me, value)] && c.lives() {
                    c.facts.violation(format!("a key has {entries:?} instead of {value}"));
                }
            }),
            _ => match cell.keys.register(key, 0) {
                Err(RegistryError::AlreadyRegistered(pid)) if pid == c.me => Ok(()),
                Ok(()) => {
                    c.facts.violation("a key was registered twice");
                    Ok(())
                },
                Err(RegistryError::AlreadyRegistered(_)) if !c.lives() => Ok(()),
                Err(error) => Err(error),
            },
        },
        None => match cell.keys.register(key, begun) {
            Ok(()) => {
                take_over(&c.facts, &cell.holders[index], c.me, "a key");
                c.keys.insert(index, begun);
                Ok(())
            },
            Err(RegistryError::AlreadyRegistered(pid)) if pid != c.me => {
                check_found(&c.facts, Some(pid), begun, "a key that is taken");
                cell.keys.whereis(&key).map(|found| check_found(&c.facts, found, begun, "a key"))
            },
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(()) => {},
        // A mortal may be ending.
        Err(RegistryError::NoProcess | RegistryError::NotRegistered) if c.mortal => {},
        Err(error) => c.facts.doubt(|| format!("a key: {error}")),
    }
}

/// A key that many have. Its registry may end at any moment, and all memberships with it.
pub(super) async fn group(c: &mut Client) {
    let cell = c.cell.clone();
    let registry =
        || cell.groups.server().ok().map(|server| server.pid()).filter(|pid| process::is_alive(*pid));
    let group = c.random.below(3);
    let (begun, before) = (c.facts.stamp(), registry());
    let outcome = match c.random.below(4) {
        0 => cell.groups.unregister(&group).map(|()| _ = c.groups.remove(&group)),
        1 => cell.groups.dispatch(&group, |entries| {
            for (pid, _) in entries {
                check_found(&c.facts, Some(*pid), begun, "a group");
            }
        }),
        2 => cell.groups.values(&group, c.me).map(|values| {
            let mine = c.groups.get(&group).copied().unwrap_or_default();
            let same = before.is_some() && before == registry() && before == c.groups_of && !c.lost_groups;
            if same && values.len() != mine && c.lives() {
                c.facts.violation(format!("{} entries instead of {mine}", values.len()));
            }
        }),
        _ => cell.groups.register(group, begun).map(|()| {
            if before != c.groups_of {
                c.groups.clear();
                c.groups_of = before;
            }
            *c.groups.entry(group).or_default() += 1;
            // In which of two it is, is not known then.
            c.lost_groups |= before.is_none() || before != registry();
        }),
    };
    match outcome {
        Ok(()) | Err(RegistryError::Unknown { .. }) => {},
        Err(RegistryError::NoProcess) if c.mortal => {},
        Err(error) => c.facts.violation(format!("a group: {error}")),
    }
}

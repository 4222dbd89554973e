//! Starting and stopping, alone or with everything that is needed: in which order, and what becomes of those started when one fails.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use super::controller::{Begun, Controller};
use super::error::{EnsureStartedError, LoadError, StartApplicationError, StopApplicationError};
use super::master;
use super::report;
use super::spec::{App, ApplicationSpec};
use crate::Restart;
use crate::node::{Node, current};
use crate::process::api::ended;
use crate::process::raw;

/// Whether [`ensure_all_started`](super::ensure_all_started) starts one application after another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// One after another, in a fixed order: what an application needs first, in the order in which it names it.
    #[default]
    Serial,
    /// Each as soon as what it needs runs; those that do not need each other at the same time.
    Concurrent,
}

/// Loads what is meant, unless one of its name is loaded.
pub(super) fn load_if_given(controller: &Controller, app: App) -> Result<Arc<str>, LoadError> {
    match app.spec.as_ref().map(|spec| controller.load(spec)) {
        Some(Err(LoadError::AlreadyLoaded(name))) if *name == *app.name => {},
        Some(Err(error)) => return Err(error),
        Some(Ok(())) | None => {},
    }
    Ok(app.name)
}

/// Starts one application; `true` if it was this start that did it.
pub(super) async fn start(
    node: &Node,
    controller: &Arc<Controller>,
    name: &Arc<str>,
    restart: Restart,
) -> Result<bool, StartApplicationError> {
    if node.is_stopping() {
        return Err(StartApplicationError::NodeStopping);
    }
    let (mut waiter, mine) = match controller.begin(name, restart)? {
        Begun::Mine(spec, waiter) => {
            master::spawn(node, controller, *spec);
            (waiter, true)
        },
        Begun::Theirs(waiter) => (waiter, false),
    };
    let outcome = poll_fn(|cx| waiter.poll(cx)).await;
    outcome.unwrap_or(Err(StartApplicationError::NodeStopping)).map(|()| mine)
}

/// Stops one application, and waits until nothing is left of it.
pub(super) async fn stop(
    node: &Node,
    controller: &Controller,
    name: &str,
) -> Result<(), StopApplicationError> {
    let not_started = || StopApplicationError::NotStarted(name.to_owned());
    let running = controller.running(name).ok_or_else(not_started)?;
    let within = current::with_current(|me| master::ancestry(me).contains(&running.master)).unwrap_or(false);
    if within {
        return Err(StopApplicationError::FromWithin(name.to_owned()));
    }
    if let Some(proc) = node.lookup(running.master) {
        // It may have ended meanwhile.
        let _ = proc.push(raw::repack(master::Stop));
        ended(&proc).await;
    }
    Ok(())
}

/// What has to be started, with what each waits for: everything comes after what it needs.
type Plan = Vec<(Arc<str>, Vec<Arc<str>>)>;

/// Plans the start of `wanted` and of all that they need; `running` are left out. `spec` finds a specification.
fn plan(
    wanted: &[Arc<str>],
    running: &dyn Fn(&str) -> bool,
    spec: &dyn Fn(&str) -> Option<ApplicationSpec>,
) -> Result<Plan, EnsureStartedError> {
    let mut plan = Plan::new();
    for name in wanted {
        visit(name, &mut Vec::new(), &mut plan, running, spec)?;
    }
    Ok(plan)
}

fn visit(
    name: &Arc<str>,
    path: &mut Vec<Arc<str>>,
    plan: &mut Plan,
    running: &dyn Fn(&str) -> bool,
    spec: &dyn Fn(&str) -> Option<ApplicationSpec>,
) -> Result<(), EnsureStartedError> {
    if running(name) || plan.iter().any(|(planned, _)| planned == name) {
        return Ok(());
    }
    let failed = |error| EnsureStartedError { application: name.to_string(), error };
    if let Some(begin) = path.iter().position(|other| other == name) {
        let circle = path[begin..].iter().chain([name]).map(ToString::to_string).collect();
        return Err(failed(StartApplicationError::Cycle(circle)));
    }
    let own = spec(name).ok_or_else(|| failed(LoadError::NotLoaded(name.to_string()).into()))?;
    path.push(name.clone());
    let mut needs = Vec::new();
    for other in &own.applications {
        if !other.optional || spec(&other.name).is_some() {
            visit(&other.name, path, plan, running, spec)?;
            needs.push(other.name.clone());
        }
    }
    path.pop();
    plan.push((name.clone(), needs));
    Ok(())
}

/// Loads what is given as a specification, and what that names as specifications, and so on.
fn load_all(controller: &Controller, apps: Vec<App>) -> Result<Vec<Arc<str>>, EnsureStartedError> {
    let mut wanted = Vec::new();
    let mut open: Vec<(App, bool)> = apps.into_iter().rev().map(|app| (app, true)).collect();
    let mut seen = BTreeSet::new();
    while let Some((app, is_wanted)) = open.pop() {
        let name = app.name.clone();
        load_if_given(controller, app)
            .map_err(|error| EnsureStartedError { application: name.to_string(), error: error.into() })?;
        if is_wanted {
            wanted.push(name.clone());
        }
        if !seen.insert(name.clone()) {
            continue;
        }
        for other in controller.spec(&name).into_iter().flat_map(|spec| spec.applications) {
            open.push((App { name: other.name, spec: other.spec }, false));
        }
    }
    Ok(wanted)
}

/// Starts applications with all that they need; those that were not running before, in the order in which they were up.
pub(super) async fn ensure_all(
    node: &Node,
    controller: &Arc<Controller>,
    apps: Vec<App>,
    restart: Restart,
    mode: Mode,
) -> Result<Vec<Arc<str>>, EnsureStartedError> {
    let wanted = load_all(controller, apps)?;
    let plan = plan(&wanted, &|name| controller.running(name).is_some(), &|name| controller.spec(name))?;
    report::unknown_applications(&controller.unknown_anew());
    let mut started = Vec::new();
    let outcome = match mode {
        Mode::Serial => one_by_one(node, controller, plan, restart, &mut started).await,
        Mode::Concurrent => at_once(node, controller, plan, restart, &mut started).await,
    };
    if let Err(error) = outcome {
        for name in started.iter().rev() {
            // One that has ended meanwhile is stopped already.
            let _ = stop(node, controller, name).await;
        }
        return Err(error);
    }
    Ok(started)
}

/// Takes note of how a start went. One that somebody else has started is fine, and theirs.
fn settle(
    name: &Arc<str>,
    outcome: Result<bool, StartApplicationError>,
    started: &mut Vec<Arc<str>>,
) -> Result<(), EnsureStartedError> {
    match outcome {
        Ok(mine) => {
            if mine {
                started.push(name.clone());
            }
            Ok(())
        },
        Err(StartApplicationError::AlreadyStarted(_)) => Ok(()),
        Err(error) => Err(EnsureStartedError { application: name.to_string(), error }),
    }
}

async fn one_by_one(
    node: &Node,
    controller: &Arc<Controller>,
    plan: Plan,
    restart: Restart,
    started: &mut Vec<Arc<str>>,
) -> Result<(), EnsureStartedError> {
    for (name, _) in plan {
        let outcome = start(node, controller, &name, restart).await;
        settle(&name, outcome, started)?;
    }
    Ok(())
}

/// A start under way.
type Starting<'a> =
    (Arc<str>, Pin<Box<dyn Future<Output = Result<bool, StartApplicationError>> + Send + 'a>>);

async fn at_once(
    node: &Node,
    controller: &Arc<Controller>,
    mut plan: Plan,
    restart: Restart,
    started: &mut Vec<Arc<str>>,
) -> Result<(), EnsureStartedError> {
    let mut under_way: Vec<Starting<'_>> = Vec::new();
    let mut failed = None;
    loop {
        if failed.is_none() {
            let planned: Vec<Arc<str>> = plan.iter().map(|(name, _)| name.clone()).collect();
            let busy: Vec<Arc<str>> = under_way.iter().map(|(name, _)| name.clone()).collect();
            let waits =
                |needs: &[Arc<str>]| needs.iter().any(|name| planned.contains(name) || busy.contains(name));
            for (name, _) in plan.extract_if(.., |(_, needs)| !waits(needs)) {
                let own = name.clone();
                under_way.push((name, Box::pin(async move { start(node, controller, &own, restart).await })));
            }
        }
        if under_way.is_empty() {
            return failed.map_or(Ok(()), Err);
        }
        let (name, outcome) = poll_fn(|cx| {
            for index in 0..under_way.len() {
                if let Poll::Ready(outcome) = under_way[index].1.as_mut().poll(cx) {
                    let (name, _) = under_way.remove(index);
                    return Poll::Ready((name, outcome));
                }
            }
            Poll::Pending
        })
        .await;
        // Those under way are waited for: what they start is to be stopped again.
        if let Err(error) = settle(&name, outcome, started) {
            failed.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(specs: &[ApplicationSpec], wanted: &[&str], running: &[&str]) -> Result<Vec<String>, String> {
        let wanted: Vec<Arc<str>> = wanted.iter().map(|name| Arc::from(*name)).collect();
        let spec = |name: &str| specs.iter().find(|spec| spec.name() == name).cloned();
        let plan =
            plan(&wanted, &|name| running.contains(&name), &spec).map_err(|error| error.to_string())?;
        Ok(plan.into_iter().map(|(name, _)| name.to_string()).collect())
    }

    fn app(name: &str, needs: &[&str]) -> ApplicationSpec {
        needs.iter().fold(ApplicationSpec::library(name), |spec, need| spec.application(*need))
    }

    #[test]
    fn ap2_what_an_application_needs_is_planned_before_it_in_the_order_in_which_it_names_it() {
        let specs = [app("shop", &["web", "db"]), app("web", &["log"]), app("db", &["log"]), app("log", &[])];
        assert_eq!(order(&specs, &["shop"], &[]).unwrap(), ["log", "web", "db", "shop"]);
        assert_eq!(order(&specs, &["db", "shop"], &["log"]).unwrap(), ["db", "web", "shop"]);
    }

    #[test]
    fn ap6_an_optional_application_is_planned_if_there_is_one() {
        let shop = ApplicationSpec::library("shop").optional_application("cache");
        assert_eq!(order(std::slice::from_ref(&shop), &["shop"], &[]).unwrap(), ["shop"]);
        assert_eq!(order(&[shop, app("cache", &[])], &["shop"], &[]).unwrap(), ["cache", "shop"]);
    }

    #[test]
    fn a_circle_is_an_error_that_shows_it() {
        let specs = [app("a", &["b"]), app("b", &["c"]), app("c", &["b"])];
        let error = order(&specs, &["a"], &[]).unwrap_err();
        assert_eq!(error, "applications depend on each other in a circle: b -> c -> b");
        assert!(order(&specs[..1], &["a"], &[]).unwrap_err().contains("\"b\" is not loaded"));
    }
}

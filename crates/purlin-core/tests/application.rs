//! Applications keep the statements of OTP's and Elixir's suites (AP numbers): starting, dependencies, phases, processes, environments.

mod application_support;
mod common;

use std::sync::Arc;

use application_support::*;
use common::*;
use purlin_core::Restart::{Permanent, Temporary};
use purlin_core::application::*;
use purlin_core::*;

// ---- starting ---------------------------------------------------------------------------------------------------------

#[test]
fn ap1_a_start_without_what_it_needs_is_refused_and_names_that() {
    everywhere(async |_| {
        let log = Log::default();
        let shop = script("shop", &log).spec().application(script("db", &log).spec());
        let error = application::start(shop, Temporary).await.unwrap_err();
        let expected =
            StartApplicationError::NotStarted { application: "shop".to_owned(), dependency: "db".to_owned() };
        assert_eq!(error, expected);
        assert_eq!(log.all(), [""; 0]);
        let error = application::ensure_started("shop", Temporary).await.unwrap_err();
        assert_eq!(error, expected);
        application::start(script("db", &log).spec(), Temporary).await.unwrap();
        application::ensure_started("shop", Temporary).await.unwrap();
        assert_eq!(running(), ["db", "shop"]);
    });
}

#[test]
fn ap2_ensure_all_started_starts_what_is_needed_first_and_answers_those_that_it_started() {
    everywhere(async |_| {
        let log = Log::default();
        application::start(script("log", &log).spec(), Temporary).await.unwrap();
        let db = script("db", &log).spec().application("log");
        let web = script("web", &log).spec().application("log").application("db");
        let shop = script("shop", &log).spec().application(db).application(web);
        let started = application::ensure_all_started([shop], Temporary, Mode::Serial).await.unwrap();
        assert_eq!(texts(&started), ["db", "web", "shop"]);
        assert_eq!(log.all(), ["log start", "db start", "web start", "shop start"]);
        let again = application::ensure_all_started(["shop", "db"], Temporary, Mode::Serial).await.unwrap();
        assert!(again.is_empty(), "{again:?}");
    });
}

#[test]
fn ap2_when_one_fails_those_that_were_started_are_stopped_again_in_reverse_order() {
    for mode in [Mode::Serial, Mode::Concurrent] {
        everywhere(move |_| async move {
            let log = Log::default();
            application::start(script("log", &log).spec(), Temporary).await.unwrap();
            let db = script("db", &log).spec().application("log");
            let web = script("web", &log).spec().application(db);
            let shop =
                script("shop", &log).on_start(async || Err(Crash::msg("no money"))).spec().application(web);
            let error = application::ensure_all_started([shop], Temporary, mode).await.unwrap_err();
            assert_eq!(error.application, "shop");
            assert_eq!(error.to_string(), "the application \"shop\" did not start: no money");
            assert_eq!(running(), ["log"]);
            let stops: Vec<String> = log.all().into_iter().filter(|line| line.ends_with(" stop")).collect();
            assert_eq!(stops, ["web stop", "db stop"]);
        });
    }
}

#[test]
fn ap4_what_does_not_need_each_other_starts_at_the_same_time_and_what_needs_both_after_them() {
    everywhere(async |_| {
        let log = Log::default();
        // Neither start returns before the other one has begun.
        let meet = Arc::new(tokio::sync::Barrier::new(2));
        let meeting = |name| {
            let meet = meet.clone();
            let wait = move || {
                let meet = meet.clone();
                async move {
                    meet.wait().await;
                    Ok(())
                }
            };
            script(name, &log).on_start(wait).spec()
        };
        let shop = script("shop", &log).spec().application(meeting("db")).application(meeting("web"));
        let started = application::ensure_all_started([shop], Temporary, Mode::Concurrent).await.unwrap();
        assert_eq!(started.len(), 3);
        assert_eq!(&*started[2], "shop");
        assert_eq!(log.all()[2], "shop start");
        assert_eq!(running()[2], "shop");
    });
}

#[test]
fn ap5_a_start_of_one_that_runs_is_refused_and_ensure_started_is_fine_with_it() {
    everywhere(async |_| {
        let log = Log::default();
        let shop = script("shop", &log).spec();
        application::start(shop.clone(), Temporary).await.unwrap();
        let error = application::start(shop.clone(), Temporary).await.unwrap_err();
        assert_eq!(error, StartApplicationError::AlreadyStarted("shop".to_owned()));
        assert_eq!(application::ensure_started(shop, Temporary).await, Ok(()));
        assert_eq!(log.all(), ["shop start"]);
    });
}

async fn gives_way() -> Result<(), Crash> {
    process::yield_now().await;
    Ok(())
}

#[test]
fn ap5_a_start_while_another_one_is_under_way_waits_for_that_one() {
    everywhere(async |_| {
        let log = Log::default();
        let shop = script("shop", &log).on_start(gives_way).spec();
        application::load(shop).unwrap();
        let (one, two) =
            tokio::join!(application::start("shop", Temporary), application::start("shop", Temporary));
        assert_eq!((one, two), (Ok(()), Ok(())));
        assert_eq!(log.all(), ["shop start"]);
    });
}

#[test]
fn ap6_an_optional_application_is_started_first_if_it_is_there_and_not_missed_if_it_is_not() {
    everywhere(async |_| {
        let log = Log::default();
        let shop = script("shop", &log).spec().optional_application("cache");
        application::start(shop, Temporary).await.unwrap();
        application::stop("shop").await.unwrap();
        application::load(script("cache", &log).spec()).unwrap();
        let error = application::start("shop", Temporary).await.unwrap_err();
        assert!(
            matches!(error, StartApplicationError::NotStarted { dependency, .. } if dependency == "cache")
        );
        let started = application::ensure_all_started(["shop"], Temporary, Mode::Serial).await.unwrap();
        assert_eq!(texts(&started), ["cache", "shop"]);
    });
}

#[test]
fn ap7_a_start_that_fails_leaves_nothing_running_and_passes_its_reason_on() {
    everywhere(async |_| {
        let log = Log::default();
        let before = living().len();
        let fails = async || {
            process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
            Err(Crash::new(ExitReason::custom(("no", "disk"))))
        };
        let error =
            application::start(script("shop", &log).on_start(fails).spec(), Temporary).await.unwrap_err();
        let reason = ExitReason::custom(("no", "disk"));
        let expected = StartApplicationError::Failed { application: "shop".to_owned(), phase: None, reason };
        assert_eq!(error, expected);
        assert_eq!(running(), [""; 0]);
        // What it had spawned is gone, and its master ends as soon as it has said so.
        assert!(living().len() <= before + 1, "{:?}", living());
        assert_eq!(application::get_supervisor("shop"), None);
        let error = application::start("shop", Temporary).await.unwrap_err();
        assert_eq!(error, expected);
    });
}

#[test]
fn ap7_a_start_that_panics_is_one_that_fails() {
    everywhere(async |_| {
        let log = Log::default();
        let shop = script("shop", &log).on_start(async || planned("no disk")).spec();
        let error = application::start(shop, Temporary).await.unwrap_err();
        let StartApplicationError::Failed { reason, .. } = error else { panic!("{error}") };
        assert!(is_planned(&reason, "no disk"));
    });
}

#[test]
fn a_start_whose_future_is_dropped_goes_on() {
    everywhere(async |_| {
        let log = Log::default();
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let wait = {
            let gate = gate.clone();
            move || {
                let gate = gate.clone();
                async move {
                    gate.acquire().await.unwrap().forget();
                    Ok(())
                }
            }
        };
        let mut starting =
            Box::pin(application::start(script("shop", &log).on_start(wait).spec(), Temporary));
        assert!(poll_once(&mut starting).await.is_none());
        drop(starting);
        gate.add_permits(1);
        application::ensure_started("shop", Temporary).await.unwrap();
        assert_eq!(log.all(), ["shop start"]);
    });
}

#[test]
fn a_library_runs_without_processes() {
    everywhere(async |_| {
        application::start(ApplicationSpec::library("units"), Permanent).await.unwrap();
        assert_eq!(running(), ["units"]);
        application::stop("units").await.unwrap();
        assert_eq!(running(), [""; 0]);
    });
}

// ---- processes ---------------------------------------------------------------------------------------------------------

#[test]
fn ap22_whatever_descends_from_the_start_belongs_to_the_application() {
    everywhere(async |mut me: Me| {
        let log = Log::default();
        let pids: Log<Pid> = Log::default();
        let found = pids.clone();
        let spawns = move || {
            let found = found.clone();
            async move {
                process::spawn(async move |mut mailbox: Mailbox<()>| {
                    let inner = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
                    found.add(inner.pid());
                    mailbox.receive().await;
                });
                {}
                Ok(())
            }
        };
        application::start(script("shop", &log).on_start(spawns).spec(), Temporary).await.unwrap();
        while pids.all().is_empty() {
            process::yield_now().await;
        }
        let (inner, top) = (pids.all()[0], application::get_supervisor("shop").unwrap());
        assert_eq!(application::get_application(inner).as_deref(), Some("shop"));
        assert_eq!(application::get_application(top).as_deref(), Some("shop"));
        assert_eq!(application::get_application(me.pid()), None);
        let children = supervisor::which_children(top).await.unwrap();
        let supervisor::ChildStatus::Running(worker) = children[0].status else { panic!("{children:?}") };
        assert_eq!(application::get_application(worker).as_deref(), Some("shop"));
        // It was linked with nobody, and is gone with the rest.
        application::stop("shop").await.unwrap();
        assert!(!process::is_alive(inner));
        assert_eq!(application::get_application(inner), None);
        nothing(&mut me);
    });
}

#[test]
fn ap22_an_application_that_a_process_of_another_one_starts_is_on_its_own() {
    everywhere(async |_| {
        let log = Log::default();
        let inner = script("inner", &log).spec();
        let start = move || {
            let inner = inner.clone();
            async move { Ok(application::start(inner, Temporary).await?) }
        };
        application::start(script("outer", &log).on_start(start).spec(), Temporary).await.unwrap();
        let top = application::get_supervisor("inner").unwrap();
        assert_eq!(application::get_application(top).as_deref(), Some("inner"));
        application::stop("outer").await.unwrap();
        assert_eq!(running(), ["inner"]);
        assert!(process::is_alive(top));
    });
}

#[test]
fn ap23_get_supervisor_finds_the_top_process_and_none_of_what_has_none() {
    everywhere(async |_| {
        let log = Log::default();
        assert_eq!(application::get_supervisor("shop"), None);
        application::load(script("shop", &log).spec()).unwrap();
        assert_eq!(application::get_supervisor("shop"), None);
        application::start("shop", Temporary).await.unwrap();
        let top = application::get_supervisor("shop").unwrap();
        assert_eq!(supervisor::is_supervisor(top), Some(true));
        application::start(ApplicationSpec::library("units"), Temporary).await.unwrap();
        assert_eq!(application::get_supervisor("units"), None);
        application::stop("shop").await.unwrap();
        assert_eq!(application::get_supervisor("shop"), None);
    });
}

// ---- phases --------------------------------------------------------------------------------------------------------------

#[test]
fn ap24_start_phases_run_in_order_over_the_application_and_then_those_it_includes() {
    everywhere(async |_| {
        let log = Log::default();
        let deep = script("deep", &log).spec().start_phases(["open"]);
        let part = script("part", &log).spec().start_phases(["open", "warm"]).included(deep);
        let shop = script("shop", &log).spec().start_phases(["warm", "open", "greet"]).included(part);
        application::start(shop, Temporary).await.unwrap();
        let expected = [
            "shop start",
            "shop phase warm",
            "part phase warm",
            "shop phase open",
            "part phase open",
            "deep phase open",
            "shop phase greet",
        ];
        assert_eq!(log.all(), expected);
        let error = application::start("part", Temporary).await.unwrap_err();
        let expected =
            StartApplicationError::Included { application: "part".to_owned(), by: "shop".to_owned() };
        assert_eq!(error, expected);
    });
}

#[test]
fn ap24_a_phase_that_fails_stops_the_tree_and_fails_the_start() {
    everywhere(async |_| {
        let log = Log::default();
        let fails =
            |phase: String| async move { if phase == "two" { Err(Crash::msg("no")) } else { Ok(()) } };
        let shop = script("shop", &log).on_phase(fails).spec().start_phases(["one", "two", "three"]);
        let error = application::start(shop, Temporary).await.unwrap_err();
        assert_eq!(error.to_string(), "the start phase \"two\" of the application \"shop\" failed: no");
        assert_eq!(log.all(), ["shop start", "shop phase one", "shop phase two", "shop worker down"]);
        assert_eq!(running(), [""; 0]);
    });
}

// ---- loading -------------------------------------------------------------------------------------------------------------

#[test]
fn ap25_one_application_of_a_name_is_loaded_and_none_that_runs_is_unloaded() {
    everywhere(async |_| {
        let log = Log::default();
        let shop = script("shop", &log).spec().included(script("part", &log).spec());
        application::load(shop.clone()).unwrap();
        assert_eq!(application::load(shop.clone()), Err(LoadError::AlreadyLoaded("shop".to_owned())));
        let other = script("other", &log).spec().included(script("part", &log).spec());
        assert_eq!(application::load(other), Err(LoadError::AlreadyLoaded("part".to_owned())));
        assert_eq!(application::spec("other"), None);
        let included = LoadError::Included { application: "part".to_owned(), by: "shop".to_owned() };
        assert_eq!(application::unload("part"), Err(included));
        application::start("shop", Temporary).await.unwrap();
        assert_eq!(application::unload("shop"), Err(LoadError::Running("shop".to_owned())));
        application::stop("shop").await.unwrap();
        assert_eq!(application::unload("shop"), Ok(()));
        assert_eq!(application::unload("shop"), Err(LoadError::NotLoaded("shop".to_owned())));
        assert!(application::loaded_applications().is_empty());
        let error = application::start("shop", Temporary).await.unwrap_err();
        assert_eq!(error.to_string(), "the application \"shop\" is not loaded");
    });
}

#[test]
fn ap26_a_bad_specification_is_refused_and_says_what_is_wrong() {
    everywhere(async |_| {
        let log = Log::default();
        let part = || script("part", &log).spec();
        let bad = [
            (ApplicationSpec::library(""), "its name must not be empty, and must not have a dot"),
            (ApplicationSpec::library("a.b"), "its name must not be empty, and must not have a dot"),
            (ApplicationSpec::library("a").application("a"), "it depends on itself"),
            (
                ApplicationSpec::library("a").application("b").optional_application("b"),
                "it depends on \"b\" twice",
            ),
            (ApplicationSpec::library("a").included(part()).included(part()), "it includes \"part\" twice"),
            (ApplicationSpec::library("part").included(part()), "it includes itself"),
            (
                ApplicationSpec::library("a").included(part()).application("part"),
                "it depends on \"part\", which it includes",
            ),
            (script("a", &log).spec().start_phases(["x", "y", "x"]), "it has the start phase \"x\" twice"),
            (
                ApplicationSpec::library("a").start_phases(["x"]),
                "it has start phases, and no callbacks to run them",
            ),
            (
                ApplicationSpec::library("a").env("x..y", 1),
                "\"x..y\" is no key: it is empty, or has an empty part",
            ),
        ];
        for (spec, problem) in bad {
            let error = application::load(spec.clone()).unwrap_err();
            let LoadError::BadApplication(found) = &error else { panic!("{error}") };
            assert_eq!((found.name.as_str(), found.problem.as_str()), (spec.name(), problem));
            assert_eq!(application::start(spec, Temporary).await, Err(StartApplicationError::Load(error)));
        }
        assert!(application::loaded_applications().is_empty());
    });
}

// ---- environments --------------------------------------------------------------------------------------------------------

fn config(pairs: [(&str, i64); 2]) -> EnvConfig {
    let table = pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    EnvConfig { files: [("shop".to_owned(), table)].into(), ..EnvConfig::default() }
}

#[test]
fn ap17_a_load_makes_the_environment_anew_and_persistent_values_survive_it() {
    everywhere(async |_| {
        application::change_config(config([("file", 2), ("both", 2)])).await.unwrap();
        application::put_env("shop", "plain", 3).unwrap();
        application::put_env_persistent("shop", "both", 3).unwrap();
        application::put_env_persistent("shop", "kept", 3).unwrap();
        assert_eq!(application::fetch_env("shop", "plain"), Ok(3));
        let shop =
            || ApplicationSpec::library("shop").env("plain", 1).env("kept", 1).env("file", 1).env("own", 1);
        for _ in 0..2 {
            application::load(shop()).unwrap();
            let read = |key| application::get_env::<i64>("shop", key).unwrap();
            assert_eq!(
                [read("plain"), read("kept"), read("file"), read("both"), read("own")],
                [1, 3, 2, 3, 1].map(Some)
            );
            application::put_env("shop", "plain", 4).unwrap();
            application::unload("shop").unwrap();
            assert!(application::get_all_env("shop").is_empty());
        }
        assert_eq!(application::delete_env("shop", "kept"), None);
        application::load(shop()).unwrap();
        assert_eq!(application::fetch_env("shop", "kept"), Ok(1));
        assert_eq!(application::delete_env("shop", "kept"), Some(1.into()));
    });
}

#[test]
fn ap20_bad_values_are_refused_together_with_the_good_ones_among_them() {
    everywhere(async |_| {
        let refused = |config: &[(&str, &[(&str, i64)])]| {
            let config = config.iter().map(|(name, pairs)| (*name, pairs.iter().copied()));
            let error = application::put_all_env(config).unwrap_err().to_string();
            assert!(application::get_all_env("shop").is_empty());
            error
        };
        let good: &[_] = &[("port", 80)];
        assert_eq!(refused(&[("shop", good), ("shop", good)]), "shop.*: given twice");
        assert_eq!(refused(&[("shop", &[("port", 80), ("port", 81)])]), "shop.port: given twice");
        assert_eq!(
            refused(&[("shop", &[("pool.size", 1), ("pool", 2)])]),
            "shop.pool: overlaps with \"pool.size\""
        );
        assert_eq!(refused(&[("shop", good), ("", good)]), ".port: an application's name must not be empty");
        let no_key = "\"pool.\" is no key: it is empty, or has an empty part";
        assert_eq!(refused(&[("shop", good), ("till", &[("pool.", 1)])]), format!("till.pool.: {no_key}"));
        assert!(application::put_env("shop", "", 1).is_err());
        assert!(application::put_env_persistent("shop", ".x", 1).is_err());
        application::put_all_env([("shop", [("port", 80), ("ports", 81)])]).unwrap();
        assert_eq!(application::get_all_env("shop").len(), 2);
    });
}

#[test]
fn ap21_a_running_application_is_told_what_has_changed_in_its_environment_and_only_then() {
    everywhere(async |_| {
        let log = Log::default();
        application::change_config(config([("same", 1), ("other", 1)])).await.unwrap();
        application::start(script("till", &log).spec(), Temporary).await.unwrap();
        application::start(script("shop", &log).spec().env("own", 1), Temporary).await.unwrap();
        application::change_config(config([("same", 1), ("other", 1)])).await.unwrap();
        assert_eq!(log.all(), ["till start", "shop start"]);
        application::change_config(config([("other", 2), ("more", 3)])).await.unwrap();
        // It is told when the environment is as it is to be.
        assert_eq!(log.all()[2..], ["shop change {\"other\": Integer(2)} {\"more\": Integer(3)} [\"same\"]"]);
        assert_eq!(application::fetch_env("shop", "other"), Ok(2));
        assert_eq!(application::get_all_env("shop").len(), 3);
    });
}

#[test]
fn ap21_a_config_change_that_fails_is_told_and_the_application_goes_on() {
    everywhere(async |_| {
        let log = Log::default();
        let fails = async || Err(Crash::msg("cannot"));
        application::start(script("shop", &log).on_change(fails).spec(), Temporary).await.unwrap();
        let panics = async || planned("oops");
        application::start(script("till", &log).on_change(panics).spec(), Temporary).await.unwrap();
        let mut new = config([("a", 1), ("b", 2)]);
        new.files.insert("till".to_owned(), new.files["shop"].clone());
        let error = application::change_config(new).await.unwrap_err();
        assert_eq!(error.failed[0], ("shop".to_owned(), ExitReason::error("cannot")));
        assert!(is_planned(&error.failed[1].1, "oops"));
        assert_eq!(running(), ["shop", "till"]);
        application::stop("till").await.unwrap();
        assert_eq!(application::fetch_env("shop", "a"), Ok(1));
    });
}

#[test]
fn a_name_in_the_configuration_that_means_nothing_is_reported_once_and_no_error() {
    let told = Events::default();
    told.during(|| {
        run(Run::Simulated { seed: 0, path: CallPath::Adaptive }, async |_| {
            let mut config = config([("a", 1), ("b", 2)]);
            config.variables = [("shpo".to_owned(), EnvTable::new())].into();
            application::change_config(config).await.unwrap();
            for _ in 0..2 {
                let shop = ApplicationSpec::library("shop");
                application::ensure_all_started([shop], Temporary, Mode::Serial).await.unwrap();
            }
            assert_eq!(application::unknown_applications(), ["shpo"]);
        });
    });
    let reports = told.take("purlin::application");
    let unknown: Vec<&String> = reports.iter().filter(|report| report.contains("not loaded")).collect();
    assert!(unknown.len() == 1 && unknown[0].contains("shpo"), "{reports:?}");
}

//! Proves that configurations from files, variables and command lines reach applications, and that a bad one is told with its place.
#![cfg(feature = "config")]
#![forbid(unsafe_code)]

use purlin::application::{EnvTable, EnvValue};
use purlin::config::{Config, ConfigError};
use purlin::prelude::*;

fn refused(text: &str) -> String {
    Config::new().text("app.toml", text).unwrap_err().to_string()
}

#[test]
fn ap18_later_files_are_merged_over_earlier_ones_by_application_and_key_at_any_depth() {
    let config = Config::new()
        .text(
            "one.toml",
            "[shop]\nport = 80\nhosts = ['a', 'b']\n[shop.pool]\nsize = 1\nlimits = { low = 1, high = 2 }\n",
        )
        .and_then(|config| {
            config.text("two.toml", "[shop]\nhosts = ['c']\npool.limits.high = 9\n[till]\nopen = true\n")
        });
    let files = config.unwrap().into_env().files;
    let shop = EnvValue::Table(files["shop"].clone());
    assert_eq!(shop.get("port"), Some(&80.into()));
    assert_eq!(shop.get("hosts"), Some(&vec!["c"].into()));
    assert_eq!(shop.get("pool.size"), Some(&1.into()));
    assert_eq!(shop.get("pool.limits.low"), Some(&1.into()));
    assert_eq!(shop.get("pool.limits.high"), Some(&9.into()));
    assert_eq!(files["till"]["open"], true.into());
}

#[test]
fn every_kind_of_value_is_read() {
    let text = "[a]\nb = true\ni = 0x10\nj = -1_000\nf = 2.5\nt = \"x\"\nl = [1, [2]]\nd = 2024-05-06\nn = { k = 1 }\n[[a.many]]\nx = 1\n";
    let files = Config::new().text("app.toml", text).unwrap().into_env().files;
    let expected: EnvTable = [
        ("b", true.into()),
        ("i", 16.into()),
        ("j", EnvValue::from(-1000)),
        ("f", 2.5.into()),
        ("t", "x".into()),
        ("l", vec![EnvValue::from(1), vec![2].into()].into()),
        ("d", "2024-05-06".into()),
        ("n", [("k", 1)].into()),
        ("many", vec![EnvValue::from([("x", 1)])].into()),
    ]
    .into_iter()
    .map(|(key, value): (&str, EnvValue)| (key.to_owned(), value))
    .collect();
    assert_eq!(files["a"], expected);
}

#[test]
fn a_bad_file_is_told_with_file_line_and_key() {
    let error = refused("[shop]\nname = 'x'\nport = = 80\n");
    assert!(error.starts_with("app.toml:3: port: "), "{error}");
    assert!(refused("[shop\n").starts_with("app.toml:1: "), "{}", refused("[shop\n"));
    let error = refused("[shop]\nport = 80\nport = 81\n");
    assert!(error.starts_with("app.toml:3: port: "), "{error}");
    let error = refused("[shop]\npool.sizes = [1,\n 99999999999999999999]\n");
    assert_eq!(error, "app.toml:3: shop.pool.sizes[1]: the integer 99999999999999999999 is too large");
    let error = Config::new().file("/no/such/file.toml").unwrap_err();
    assert_eq!((error.name.as_str(), error.line), ("/no/such/file.toml", None));
}

#[test]
fn variables_name_application_and_keys_and_others_are_left_alone() {
    let variables = [
        ("PURLIN_SHOP__PORT", "80"),
        ("PURLIN_SHOP__POOL__MAX_SIZE", "7"),
        ("PURLIN_SHOP__POOL__HOSTS", "[\"a\"]"),
        ("PURLIN_SHOP__VSN", "1.2.3"),
        ("PURLIN_SHOP__NOTE", "two words"),
        ("PURLIN_SIM_SEED", "9"),
        ("HOME", "/root"),
    ];
    let made = Config::new().variables_from(variables).unwrap().into_env();
    assert!(made.files.is_empty() && made.variables.len() == 1);
    let shop = EnvValue::Table(made.variables["shop"].clone());
    assert_eq!(shop.get("port"), Some(&80.into()));
    assert_eq!(shop.get("pool.max_size"), Some(&7.into()));
    assert_eq!(shop.get("pool.hosts"), Some(&vec!["a"].into()));
    assert_eq!(shop.get("vsn"), Some(&"1.2.3".into()));
    assert_eq!(shop.get("note"), Some(&"two words".into()));
    let error = Config::new().variables_from([("PURLIN_SHOP__", "1")]).unwrap_err();
    assert_eq!(error.to_string(), "PURLIN_SHOP__: it does not name an application and a key");
}

#[test]
fn assignments_are_the_command_line() {
    let made = Config::new().assignments(["shop.pool.size=10", "shop.name = big shop"]).unwrap().into_env();
    let shop = EnvValue::Table(made.command_line["shop"].clone());
    assert_eq!((shop.get("pool.size"), shop.get("name")), (Some(&10.into()), Some(&"big shop".into())));
    for wrong in ["shop.port", "port=80", ".port=80", "shop.=80", "=80"] {
        assert!(Config::new().assignments([wrong]).is_err(), "{wrong}");
    }
}

#[purlin::main]
async fn applies() -> Result<()> {
    let config = || -> Result<Config, ConfigError> {
        let config = Config::new().text("app.toml", "[shop]\na = 2\nb = 2\nc = 2\n[shpo]\na = 1\n")?;
        config.variables_from([("PURLIN_SHOP__A", "3"), ("PURLIN_SHOP__B", "3")])?.assignments(["shop.a=4"])
    };
    config()?.apply().await?;
    application::load(ApplicationSpec::library("shop").env("c", 1).env("d", 1))?;
    let read = |key| application::fetch_env::<i64>("shop", key);
    assert_eq!([read("a"), read("b"), read("c"), read("d")], [4, 3, 2, 1].map(Ok));
    assert_eq!(application::unknown_applications(), ["shpo"]);
    Ok(())
}

#[test]
fn ap17_the_command_line_wins_over_variables_those_over_files_and_those_over_defaults() {
    assert_eq!(applies(), std::process::ExitCode::SUCCESS);
}

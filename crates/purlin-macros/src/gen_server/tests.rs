//! Expansions as a whole: what is written, and what is refused with which words.

use super::*;

fn expansion(item: &str) -> String {
    let tokens = expand(TokenStream::new(), item.parse().unwrap());
    syn::parse2::<syn::File>(tokens.clone()).unwrap_or_else(|error| panic!("{error}: {tokens}"));
    tokens.to_string()
}

/// The texts of all `compile_error!`s.
fn errors(item: &str) -> Vec<String> {
    let expansion = expansion(item);
    expansion
        .split("compile_error")
        .skip(1)
        .map(|rest| rest.split('"').nth(1).unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_server_without_mistakes_has_no_error_and_no_unsafe() {
    let text = expansion(
        "impl<T: Clone> Cache<T> where T: Send + 'static {
            fn init() -> Self { Cache::new() }
            #[call] pub fn get(&self, key: u64) -> Option<T> { None }
            #[cast] fn put(&mut self, value: T) {}
            #[info] fn down(&mut self, down: Down) {}
            fn helper(&self) {}
        }",
    );
    for part in
        ["HandleRead", "HandleCast", "HandleInfo", "impl < T : Clone > dyn CacheClient < T >", "fn helper"]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("unsafe") && !text.contains("compile_error"), "{text}");
}

#[test]
fn every_mistake_of_a_block_is_reported_at_once() {
    let found = errors(
        "impl Counter {
            #[call] fn stop(&mut self) {}
            #[call] #[cast] fn both(&mut self) {}
            #[cast] fn put(&mut self, key: &str) {}
            #[info] fn none(&mut self) {}
            #[handle_info] fn old(&mut self, _: Tick) {}
        }",
    );
    let starts = [
        "every `Ref` and `Name` has a method `stop` already",
        "one attribute for each method: it is `#[call]` already",
        "an argument goes from one process to another",
        "`#[info]` takes one message",
        "write `#[info]`",
        "`Counter` has no `init`",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for start in starts {
        assert!(found.iter().any(|text| text.starts_with(start)), "{start}: {found:#?}");
    }
}

#[test]
fn a_second_init_is_refused_and_left_out() {
    let item = "impl Counter { fn init() -> Self { Counter } fn init(start: i64) -> Self { Counter } }";
    assert_eq!(
        errors(item),
        ["a second `init`: a server is made in one way; let the arguments tell the cases apart"]
    );
    assert_eq!(expansion(item).matches("-> Self {").count(), 1);
}

#[test]
fn alternatives_of_conditional_compilation_are_no_duplicates() {
    let item = "impl Counter {
        #[cfg(unix)] fn init() -> Self { Counter }
        #[cfg(not(unix))] fn init(start: i64) -> Self { Counter }
        #[cfg(unix)] #[info] fn tick(&mut self, _: Tick) {}
        #[cfg(not(unix))] #[info] fn tick(&mut self, _: Tick) {}
    }";
    assert_eq!(errors(item), [""; 0]);
}

#[test]
fn attributes_on_the_wrong_item_say_where_they_belong() {
    assert_eq!(
        errors("struct Counter;"),
        ["`#[gen_server]` belongs on an `impl` block: `impl Counter { .. }`"]
    );
    assert_eq!(
        errors("impl Default for Counter { }"),
        ["`#[gen_server]` belongs on the type's own block: `impl Counter { .. }`"]
    );
    assert!(errors("impl<'a> Counter<'a> { }")[0].contains("cannot borrow"));
}

#[test]
fn what_is_returned_to_nobody_is_refused() {
    let cast = |output: &str| {
        errors(&format!("impl C {{ fn init() -> Self {{ C }} #[cast] fn put(&mut self) {output} {{}} }}"))
    };
    assert_eq!(cast(""), [""; 0]);
    assert_eq!(cast("-> Result<(), Crash>"), [""; 0]);
    assert!(cast("-> i64")[0].starts_with("nobody waits for what `#[cast]` returns"));
    assert!(cast("-> Result<i64, Crash>")[0].starts_with("nobody waits"));
    assert!(cast("-> Reply<()>")[0].starts_with("nobody waits"));
}

//! `#[gen_server]`: from an `impl` block to a server.
//!
//! `model` reads the block (with `signature` for what a method takes, `shape` for what it returns and `reserved` for its name), `emit` writes
//! the trait impls, `client` the methods of `Ref` and `Name`.

mod client;
mod emit;
mod model;
mod reserved;
mod shape;
mod signature;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, Ident, ItemImpl, Path, Result};

use crate::options;

/// What the attribute's options say.
struct Options {
    /// The crate `purlin`.
    krate: Path,
    /// The name of the trait with the client methods.
    client: Option<Ident>,
}

impl Options {
    fn parse(tokens: TokenStream) -> Result<Options> {
        let mut read = Options { krate: options::default_path("purlin"), client: None };
        for entry in options::parse(tokens)? {
            match entry.name.to_string().as_str() {
                "crate" => read.krate = entry.path("::purlin")?,
                "client" => read.client = Some(entry.ident("CounterClient")?),
                _ => return Err(entry.unknown("`client` and `crate`")),
            }
        }
        Ok(read)
    }
}

/// The whole expansion. After a mistake, everything that is right is still written, so that it causes no second error.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = match Options::parse(options) {
        Ok(options) => options,
        Err(error) => {
            let error = error.to_compile_error();
            return quote!(#item #error);
        },
    };
    let block = match syn::parse2::<ItemImpl>(item.clone()) {
        Ok(block) => block,
        // Not an `impl` block, or one that does not parse: rustc says the latter better than we could.
        Err(_) if is_impl(&item) => return item,
        Err(_) => {
            let error = Error::new(
                proc_macro2::Span::call_site(),
                "`#[gen_server]` belongs on an `impl` block: `impl Counter { .. }`",
            );
            let error = error.to_compile_error();
            return quote!(#item #error);
        },
    };
    let mut mistakes = model::Mistakes::default();
    match model::read(block, &mut mistakes) {
        Ok(server) => {
            let generated = emit::server(&server, &options);
            let (block, errors) = (&server.block, mistakes.into_tokens());
            quote!(#block #generated #errors)
        },
        Err(block) => {
            let errors = mistakes.into_tokens();
            let block = block.to_token_stream();
            quote!(#block #errors)
        },
    }
}

fn is_impl(item: &TokenStream) -> bool {
    item.clone()
        .into_iter()
        .any(|token| matches!(token, proc_macro2::TokenTree::Ident(ident) if ident == "impl"))
}

#[cfg(test)]
mod tests;

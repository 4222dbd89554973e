//! `#[purlin::main]` and `#[purlin::test]`: an async function becomes one that builds a runtime and a node, and runs the former on them.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{Error, FnArg, ItemFn, PathArguments, Result, Type};

use crate::options;

pub(crate) fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(item, |function| {
        if let Some(input) = function.sig.inputs.first() {
            return Err(Error::new_spanned(input, "`main` takes no arguments"));
        }
        let mut krate = options::default_path("purlin");
        let (mut workers, mut current_thread, mut name) = (None, false, None);
        for entry in options::parse(options)? {
            match entry.name.to_string().as_str() {
                "worker_threads" => workers = Some((entry.number()?, entry.name.span())),
                "flavor" => {
                    current_thread = match entry.text("current_thread")?.as_str() {
                        "current_thread" => true,
                        "multi_thread" => false,
                        _ => {
                            let message = "`flavor` is \"multi_thread\" or \"current_thread\"";
                            return Err(Error::new(entry.name.span(), message));
                        },
                    }
                },
                "name" => name = Some(entry.text("shop")?),
                "crate" => krate = entry.path("::purlin")?,
                _ => return Err(entry.unknown("`worker_threads`, `flavor`, `name` and `crate`")),
            }
        }
        if let Some((_, span)) = workers.filter(|_| current_thread) {
            return Err(Error::new(span, "a runtime of the flavor \"current_thread\" has no workers"));
        }
        let workers = workers.map(|(workers, _)| quote!(.worker_threads(#workers)));
        let flavor = current_thread.then(|| quote!(.current_thread()));
        let name = name.map(|name| quote!(.name(#name)));
        let ident = &function.sig.ident;
        let program = quote!(#krate::__private::Program::new() #workers #flavor #name);
        Ok((quote!(-> #krate::__private::ExitCode), TokenStream::new(), quote!(#program.run(#ident()))))
    })
}

pub(crate) fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(item, |function| {
        let mut krate = options::default_path("purlin_test");
        let (mut sim, mut seeds, mut workers, mut with, mut leaks) = (false, None, None, None, false);
        for entry in options::parse(options)? {
            match entry.name.to_string().as_str() {
                "sim" => sim = entry.flag()?,
                "seeds" => seeds = Some((entry.number()?, entry.name.span())),
                "with" => with = Some((entry.path("rough")?, entry.name.span())),
                "allow_leaks" => leaks = entry.flag()?,
                "worker_threads" => workers = Some((entry.number()?, entry.name.span())),
                "crate" => krate = entry.path("::purlin_test")?,
                _ => {
                    return Err(
                        entry.unknown("`sim`, `seeds`, `with`, `allow_leaks`, `worker_threads` and `crate`")
                    );
                },
            }
        }
        let simulated_only = seeds.as_ref().map(|(_, span)| *span).or(with.as_ref().map(|(_, span)| *span));
        if let Some(span) = simulated_only.filter(|_| !sim) {
            return Err(Error::new(
                span,
                "this is for the simulated runtime: write `#[purlin::test(sim, seeds = ..)]`",
            ));
        }
        if let Some((_, span)) = workers.filter(|_| sim) {
            return Err(Error::new(span, "the simulated runtime has one thread"));
        }
        let arguments = Arguments::read(function, sim)?;
        let ident = &function.sig.ident;
        let name = quote!(::core::concat!(::core::module_path!(), "::", ::core::stringify!(#ident)));
        let mut output = TokenStream::new();
        let (given, messages) = (&arguments.given, &arguments.messages);
        let allow = leaks.then(|| quote!(__test.allow_leaks();));
        let call = if sim {
            let seeds = match seeds {
                Some((seeds, _)) => quote!(::core::option::Option::Some(#seeds)),
                None => quote!(::core::option::Option::None),
            };
            let with = with.map_or_else(|| quote!(|simulation| simulation), |(with, _)| quote!(#with));
            quote!(#krate::__private::run_sim(#name, #seeds, #with,
            |__sim, __test, __mailbox: #krate::__private::Mailbox<#messages>| {
                #allow
                #ident(#(#given),*)
            }))
        } else {
            let workers = workers.map_or(2, |(workers, _)| workers);
            if given.is_empty() {
                output = function.sig.output.to_token_stream();
                quote!(#krate::__private::run_plain(#name, #workers, #ident()))
            } else {
                quote!(#krate::__private::run_process(#name, #workers,
                |__test, __mailbox: #krate::__private::Mailbox<#messages>| {
                    #allow
                    #ident(#(#given),*)
                }))
            }
        };
        Ok((output, quote!(#[::core::prelude::v1::test]), call))
    })
}

/// What a test takes, told by the names of the types.
struct Arguments {
    /// The variables to call the function with, in its order.
    given: Vec<TokenStream>,
    /// The type of the messages of its mailbox.
    messages: TokenStream,
}

impl Arguments {
    fn read(function: &ItemFn, sim: bool) -> Result<Arguments> {
        let mut arguments = Arguments { given: Vec::new(), messages: quote!(()) };
        let mut seen = Vec::new();
        for input in &function.sig.inputs {
            let known = match input {
                FnArg::Typed(argument) => match &*argument.ty {
                    Type::Path(path) => path.path.segments.last(),
                    _ => None,
                },
                FnArg::Receiver(_) => None,
            };
            let kind = known.map(|segment| segment.ident.to_string()).unwrap_or_default();
            let given = match kind.as_str() {
                "Sim" if sim => quote!(__sim),
                "Test" => quote!(__test),
                "Mailbox" => {
                    if let Some(PathArguments::AngleBracketed(generic)) =
                        known.map(|segment| &segment.arguments)
                        && let Some(messages) = generic.args.first()
                    {
                        arguments.messages = messages.to_token_stream();
                    }
                    quote!(__mailbox)
                },
                "Sim" => {
                    let message = "only a simulated test takes a `Sim`: write `#[purlin::test(sim)]`";
                    return Err(Error::new_spanned(input, message));
                },
                _ => {
                    let message = if sim {
                        "a simulated test takes `sim: Sim`, `test: Test`, `mailbox: Mailbox<M>`, or some of them"
                    } else {
                        "a test takes `test: Test`, `mailbox: Mailbox<M>`, both, or nothing"
                    };
                    return Err(Error::new_spanned(input, message));
                },
            };
            if seen.contains(&kind) {
                return Err(Error::new_spanned(input, format!("a test takes one `{kind}`")));
            }
            seen.push(kind);
            arguments.given.push(given);
        }
        Ok(arguments)
    }
}

/// Puts the function into one of the same name, which calls it: `build` says what the outer one returns, its attributes, and its body. The
/// function stays as it is written, so that errors in it point to what a person wrote.
fn expand(
    item: TokenStream,
    build: impl FnOnce(&ItemFn) -> Result<(TokenStream, TokenStream, TokenStream)>,
) -> TokenStream {
    let mut function = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = error.to_compile_error();
            return quote!(#item #error);
        },
    };
    match check(&function).and_then(|()| build(&function)) {
        Ok((output, attributes, body)) => {
            let (outer, inner): (Vec<_>, Vec<_>) =
                std::mem::take(&mut function.attrs).into_iter().partition(|attribute| {
                    ["cfg", "doc", "ignore", "should_panic", "test"]
                        .iter()
                        .any(|name| attribute.path().is_ident(name))
                });
            let (vis, ident) =
                (std::mem::replace(&mut function.vis, syn::Visibility::Inherited), &function.sig.ident);
            quote! {
                #(#outer)*
                #attributes
                #vis fn #ident() #output {
                    #(#inner)*
                    #function
                    #body
                }
            }
        },
        Err(error) => {
            // An empty function of that name keeps rustc from reporting that there is none.
            let (error, ident) = (error.to_compile_error(), &function.sig.ident);
            quote_spanned!(ident.span()=> #[allow(dead_code)] fn #ident() {} #error)
        },
    }
}

/// Refuses functions that are not meant.
fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        return Err(Error::new_spanned(
            signature.fn_token,
            format!("`{}` must be async: write `async fn`", signature.ident),
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &signature.generics,
            format!("`{}` cannot be generic", signature.ident),
        ));
    }
    Ok(())
}

//! What a method takes: its receiver, what the message carries, and the context at the end.

use std::fmt::Write;

use proc_macro2::Span;
use quote::{ToTokens, format_ident};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Error, FnArg, Ident, Lifetime, ParenthesizedGenericArguments, Pat, Result, TraitBound, Type, TypeBareFn,
    TypeImplTrait, TypeReference,
};

use super::shape::{last_segment, ungroup};

/// How a method takes the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// Not at all.
    None,
    /// `&self`.
    Shared,
    /// `&mut self`.
    Exclusive,
}

/// One argument, as the client method names it.
pub(super) struct Arg {
    pub(super) name: Ident,
    pub(super) ty: Type,
}

/// The context that a method asks for with its last argument.
pub(super) struct Context {
    /// `&ReadCx<Self>`, or `&Cx<Self>`, which is no more.
    pub(super) read_only: bool,
    pub(super) span: Span,
}

/// A method's inputs, sorted.
pub(super) struct Inputs {
    pub(super) access: Access,
    pub(super) args: Vec<Arg>,
    pub(super) context: Option<Context>,
}

/// Sorts the inputs of a method.
pub(super) fn inputs(signature: &syn::Signature) -> Result<Inputs> {
    refuse_forms(signature)?;
    let mut sorted = Inputs { access: Access::None, args: Vec::new(), context: None };
    let written: Vec<&Ident> = signature.inputs.iter().filter_map(written_name).collect();
    for input in &signature.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                let Type::Reference(reference) = ungroup(&receiver.ty) else {
                    let message =
                        "a message does not end the server: take `&mut self`, or `&self` to look only";
                    return Err(Error::new_spanned(receiver, message));
                };
                sorted.access =
                    if reference.mutability.is_some() { Access::Exclusive } else { Access::Shared };
            },
            FnArg::Typed(arg) => {
                if let Some(context) = &sorted.context {
                    return Err(Error::new(
                        context.span,
                        "the context comes last: move it behind the other arguments",
                    ));
                }
                if let Some(attribute) = arg.attrs.iter().find(|attribute| attribute.path().is_ident("cfg")) {
                    return Err(Error::new_spanned(
                        attribute,
                        "an argument cannot be conditional: put `#[cfg]` on the method",
                    ));
                }
                match context(&arg.ty)? {
                    Some(context) => sorted.context = Some(context),
                    None => {
                        let name = match written_name(input) {
                            Some(name) => name.clone(),
                            None => made_up_name(arg.pat.span(), sorted.args.len() + 1, &written),
                        };
                        sorted.args.push(Arg { name, ty: (*arg.ty).clone() });
                    },
                }
            },
        }
    }
    Ok(sorted)
}

/// Refuses what no callback can be.
fn refuse_forms(signature: &syn::Signature) -> Result<()> {
    let name = &signature.ident;
    if !signature.generics.params.is_empty() {
        let message =
            format!("`{name}` cannot be generic: a message has one type, known when the server is compiled");
        return Err(Error::new_spanned(&signature.generics, message));
    }
    if let Some(clause) = &signature.generics.where_clause {
        return Err(Error::new_spanned(
            clause,
            format!("`{name}` cannot have a `where`: put it on the `impl` block"),
        ));
    }
    if let Some(token) = &signature.unsafety {
        return Err(Error::new(
            token.span,
            format!("`{name}` cannot be `unsafe`: everybody may send the message"),
        ));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new_spanned(abi, format!("`{name}` must be an ordinary Rust function")));
    }
    Ok(())
}

/// Reads `&mut Cx<Self>`, `&Cx<Self>` or `&ReadCx<Self>`; `None` for any other type.
fn context(ty: &Type) -> Result<Option<Context>> {
    let (inner, mutable) = match ungroup(ty) {
        Type::Reference(reference) => (&*reference.elem, Some(reference.mutability.is_some())),
        other => (other, None),
    };
    let Some(segment) =
        last_segment(inner).filter(|segment| segment.ident == "Cx" || segment.ident == "ReadCx")
    else {
        return Ok(None);
    };
    let reads = segment.ident == "ReadCx";
    match mutable {
        None => Err(Error::new_spanned(
            ty,
            format!("the context is lent: write `{}`", if reads { "&ReadCx<Self>" } else { "&mut Cx<Self>" }),
        )),
        Some(true) if reads => Err(Error::new_spanned(
            ty,
            "a `ReadCx` is for looking: write `&ReadCx<Self>`, or `&mut Cx<Self>`",
        )),
        Some(mutable) => Ok(Some(Context { read_only: !mutable, span: ty.span() })),
    }
}

/// The name that an argument is written with, if its pattern is one.
fn written_name(input: &FnArg) -> Option<&Ident> {
    match input {
        FnArg::Typed(arg) => match &*arg.pat {
            Pat::Ident(pattern) => Some(&pattern.ident),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    }
}

/// The name that the `number`th argument, a pattern, has in the client method.
fn made_up_name(span: Span, number: usize, taken: &[&Ident]) -> Ident {
    let mut name = format_ident!("arg{number}", span = span);
    while taken.iter().any(|taken| **taken == name) {
        name = format_ident!("{name}_", span = span);
    }
    name
}

/// Refuses a type that borrows or has no name; `what` is the thing that has the type.
pub(super) fn owned(ty: &Type, what: What) -> Result<()> {
    let mut search = Borrows { what, found: None };
    search.visit_type(ty);
    search.found.map_or(Ok(()), Err)
}

/// What a type is the type of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// What a message carries.
    Argument,
    /// What comes back.
    Reply,
}

struct Borrows {
    what: What,
    found: Option<Error>,
}

impl Borrows {
    fn refuse(&mut self, at: &dyn ToTokens, rest: &str) {
        if self.found.is_none() {
            let what = if self.what == What::Argument { "an argument" } else { "a reply" };
            let message =
                format!("{what} goes from one process to another and must own what it carries: {rest}");
            self.found = Some(Error::new_spanned(at.to_token_stream(), message));
        }
    }
}

impl<'ast> Visit<'ast> for Borrows {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        if reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static") {
            visit::visit_type(self, &reference.elem);
            return;
        }
        let owned = match ungroup(&reference.elem) {
            Type::Slice(slice) => format!("Vec<{}>", text(&slice.elem)),
            Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
            Type::TraitObject(object) => format!("Box<{}>", text(object)),
            elem => text(elem),
        };
        let verb = if self.what == What::Argument { "take" } else { "return" };
        self.refuse(reference, &format!("{verb} `{owned}` instead of `{}`", text(reference)));
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.refuse(lifetime, "no lifetime but `'static` is long enough");
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        if self.found.is_none() {
            let what = if self.what == What::Argument { "an argument" } else { "a reply" };
            let boxed = format!("Box<dyn {}>", text(&ty.bounds));
            self.found = Some(Error::new_spanned(
                ty,
                format!("{what} has one type, known by name: write it, or `{boxed}`"),
            ));
        }
    }

    // The lifetimes of a function's own arguments are nobody's borrow: `Box<dyn Fn(&str) -> bool + Send>` is fine.
    fn visit_type_bare_fn(&mut self, _: &'ast TypeBareFn) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &'ast ParenthesizedGenericArguments) {}

    fn visit_trait_bound(&mut self, bound: &'ast TraitBound) {
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }
}

/// Tokens as a person would space them.
pub(super) fn text(tokens: &(impl ToTokens + ?Sized)) -> String {
    let mut spaced = String::new();
    let _ = write!(spaced, "{}", tokens.to_token_stream());
    for (from, to) in [
        (" < ", "<"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" :: ", "::"),
        (":: ", "::"),
        (" ::", "::"),
        ("& ", "&"),
        (" ,", ","),
    ] {
        spaced = spaced.replace(from, to);
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ty: &str) -> String {
        match owned(&syn::parse_str(ty).unwrap(), What::Argument) {
            Ok(()) => "fine".to_owned(),
            Err(error) => error.to_string().rsplit(": ").next().unwrap().to_owned(),
        }
    }

    #[test]
    fn borrowed_arguments_are_refused_with_the_owned_type_to_take() {
        assert_eq!(check("&str"), "take `String` instead of `&str`");
        assert_eq!(check("&[u8]"), "take `Vec<u8>` instead of `&[u8]`");
        assert_eq!(check("Option<&Order<u8>>"), "take `Order<u8>` instead of `&Order<u8>`");
        assert_eq!(check("Cow<'_, str>"), "no lifetime but `'static` is long enough");
        assert_eq!(check("impl Into<String>"), "write it, or `Box<dyn Into<String>>`");
    }

    #[test]
    fn static_references_and_function_types_own_enough() {
        assert_eq!(check("&'static str"), "fine");
        assert_eq!(check("Vec<&'static [u8]>"), "fine");
        assert_eq!(check("Box<dyn Fn(&str) -> bool + Send>"), "fine");
        assert_eq!(check("fn(&str) -> &str"), "fine");
        assert_eq!(check("Box<dyn for<'a> Parse<'a> + Send>"), "fine");
    }

    #[test]
    fn inputs_are_sorted_and_every_argument_gets_a_name() {
        let signature = syn::parse_quote!(fn put(&mut self, mut key: String, (a, b): (i32, i32), arg2: u8, cx: &mut Cx<Self>));
        let inputs = inputs(&signature).unwrap();
        assert_eq!(inputs.access, Access::Exclusive);
        assert!(inputs.context.is_some_and(|context| !context.read_only));
        assert_eq!(
            inputs.args.iter().map(|arg| arg.name.to_string()).collect::<Vec<_>>(),
            ["key", "arg2_", "arg2"]
        );
    }

    #[test]
    fn what_cannot_be_a_callback_is_refused_in_words() {
        let error = |signature: &str| {
            inputs(&syn::parse_str(signature).unwrap()).map(|_| ()).unwrap_err().to_string()
        };
        assert!(error("fn put<T>(&mut self, value: T)").contains("cannot be generic"));
        assert!(error("fn put(self)").contains("take `&mut self`"));
        assert!(error("unsafe fn put(&mut self)").contains("cannot be `unsafe`"));
        assert!(error("fn put(&mut self, cx: Cx<Self>)").contains("write `&mut Cx<Self>`"));
        assert!(error("fn put(&mut self, cx: &mut Cx<Self>, key: u8)").contains("comes last"));
    }
}

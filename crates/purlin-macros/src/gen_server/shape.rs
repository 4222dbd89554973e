//! Return types, peeled by how they are written: macros see tokens, not types.

use syn::{GenericArgument, Ident, PathArguments, PathSegment, ReturnType, Type};

/// What a handler's return type says.
#[derive(Clone)]
pub(super) enum Shape {
    /// `R`, or nothing.
    Plain(Option<Type>),
    /// `Result<R, Crash>`.
    OrCrash(Type),
    /// `Result<Reply<R>, Crash>`.
    OrLater(Type),
    /// `Reply<R>`.
    Later(Type),
}

/// Reads a handler's return type.
pub(super) fn peel(output: &ReturnType) -> Shape {
    let ReturnType::Type(_, ty) = output else { return Shape::Plain(None) };
    let ty = ungroup(ty);
    if let Some([ok, error]) = arguments(ty, "Result")
        && last_segment(error).is_some_and(|segment| segment.ident == "Crash")
    {
        return match arguments(ok, "Reply") {
            Some([reply]) => Shape::OrLater(reply.clone()),
            _ => Shape::OrCrash(ok.clone()),
        };
    }
    match arguments(ty, "Reply") {
        Some([reply]) => Shape::Later(reply.clone()),
        _ if is_unit(ty) => Shape::Plain(None),
        _ => Shape::Plain(Some(ty.clone())),
    }
}

/// What `init` returns.
pub(super) enum Made {
    /// `Self`.
    State,
    /// `Result<Self, E>`.
    Result,
    /// Nothing that a server can be.
    Nothing,
}

/// Reads the return type of the `init` of `server`.
pub(super) fn made(output: &ReturnType, server: &Ident) -> Made {
    let ReturnType::Type(_, ty) = output else { return Made::Nothing };
    match last_segment(ty).map(|segment| &segment.ident) {
        Some(name) if name == "Self" || name == server => Made::State,
        Some(name) if name == "Result" => Made::Result,
        _ => Made::Nothing,
    }
}

/// Is it a type that cannot be an alias of a `Result`, however it is imported?
pub(super) fn is_surely_no_result(ty: &Type) -> bool {
    const KNOWN: &[&str] = &[
        "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64",
        "u128", "usize", "String", "Self",
    ];
    match ungroup(ty) {
        Type::Path(path) => {
            path.path.get_ident().is_some_and(|ident| KNOWN.iter().any(|known| ident == known))
        },
        Type::Macro(_) => false,
        _ => true,
    }
}

/// `()`.
pub(super) fn is_unit(ty: &Type) -> bool {
    matches!(ungroup(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// The type without the invisible or visible parentheses around it.
pub(super) fn ungroup(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungroup(&group.elem),
        Type::Paren(paren) => ungroup(&paren.elem),
        _ => ty,
    }
}

/// The last segment of a type that is a path.
pub(super) fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ungroup(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// The `N` type arguments of `name<..>`.
fn arguments<'t, const N: usize>(ty: &'t Type, name: &str) -> Option<[&'t Type; N]> {
    let segment = last_segment(ty).filter(|segment| segment.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    let types = arguments.args.iter().map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.collect::<Option<Vec<_>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens;

    fn shape(output: &str) -> String {
        let text = |ty: Type| ty.to_token_stream().to_string();
        match peel(&syn::parse_str(output).unwrap()) {
            Shape::Plain(None) => "plain ()".to_owned(),
            Shape::Plain(Some(ty)) => format!("plain {}", text(ty)),
            Shape::OrCrash(ty) => format!("or crash {}", text(ty)),
            Shape::OrLater(ty) => format!("or later {}", text(ty)),
            Shape::Later(ty) => format!("later {}", text(ty)),
        }
    }

    #[test]
    fn a_crash_makes_the_difference_between_a_reply_and_a_failure() {
        assert_eq!(shape(""), "plain ()");
        assert_eq!(shape("-> ()"), "plain ()");
        assert_eq!(shape("-> i64"), "plain i64");
        assert_eq!(shape("-> Result<i64, String>"), "plain Result < i64 , String >");
        assert_eq!(shape("-> Result<i64, Crash>"), "or crash i64");
        assert_eq!(shape("-> std::result::Result<(), purlin::Crash>"), "or crash ()");
        assert_eq!(shape("-> (Result<i64, Crash>)"), "or crash i64");
        assert_eq!(shape("-> Result<Reply<i64>, Crash>"), "or later i64");
        assert_eq!(shape("-> purlin::Reply<i64>"), "later i64");
        assert_eq!(shape("-> Result<Result<i64, MyError>, Crash>"), "or crash Result < i64 , MyError >");
    }

    #[test]
    fn results_with_one_argument_are_left_to_the_alias_guard() {
        assert_eq!(shape("-> Result<i64>"), "plain Result < i64 >");
        assert!(!is_surely_no_result(&syn::parse_quote!(Result<i64>)));
        assert!(!is_surely_no_result(&syn::parse_quote!(Outcome)));
        assert!(is_surely_no_result(&syn::parse_quote!(i64)));
        assert!(is_surely_no_result(&syn::parse_quote!((i64, Outcome))));
    }
}

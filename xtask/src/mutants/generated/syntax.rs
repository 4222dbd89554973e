//! What the operators of `scan` ask of a piece of syntax: is it a yes or no, is it there for what it does, what could stand in its place.

use syn::{Attribute, BinOp, Expr, Item, Lit, ReturnType};

pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

pub(super) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

pub(super) fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// Whether an operator of its own makes the opposite of the expression.
pub(super) fn has_an_opposite(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(inner) => has_an_opposite(&inner.expr),
        Expr::Unary(unary) => matches!(unary.op, syn::UnOp::Not(_)) && has_an_opposite(&unary.expr),
        Expr::Binary(binary) => is_comparison(&binary.op),
        Expr::Lit(literal) => matches!(literal.lit, Lit::Bool(_)),
        _ => is_predicate(expr),
    }
}

pub(super) fn is_comparison(sign: &BinOp) -> bool {
    use BinOp::{Eq, Ge, Gt, Le, Lt, Ne};
    matches!(sign, Eq(_) | Ne(_) | Lt(_) | Le(_) | Gt(_) | Ge(_))
}

/// What stands for a binary operator that compares or computes. The second one of an order is its opposite.
pub(super) fn others(sign: &str) -> &'static [&'static str] {
    match sign {
        "==" => &["!="],
        "!=" => &["=="],
        "<" => &["<=", ">="],
        "<=" => &["<", ">"],
        ">" => &[">=", "<="],
        ">=" => &[">", "<"],
        "+" => &["-"],
        "-" => &["+"],
        "*" => &["/"],
        "/" | "%" => &["*"],
        "&" => &["|"],
        "|" | "^" => &["&"],
        "<<" => &[">>"],
        ">>" => &["<<"],
        _ => &[],
    }
}

pub(super) fn other_assignment(sign: &str) -> Option<&'static str> {
    Some(match sign {
        "+=" => "-=",
        "-=" => "+=",
        "*=" => "/=",
        "/=" | "%=" => "*=",
        "&=" => "|=",
        "|=" | "^=" => "&=",
        "<<=" => ">>=",
        ">>=" => "<<=",
        _ => return None,
    })
}

/// Whether it is a yes or no by its name.
pub(super) fn is_predicate(expr: &Expr) -> bool {
    let named = |name: &syn::Ident| {
        let name = name.to_string();
        ["is_", "has_", "contains_"].iter().any(|start| name.starts_with(start))
            || ["has", "contains"].contains(&name.as_str())
    };
    match expr {
        Expr::MethodCall(call) => named(&call.method),
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => path.path.segments.last().is_some_and(|last| named(&last.ident)),
            _ => false,
        },
        Expr::Macro(inner) => inner.mac.path.is_ident("matches"),
        _ => false,
    }
}

/// Whether the expression is there for what it does.
pub(super) fn is_effect(expr: &Expr) -> bool {
    match expr {
        Expr::Call(_) | Expr::MethodCall(_) | Expr::Assign(_) => true,
        Expr::Await(inner) => is_effect(&inner.base),
        Expr::Try(inner) => is_effect(&inner.expr),
        Expr::Paren(inner) => is_effect(&inner.expr),
        Expr::Binary(binary) => is_assignment(&binary.op),
        _ => false,
    }
}

fn is_assignment(sign: &BinOp) -> bool {
    use BinOp::{
        AddAssign, BitAndAssign, BitOrAssign, BitXorAssign, DivAssign, MulAssign, RemAssign, ShlAssign,
        ShrAssign, SubAssign,
    };
    matches!(
        sign,
        AddAssign(_)
            | SubAssign(_)
            | MulAssign(_)
            | DivAssign(_)
            | RemAssign(_)
            | BitAndAssign(_)
            | BitOrAssign(_)
            | BitXorAssign(_)
            | ShlAssign(_)
            | ShrAssign(_)
    )
}

/// Whether it calls into simulation.
pub(super) fn is_hook(expr: &Expr) -> bool {
    match expr {
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => path.path.segments.iter().any(|segment| segment.ident == "sim"),
            _ => false,
        },
        _ => false,
    }
}

pub(super) fn is_unit(output: &ReturnType) -> bool {
    match output {
        ReturnType::Default => true,
        ReturnType::Type(_, of) => matches!(&**of, syn::Type::Tuple(tuple) if tuple.elems.is_empty()),
    }
}

/// What a function of this type may return without having done anything.
pub(super) fn constants(output: &ReturnType) -> &'static [&'static str] {
    if is_unit(output) {
        return &[""];
    }
    let ReturnType::Type(_, of) = output else { return &[] };
    let syn::Type::Path(path) = &**of else { return &[] };
    let Some(last) = path.path.segments.last() else { return &[] };
    match last.ident.to_string().as_str() {
        "bool" => &["true", "false"],
        "Option" => &["None"],
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i32" | "i64" | "isize" => &["0", "1"],
        "Vec" => &["Vec::new()"],
        "String" => &["String::new()"],
        "Result" if of_unit(&last.arguments) => &["Ok(())"],
        _ => &[],
    }
}

/// Whether the first type argument is `()`.
fn of_unit(arguments: &syn::PathArguments) -> bool {
    let syn::PathArguments::AngleBracketed(arguments) = arguments else { return false };
    let first = arguments.args.first();
    matches!(first, Some(syn::GenericArgument::Type(syn::Type::Tuple(tuple))) if tuple.elems.is_empty())
}

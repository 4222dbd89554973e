//! Finds the places in a file where something can be done wrong mechanically: the mutation operators. Pure.
//!
//! | operator | what becomes of what |
//! |---|---|
//! | condition | of `if` and `while`, and of each part of a chain with `let`: the opposite; with a `let`: never |
//! | guard | of a `match` arm: always, and never |
//! | arm | of a `match` that has an arm `_`: never taken |
//! | comparison | `==` and `!=`; `<` to `<=` and `>=`, and so on |
//! | logic | `&&` and `\|\|` |
//! | predicate | `x.is_empty()`, `has(y)`, `matches!(..)`: the opposite |
//! | arithmetic | `+` and `-`, `*` and `/`, `&` and `\|`, `<<` and `>>`, also with `=` |
//! | literal | `true` and `false`; an integer one more, and one less |
//! | statement | a call or an assignment whose value nobody uses: left out |
//! | body | a function that returns `()`, `bool`, `Option`, an integer, `Result<(), _>`, `Vec` or `String`: a constant at once |
//!
//! Each is planted so that it is decided at run time and type-checks in nearly every place; what does not is found by the compiler and
//! left out. Not touched are tests, constants and statics, `const fn`, patterns, types, the insides of macros, implementations of
//! `Debug` and `Display`, and calls of `rt::sim`: what these do is how simulation explores, not what a program does.

use std::collections::BTreeMap;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, BinOp, Block, Expr, ImplItem, Item, Lit, Pat, Signature, Stmt, TraitItem};

use super::site::{Change, Piece, Site};
use super::syntax::{
    attributes, constants, has_an_opposite, has_let, is_comparison, is_effect, is_for_tests, is_hook,
    is_predicate, is_unit, other_assignment, others,
};

/// What is found in a file.
pub(super) struct Found {
    /// In the order of the text, as far as sites do not lie inside of each other.
    pub(super) sites: Vec<Site>,
    /// What was left out, by reason, and how often.
    pub(super) left_out: BTreeMap<&'static str, usize>,
}

/// All sites of a file.
///
/// # Errors
/// The file cannot be parsed.
pub(super) fn scan(text: &str) -> Result<Found, String> {
    let file = syn::parse_file(text).map_err(|error| {
        let start = error.span().start();
        format!("{}:{}: {error}", start.line, start.column + 1)
    })?;
    let mut scan =
        Scan { text, sites: Vec::new(), left_out: BTreeMap::new(), place: Vec::new(), unit: false };
    scan.visit_file(&file);
    Ok(Found { sites: scan.sites, left_out: scan.left_out })
}

struct Scan<'t> {
    text: &'t str,
    sites: Vec<Site>,
    left_out: BTreeMap<&'static str, usize>,
    /// The implementations and functions around.
    place: Vec<String>,
    /// Whether the expression or block looked at next has the value `()`.
    unit: bool,
}

fn range(node: &impl Spanned) -> Range<usize> {
    node.span().byte_range()
}

/// For people: white space is one blank, long ones have a gap.
fn shown(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// As many characters of an expression are shown.
const SHOWN: usize = 60;

impl Scan<'_> {
    fn source(&self, range: &Range<usize>) -> &str {
        &self.text[range.clone()]
    }

    fn shown(&self, node: &impl Spanned) -> String {
        shown(self.source(&range(node)))
    }

    fn leave_out(&mut self, why: &'static str) {
        *self.left_out.entry(why).or_default() += 1;
    }

    fn add(&mut self, operator: &'static str, range: Range<usize>, pieces: Vec<Piece>, changes: Vec<String>) {
        // An insertion behind a brace belongs to the line of the brace.
        let at = if range.is_empty() { range.start - 1 } else { range.start };
        let start = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        let line = self.text[start..].lines().next().unwrap_or_default().trim();
        let change = |change| Change {
            operator,
            place: self.place.join("::"),
            line: self.text[..at].matches('\n').count() + 1,
            text: line.to_owned(),
            change,
        };
        let changes = changes.into_iter().map(change).collect();
        self.sites.push(Site { range, changes, pieces });
    }

    /// The opposite of a boolean expression.
    fn flip(&mut self, operator: &'static str, expr: &Expr) {
        let range = range(expr);
        let pieces = vec![
            Piece::Text("(("),
            Piece::Part(range.clone()),
            Piece::Text(") != "),
            Piece::On,
            Piece::Text(")"),
        ];
        let change = format!("`{}` is the opposite", self.shown(expr));
        self.add(operator, range, pieces, vec![change]);
    }

    /// Something that is left out.
    fn skip(&mut self, range: Range<usize>) {
        let pieces = vec![
            Piece::Text("if !"),
            Piece::On,
            Piece::Text(" { "),
            Piece::Part(range.clone()),
            Piece::Text(" }"),
        ];
        let change = format!("`{}` is left out", shown(self.source(&range)));
        self.add("statement", range, pieces, vec![change]);
    }

    fn condition(&mut self, condition: &Expr) {
        match condition {
            Expr::Let(inner) => self.visit_expr(&inner.expr),
            Expr::Binary(chain) if matches!(chain.op, BinOp::And(_)) && has_let(condition) => {
                self.condition(&chain.left);
                self.condition(&chain.right);
            },
            _ => {
                if !has_an_opposite(condition) {
                    self.flip("condition", condition);
                }
                self.visit_expr(condition);
            },
        }
    }

    /// The condition of `if` or `while`.
    fn test(&mut self, condition: &Expr) {
        if has_let(condition) {
            let range = range(condition);
            let pieces = vec![Piece::Text("!"), Piece::On, Piece::Text(" && "), Piece::Part(range.clone())];
            let change = format!("`{}` never holds", self.shown(condition));
            self.add("condition", range, pieces, vec![change]);
        }
        self.condition(condition);
    }

    /// An arm without which another one is taken.
    fn no_arm(&mut self, pattern: &Pat) {
        let end = range(pattern).end;
        let change = format!("`{}` is never taken", self.shown(pattern));
        self.add("arm", end..end, vec![Piece::Text(" if !"), Piece::On], vec![change]);
    }

    fn guard(&mut self, guard: &Expr) {
        let range = range(guard);
        let shown = self.shown(guard);
        let part = || Piece::Part(range.clone());
        let never = vec![Piece::Text("(("), part(), Piece::Text(") && !"), Piece::On, Piece::Text(")")];
        self.add("guard", range.clone(), never, vec![format!("`if {shown}` never holds")]);
        let always = vec![Piece::Text("(("), part(), Piece::Text(") || "), Piece::On, Piece::Text(")")];
        self.add("guard", range.clone(), always, vec![format!("`if {shown}` always holds")]);
        self.visit_expr(guard);
    }

    fn binary(&mut self, binary: &syn::ExprBinary) {
        let (left, right) = (range(&*binary.left), range(&*binary.right));
        let whole = left.start..right.end;
        let sign = self.source(&range(&binary.op)).to_owned();
        let (shown_left, shown_right) = (self.shown(&*binary.left), self.shown(&*binary.right));
        let change = |other: &&str| format!("`{shown_left} {sign} {shown_right}` with `{other}`");
        let (left_part, right_part) = (Piece::Part(left.clone()), Piece::Part(right.clone()));
        match binary.op {
            BinOp::And(_) | BinOp::Or(_) if !has_let(&binary.left) && !has_let(&binary.right) => {
                // The left side is taken as it is or as its opposite; either way the right side decides, or the left one has.
                let and = matches!(binary.op, BinOp::And(_));
                let (compare, decided) = if and { (") != ", " } else { ") } else { (") == ", " } else { !") };
                let pieces = vec![
                    Piece::Text("(if ("),
                    left_part,
                    Piece::Text(compare),
                    Piece::On,
                    Piece::Text(" { "),
                    right_part,
                    Piece::Text(decided),
                    Piece::On,
                    Piece::Text(" })"),
                ];
                self.add("logic", whole, pieces, vec![change(&if and { "||" } else { "&&" })]);
            },
            _ if !others(&sign).is_empty() => {
                let others = others(&sign);
                let pair = |sign: &str| format!("l {sign} r");
                let choice = Piece::Choice(others.iter().map(|other| pair(other)).collect(), pair(&sign));
                let comparison = is_comparison(&binary.op);
                let (open, middle, close) = if comparison {
                    ("(match (&(", "), &(", ")) { (l, r) => ")
                } else {
                    ("(match ((", "), (", ")) { (l, r) => ")
                };
                let pieces = vec![
                    Piece::Text(open),
                    left_part,
                    Piece::Text(middle),
                    right_part,
                    Piece::Text(close),
                    choice,
                    Piece::Text(" })"),
                ];
                let operator = if comparison { "comparison" } else { "arithmetic" };
                self.add(operator, whole, pieces, others.iter().map(change).collect());
            },
            _ => {
                let Some(other) = other_assignment(&sign) else {
                    return visit::visit_expr_binary(self, binary);
                };
                let place = self.source(&left).to_owned();
                let choice = Piece::Choice(vec![format!("{place} {other} r")], format!("{place} {sign} r"));
                let pieces = vec![
                    Piece::Text("match ("),
                    right_part,
                    Piece::Text(") { r => "),
                    choice,
                    Piece::Text(" }"),
                ];
                self.add("arithmetic", whole, pieces, vec![change(&other)]);
                // The place is written twice, so nothing is planted in it.
                return self.visit_expr(&binary.right);
            },
        }
        visit::visit_expr_binary(self, binary);
    }

    fn literal(&mut self, literal: &syn::ExprLit) {
        match &literal.lit {
            Lit::Bool(_) => self.flip("literal", &Expr::Lit(literal.clone())),
            Lit::Int(number) => {
                let Ok(value) = number.base10_parse::<u128>() else { return };
                let texts: Vec<String> = [value.checked_add(1), value.checked_sub(1)]
                    .into_iter()
                    .flatten()
                    .map(|other| format!("{other}{}", number.suffix()))
                    .collect();
                let range = range(literal);
                let shown = self.shown(literal);
                let changes = texts.iter().map(|other| format!("`{shown}` is `{other}`")).collect();
                let choice = Piece::Choice(texts, shown);
                self.add("literal", range, vec![Piece::Text("("), choice, Piece::Text(")")], changes);
            },
            _ => {},
        }
    }

    /// A function: its body, and the constants that it may return at once.
    fn function(&mut self, signature: &Signature, block: &Block) {
        if signature.constness.is_some() {
            return self.leave_out("const fn");
        }
        self.place.push(signature.ident.to_string());
        let body = range(block);
        let inside = self.source(&(body.start + 1..body.end - 1)).trim().to_owned();
        let one_statement = match block.stmts.as_slice() {
            [Stmt::Expr(expr, _)] => is_effect(expr),
            _ => false,
        };
        for constant in constants(&signature.output) {
            // Returning `()` at once, and leaving out the one statement there is, are the same.
            if inside == *constant || constant.is_empty() && one_statement {
                continue;
            }
            let at = body.start + 1;
            let pieces = vec![
                Piece::Text(" if "),
                Piece::On,
                Piece::Text(" { return "),
                Piece::Text(constant),
                Piece::Text("; }"),
            ];
            let change = format!("returns `{}` at once", if constant.is_empty() { "()" } else { constant });
            self.add("body", at..at, pieces, vec![change]);
        }
        let unit = std::mem::replace(&mut self.unit, is_unit(&signature.output));
        self.visit_block(block);
        self.unit = unit;
        self.place.pop();
    }

    /// An expression whose value is `()`, or nobody uses it.
    fn unused(&mut self, expr: &Expr, unit: bool) {
        self.unit = unit;
        self.visit_expr(expr);
        self.unit = false;
    }
}

impl<'a> Visit<'a> for Scan<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        if is_for_tests(attributes(item)) {
            return self.leave_out("tests");
        }
        match item {
            Item::Const(_) | Item::Static(_) => self.leave_out("constants and statics"),
            Item::Macro(_) => self.leave_out("macros"),
            Item::Enum(_) | Item::Struct(_) | Item::Type(_) | Item::Use(_) => {},
            Item::Fn(function) => self.function(&function.sig, &function.block),
            Item::Impl(block) => {
                let of = block.trait_.as_ref().map(|(_, path, _)| self.shown(path));
                if let Some((_, path, _)) = &block.trait_
                    && path
                        .segments
                        .last()
                        .is_some_and(|last| last.ident == "Debug" || last.ident == "Display")
                {
                    return self.leave_out("implementations of Debug and Display");
                }
                let own = self.shown(&*block.self_ty);
                self.place.push(of.map_or(own.clone(), |of| format!("<{own} as {of}>")));
                block.items.iter().for_each(|item| self.visit_impl_item(item));
                self.place.pop();
            },
            Item::Trait(block) => {
                self.place.push(block.ident.to_string());
                block.items.iter().for_each(|item| self.visit_trait_item(item));
                self.place.pop();
            },
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'a ImplItem) {
        match item {
            ImplItem::Fn(function) if is_for_tests(&function.attrs) => self.leave_out("tests"),
            ImplItem::Fn(function) => self.function(&function.sig, &function.block),
            ImplItem::Const(_) => self.leave_out("constants and statics"),
            ImplItem::Macro(_) => self.leave_out("macros"),
            _ => {},
        }
    }

    fn visit_trait_item(&mut self, item: &'a TraitItem) {
        if let TraitItem::Fn(function) = item
            && let Some(block) = &function.default
        {
            self.function(&function.sig, block);
        }
    }

    fn visit_block(&mut self, block: &'a Block) {
        let unit = std::mem::take(&mut self.unit);
        for (index, stmt) in block.stmts.iter().enumerate() {
            let last = index + 1 == block.stmts.len();
            match stmt {
                Stmt::Local(local) => {
                    if matches!(local.pat, Pat::Wild(_))
                        && local.attrs.is_empty()
                        && local.init.as_ref().is_some_and(|init| is_effect(&init.expr))
                    {
                        self.skip(range(stmt));
                    }
                    if let Some(init) = &local.init {
                        self.visit_expr(&init.expr);
                        init.diverge.iter().for_each(|(_, diverge)| self.visit_expr(diverge));
                    }
                },
                Stmt::Item(item) => self.visit_item(item),
                Stmt::Expr(expr, Some(_)) if is_hook(expr) => self.leave_out("hooks of simulated runs"),
                Stmt::Expr(expr, Some(_)) => {
                    if is_effect(expr) {
                        self.skip(range(stmt));
                    }
                    self.visit_expr(expr);
                },
                Stmt::Expr(expr, None) => self.unused(expr, unit || !last),
                Stmt::Macro(_) => self.leave_out("macros"),
            }
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        let unit = std::mem::take(&mut self.unit);
        if unit && is_effect(expr) {
            self.skip(range(expr));
        }
        match expr {
            Expr::If(branch) => {
                self.test(&branch.cond);
                self.unit = unit || branch.else_branch.is_none();
                self.visit_block(&branch.then_branch);
                if let Some((_, other)) = &branch.else_branch {
                    self.unused(other, unit);
                }
            },
            Expr::Match(choice) => {
                self.visit_expr(&choice.expr);
                let has_rest =
                    choice.arms.iter().any(|arm| matches!(arm.pat, Pat::Wild(_)) && arm.guard.is_none());
                for arm in &choice.arms {
                    if has_rest && arm.guard.is_none() && !matches!(arm.pat, Pat::Wild(_)) {
                        self.no_arm(&arm.pat);
                    }
                    arm.guard.iter().for_each(|(_, guard)| self.guard(guard));
                    self.unused(&arm.body, unit);
                }
            },
            Expr::While(again) => {
                self.test(&again.cond);
                self.unit = true;
                self.visit_block(&again.body);
            },
            Expr::ForLoop(each) => {
                self.visit_expr(&each.expr);
                self.unit = true;
                self.visit_block(&each.body);
            },
            Expr::Loop(again) => {
                self.unit = true;
                self.visit_block(&again.body);
            },
            Expr::Block(inner) => {
                self.unit = unit;
                self.visit_block(&inner.block);
            },
            Expr::Unsafe(inner) => {
                self.unit = unit;
                self.visit_block(&inner.block);
            },
            Expr::Binary(binary) => self.binary(binary),
            Expr::Lit(literal) => self.literal(literal),
            Expr::MethodCall(_) | Expr::Call(_) if is_predicate(expr) => {
                self.flip("predicate", expr);
                visit::visit_expr(self, expr);
            },
            Expr::Macro(_) if is_predicate(expr) => self.flip("predicate", expr),
            Expr::Macro(_) => self.leave_out("macros"),
            Expr::Const(_) => self.leave_out("constants and statics"),
            // Its length is a constant.
            Expr::Repeat(repeat) => self.visit_expr(&repeat.expr),
            _ => visit::visit_expr(self, expr),
        }
    }

    // What is decided at compile time.
    fn visit_type(&mut self, _: &'a syn::Type) {}
    fn visit_pat(&mut self, _: &'a Pat) {}
    fn visit_attribute(&mut self, _: &'a Attribute) {}
    fn visit_generic_argument(&mut self, _: &'a syn::GenericArgument) {}
    fn visit_generics(&mut self, _: &'a syn::Generics) {}
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::site;
    use super::*;

    /// What is found in the body of a function without arguments and without a result, besides the function's own mutants.
    fn body(text: &str) -> Vec<String> {
        let found = scan(&format!("fn f() {{ {text} }}")).expect("it is Rust");
        let changes = found.sites.iter().flat_map(|site| &site.changes);
        let of_body = changes.filter(|change| change.operator != "body");
        of_body.map(|change| format!("{}: {}", change.operator, change.change)).collect()
    }

    /// The text with everything planted, the switch as `m`.
    fn planted(text: &str) -> String {
        let found = scan(text).expect("it is Rust");
        let text = site::plant(text, &found.sites, 1, &BTreeSet::new()).text;
        syn::parse_file(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        text.replace("crate::mutant_at", "m")
    }

    #[test]
    fn conditions_become_their_opposites_once() {
        assert_eq!(
            body("if a { } while b && c { }"),
            [
                "condition: `a` is the opposite",
                "condition: `b && c` is the opposite",
                "logic: `b && c` with `||`",
            ]
        );
        // What has an opposite of its own needs no second one.
        assert_eq!(body("if a == b { }"), ["comparison: `a == b` with `!=`"]);
        assert_eq!(body("if !x.is_empty() { }"), ["predicate: `x.is_empty()` is the opposite"]);
        assert_eq!(body("if (matches!(x, 1)) { }"), ["predicate: `matches!(x, 1)` is the opposite"]);
    }

    #[test]
    fn a_chain_with_let_never_holds_and_its_other_parts_are_conditions() {
        assert_eq!(
            body("if let Some(x) = y && z { }"),
            ["condition: `let Some(x) = y && z` never holds", "condition: `z` is the opposite",]
        );
        assert_eq!(
            planted("fn f() -> T { if let A = b && c {} }"),
            "fn f() -> T { if !m(1) && let A = b && ((c) != m(2)) {} }"
        );
    }

    #[test]
    fn orders_get_their_boundary_moved_and_their_opposite() {
        assert_eq!(
            body("let x = a < b;"),
            ["comparison: `a < b` with `<=`", "comparison: `a < b` with `>=`"]
        );
        assert_eq!(
            planted("fn f() -> T { a < b }"),
            "fn f() -> T { (match (&(a), &(b)) { (l, r) => if m(1) { l <= r } else if m(2) { l >= r } else { l < r } }) }"
        );
    }

    #[test]
    fn both_sides_of_and_and_or_are_written_once() {
        assert_eq!(planted("fn f() -> T { a && b }"), "fn f() -> T { (if (a) != m(1) { b } else { m(1) }) }");
        assert_eq!(
            planted("fn f() -> T { a || b }"),
            "fn f() -> T { (if (a) == m(1) { b } else { !m(1) }) }"
        );
        // The truth of it: with the switch off the operator, with the switch on the other one.
        for (a, b, m) in (0..8).map(|n| (n & 1 > 0, n & 2 > 0, n & 4 > 0)) {
            assert_eq!(if a != m { b } else { m }, if m { a || b } else { a && b });
            assert_eq!(if a == m { b } else { !m }, if m { a && b } else { a || b });
        }
    }

    #[test]
    fn arms_and_guards_are_never_taken_and_guards_always() {
        assert_eq!(
            body("match x { A => {}, B if b => {}, _ => {} }"),
            ["arm: `A` is never taken", "guard: `if b` never holds", "guard: `if b` always holds",]
        );
        // Without another arm to take, the compiler would refuse it.
        assert_eq!(body("match x { A => {}, B => {} }"), [""; 0]);
        assert_eq!(
            planted("fn f() -> T { match x { A if b => c, _ => d } }"),
            "fn f() -> T { match x { A if ((((b) || m(2))) && !m(1)) => c, _ => d } }"
        );
    }

    #[test]
    fn statements_that_do_something_are_left_out() {
        assert_eq!(
            body("f(); x.y().await; z = 1; let _ = g(); let h = i(); x += y;"),
            [
                "statement: `f();` is left out",
                "statement: `x.y().await;` is left out",
                "statement: `z = 1;` is left out",
                "literal: `1` is `2`",
                "literal: `1` is `0`",
                "statement: `let _ = g();` is left out",
                "statement: `x += y;` is left out",
                "arithmetic: `x += y` with `-=`",
            ]
        );
        // So are those at the end of something whose value is `()`.
        assert_eq!(
            body("match x { A => f(), B => { g() } }"),
            ["statement: `f()` is left out", "statement: `g()` is left out",]
        );
        assert_eq!(body("let a = match x { A => f(), B => { g() } };"), [""; 0]);
        assert_eq!(planted("fn f() { a.b()?; c }"), "fn f() { if m(1) { return ; } if !m(2) { a.b()?; } c }");
    }

    #[test]
    fn arithmetic_has_a_counterpart_and_a_place_is_not_mutated() {
        assert_eq!(
            body("let x = a - b | c;"),
            ["arithmetic: `a - b | c` with `&`", "arithmetic: `a - b` with `+`",]
        );
        assert_eq!(
            planted("fn f() -> T { x[1] -= y; z }").replace("if !m(1) { ", ""),
            "fn f() -> T { match (y) { r => if m(2) { x[1] += r } else { x[1] -= r } }; } z }"
        );
    }

    #[test]
    fn what_can_be_returned_at_once_depends_on_the_type() {
        let changes = |text: &str| -> Vec<String> {
            let found = scan(text).expect("it is Rust");
            let body = found.sites.iter().filter(|site| site.changes[0].operator == "body");
            body.map(|site| site.changes[0].change.clone()).collect()
        };
        assert_eq!(changes("fn f() -> bool { a }"), ["returns `true` at once", "returns `false` at once"]);
        assert_eq!(changes("fn f() -> u32 { a }"), ["returns `0` at once", "returns `1` at once"]);
        assert_eq!(changes("fn f() -> Option<T> { a }"), ["returns `None` at once"]);
        assert_eq!(changes("fn f() -> Result<(), E> { a }"), ["returns `Ok(())` at once"]);
        assert_eq!(changes("fn f() -> Result<u8, E> { a }"), [""; 0]);
        assert_eq!(changes("async fn f() { a; b }"), ["returns `()` at once"]);
        // What it does anyway, or what leaving out its one statement does, is no mutant.
        assert_eq!(changes("fn f() -> bool { true }"), ["returns `false` at once"]);
        assert_eq!(changes("fn f() { a() }"), [""; 0]);
    }

    #[test]
    fn a_change_knows_where_it_is() {
        let text =
            "impl<T> A for B<T> {\n    fn f(&self) {\n        // before\n        x(); y = 1\n    }\n}\n";
        let found = scan(text).expect("it is Rust");
        let change = &found.sites[1].changes[0];
        assert_eq!((change.place.as_str(), change.line), ("<B<T> as A>::f", 4));
        assert_eq!((change.text.as_str(), change.change.as_str()), ("x(); y = 1", "`x();` is left out"));
        assert_eq!((found.sites[0].changes[0].operator, found.sites[0].changes[0].line), ("body", 2));
    }

    #[test]
    fn what_is_decided_at_compile_time_tests_and_texts_are_left_alone() {
        let text = "
            const A: u8 = 1 + 1;
            static B: [u8; 2] = [0; 2];
            const fn c() -> u8 { 1 }
            fn h() -> T { crate::rt::sim::ends(a, 1); b }
            enum D { E = 1 }
            impl std::fmt::Display for D { fn fmt(&self) -> bool { 1 == 1 } }
            #[cfg(test)] mod tests { fn f() { a(); } }
            #[test] fn t() { a(); }
            macro_rules! m { () => { 1 } }
            fn f(x: [u8; 4]) -> T { let y: [u8; 4] = [x; 4]; let 1..=3 = g::<7>(y) else { panic!(\"{}\", 1) }; y }
        ";
        let found = scan(text).expect("it is Rust");
        assert_eq!(found.sites.len(), 0, "{:?}", found.sites);
        assert_eq!(found.left_out["tests"], 2);
        assert_eq!(found.left_out["const fn"], 1);
        assert_eq!(found.left_out["hooks of simulated runs"], 1);
        assert_eq!(found.left_out["constants and statics"], 2);
        assert_eq!(found.left_out["implementations of Debug and Display"], 1);
        assert_eq!(found.left_out["macros"], 2);
    }

    #[test]
    fn a_file_that_is_no_rust_is_an_error_with_its_place() {
        assert!(scan("fn f() {\n    1 +\n}").err().is_some_and(|error| error.starts_with("3:1: ")));
    }
}

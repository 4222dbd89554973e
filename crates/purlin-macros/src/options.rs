//! What stands in the parentheses of an attribute: `name`, or `name = value`, separated by commas.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Ident, Lit, Path, Result, Token};

/// One option.
pub(crate) struct Entry {
    pub(crate) name: Ident,
    value: Option<Expr>,
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        // `crate` is a keyword, and an option's name.
        let name = input.call(Ident::parse_any)?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        Ok(Entry { name, value })
    }
}

/// Reads the options, each of them once.
pub(crate) fn parse(tokens: proc_macro2::TokenStream) -> Result<Vec<Entry>> {
    let entries: Vec<Entry> =
        Punctuated::<Entry, Token![,]>::parse_terminated.parse2(tokens)?.into_iter().collect();
    for (index, entry) in entries.iter().enumerate() {
        if entries[..index].iter().any(|earlier| earlier.name == entry.name) {
            return Err(Error::new(entry.name.span(), format!("`{}` is given twice", entry.name)));
        }
    }
    Ok(entries)
}

impl Entry {
    /// An option that is there or not.
    pub(crate) fn flag(&self) -> Result<bool> {
        match &self.value {
            None => Ok(true),
            Some(value) => Err(Error::new_spanned(value, format!("`{}` takes no value", self.name))),
        }
    }

    fn value(&self, example: &str) -> Result<&Expr> {
        self.value
            .as_ref()
            .ok_or_else(|| Error::new(self.name.span(), format!("write `{} = {example}`", self.name)))
    }

    /// A number from 1 up.
    pub(crate) fn number(&self) -> Result<usize> {
        let value = self.value("4")?;
        if let Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) = value
            && let Ok(number @ 1..) = number.base10_parse()
        {
            return Ok(number);
        }
        Err(Error::new_spanned(value, "expected a whole number, 1 or more"))
    }

    /// A text.
    pub(crate) fn text(&self, example: &str) -> Result<String> {
        let value = self.value(&format!("\"{example}\""))?;
        match value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.value()),
            _ => Err(Error::new_spanned(value, format!("expected a text, such as \"{example}\""))),
        }
    }

    /// A path.
    pub(crate) fn path(&self, example: &str) -> Result<Path> {
        let value = self.value(example)?;
        match value {
            Expr::Path(path) if path.qself.is_none() && path.attrs.is_empty() => Ok(path.path.clone()),
            _ => Err(Error::new_spanned(value, format!("expected a path, such as `{example}`"))),
        }
    }

    /// A name.
    pub(crate) fn ident(&self, example: &str) -> Result<Ident> {
        let path = self.path(example)?;
        path.get_ident()
            .cloned()
            .ok_or_else(|| Error::new_spanned(&path, format!("expected a name, such as `{example}`")))
    }

    /// The error for an option that the attribute does not know.
    pub(crate) fn unknown(&self, known: &str) -> Error {
        Error::new(self.name.span(), format!("there is no option `{}`; there are {known}", self.name))
    }
}

/// The path to a crate by its usual name.
pub(crate) fn default_path(name: &str) -> Path {
    let ident = Ident::new(name, Span::call_site());
    syn::parse_quote!(::#ident)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn options_are_read_in_the_order_they_are_written() {
        let options = parse(quote!(sim, seeds = 500, crate = a::b)).unwrap();
        assert_eq!(
            options.iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>(),
            ["sim", "seeds", "crate"]
        );
        assert!(options[0].flag().unwrap());
        assert_eq!(options[1].number().unwrap(), 500);
        assert_eq!(options[2].path("x").unwrap().segments.len(), 2);
    }

    #[test]
    fn wrong_options_are_refused_with_what_to_write() {
        let text = |tokens| match parse(tokens).and_then(|options| options[0].number()) {
            Ok(number) => format!("{number}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(text(quote!(seeds)), "write `seeds = 4`");
        assert_eq!(text(quote!(seeds = 0)), "expected a whole number, 1 or more");
        assert_eq!(text(quote!(seeds = 1, seeds = 2)), "`seeds` is given twice");
    }
}

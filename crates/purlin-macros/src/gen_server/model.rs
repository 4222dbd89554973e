//! The server that an `impl` block describes: its callbacks and its messages.
//!
//! Reading goes on after a mistake, so that a person sees all of them at once; what is wrong is left out of the model.

use proc_macro2::Span;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Attribute, Error, Ident, ImplItem, ImplItemFn, ItemImpl, Result, ReturnType, Type, Visibility};

use super::reserved;
use super::shape::{self, Made, Shape};
use super::signature::{self, Access, Arg, Inputs, What, owned, text};

/// What a message is to its server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Call,
    /// A call that looks only.
    Read,
    Cast,
    Info,
    Continue,
}

impl Kind {
    fn attribute(self) -> &'static str {
        match self {
            Kind::Call | Kind::Read => "#[call]",
            Kind::Cast => "#[cast]",
            Kind::Info => "#[info]",
            Kind::Continue => "#[handle_continue]",
        }
    }

    /// Is the message's type one of the program's own, and not made for the method?
    pub(super) fn is_typed(self) -> bool {
        matches!(self, Kind::Info | Kind::Continue)
    }
}

/// A method that handles a message.
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) ident: Ident,
    pub(super) vis: Visibility,
    pub(super) docs: Vec<Attribute>,
    pub(super) cfgs: Vec<Attribute>,
    pub(super) deprecated: Option<Attribute>,
    pub(super) is_async: bool,
    /// The method takes `&self`.
    pub(super) is_shared: bool,
    pub(super) args: Vec<Arg>,
    pub(super) context: bool,
    pub(super) shape: Shape,
}

/// `init`.
pub(super) struct Init {
    pub(super) cfgs: Vec<Attribute>,
    pub(super) is_async: bool,
    pub(super) args: Vec<Type>,
    pub(super) context: bool,
    pub(super) made: Made,
    pub(super) span: Span,
}

/// `terminate` or `format_status`.
pub(super) struct Callback {
    pub(super) cfgs: Vec<Attribute>,
    pub(super) is_async: bool,
    /// Takes the reason.
    pub(super) reason: bool,
    pub(super) context: bool,
    pub(super) span: Span,
}

/// Everything that the block says.
pub(super) struct Server {
    /// The block without our attributes.
    pub(super) block: ItemImpl,
    /// The type's own name.
    pub(super) ident: Ident,
    pub(super) inits: Vec<Init>,
    pub(super) terminates: Vec<Callback>,
    pub(super) statuses: Vec<Callback>,
    pub(super) messages: Vec<Message>,
}

/// Collects mistakes.
#[derive(Default)]
pub(super) struct Mistakes(Option<Error>);

impl Mistakes {
    pub(super) fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    pub(super) fn into_tokens(self) -> proc_macro2::TokenStream {
        self.0.map(|error| error.to_compile_error()).unwrap_or_default()
    }
}

/// Reads the block. `Err` if it is nothing that a server could be made of.
pub(super) fn read(
    mut block: ItemImpl,
    mistakes: &mut Mistakes,
) -> std::result::Result<Server, Box<ItemImpl>> {
    let ident = match server_name(&block) {
        Ok(ident) => ident,
        Err(error) => {
            mistakes.add(error);
            // Our attributes would be one more error each.
            for method in block.items.iter_mut().filter_map(as_method) {
                let _ = take_role(method);
            }
            return Err(Box::new(block));
        },
    };
    let mut server = Server {
        block,
        ident,
        inits: Vec::new(),
        terminates: Vec::new(),
        statuses: Vec::new(),
        messages: Vec::new(),
    };
    let mut has_init = false;
    let items = std::mem::take(&mut server.block.items);
    for mut item in items {
        let Some(method) = as_method(&mut item) else {
            server.block.items.push(item);
            continue;
        };
        let role = match take_role(method) {
            Ok(role) => role,
            Err(error) => {
                mistakes.add(error);
                server.block.items.push(item);
                continue;
            },
        };
        has_init |= method.sig.ident == "init";
        if server.method(method, role, mistakes) {
            server.block.items.push(item);
        }
    }
    if !has_init {
        let message = format!(
            "`{}` has no `init`: add `fn init(..) -> Self`, which makes the state when the server starts",
            server.ident
        );
        mistakes.add(Error::new_spanned(&server.block.self_ty, message));
    }
    Ok(server)
}

fn as_method(item: &mut ImplItem) -> Option<&mut ImplItemFn> {
    match item {
        ImplItem::Fn(method) => Some(method),
        _ => None,
    }
}

/// The name of the type that the block is for.
fn server_name(block: &ItemImpl) -> Result<Ident> {
    if let Some((_, path, _)) = &block.trait_ {
        let message = format!(
            "`#[gen_server]` belongs on the type's own block: `impl {} {{ .. }}`",
            text(&block.self_ty)
        );
        return Err(Error::new_spanned(path, message));
    }
    if let Some(lifetime) = block.generics.lifetimes().next() {
        let message =
            "a server lives as long as it likes, so its state cannot borrow: use owned data, or `Arc`";
        return Err(Error::new_spanned(lifetime, message));
    }
    match (shape::ungroup(&block.self_ty), shape::last_segment(&block.self_ty)) {
        (Type::Path(path), Some(segment)) if path.qself.is_none() => Ok(segment.ident.clone()),
        _ => Err(Error::new_spanned(&block.self_ty, "a server is a type of your own, such as a struct")),
    }
}

/// Takes our attributes off a method: what it is, and where that is said.
fn take_role(method: &mut ImplItemFn) -> Result<Option<(Kind, Span)>> {
    let mut found: Option<(Kind, Span)> = None;
    let mut mistake = None;
    method.attrs.retain(|attribute| {
        let Some(name) = our_name(attribute) else { return true };
        let kind = match name.as_str() {
            "call" => Kind::Call,
            "cast" => Kind::Cast,
            "info" => Kind::Info,
            "handle_continue" => Kind::Continue,
            other => {
                let right = match other {
                    "handle_call" => "write `#[call]`",
                    "handle_cast" => "write `#[cast]`",
                    "handle_info" => "write `#[info]`",
                    _ => "write `#[call]` and take `&self`",
                };
                mistake = Some(Error::new_spanned(attribute, right));
                return false;
            },
        };
        if attribute.meta.require_path_only().is_err() {
            mistake =
                Some(Error::new_spanned(attribute, format!("`{}` takes no arguments", kind.attribute())));
        }
        match found {
            Some((earlier, _)) => {
                let message =
                    format!("one attribute for each method: it is `{}` already", earlier.attribute());
                mistake = Some(Error::new_spanned(attribute, message));
            },
            None => found = Some((kind, syn::spanned::Spanned::span(attribute))),
        }
        false
    });
    mistake.map_or(Ok(found), Err)
}

/// `call` for `#[call]` and `#[purlin::call]`; `None` for attributes that are not ours.
fn our_name(attribute: &Attribute) -> Option<String> {
    const OURS: &[&str] =
        &["call", "cast", "info", "handle_continue", "handle_call", "handle_cast", "handle_info", "read"];
    let mut segments = attribute.path().segments.iter();
    let ident = match (segments.next(), segments.next(), segments.next()) {
        (Some(only), None, None) => &only.ident,
        (Some(first), Some(second), None) if first.ident == "purlin" => &second.ident,
        _ => return None,
    };
    OURS.iter().find(|ours| ident == *ours).map(|ours| (*ours).to_owned())
}

/// The attributes of these names.
fn pick(method: &ImplItemFn, name: &str) -> Vec<Attribute> {
    method.attrs.iter().filter(|attribute| attribute.path().is_ident(name)).cloned().collect()
}

impl Server {
    /// Takes a method in; `false` if the block is better off without it.
    fn method(&mut self, method: &ImplItemFn, role: Option<(Kind, Span)>, mistakes: &mut Mistakes) -> bool {
        let name = method.sig.ident.unraw().to_string();
        if let Some((kind, _)) = role {
            if let Some(reason) = reserved::why_not(&name) {
                mistakes.add(Error::new(method.sig.ident.span(), reason));
                return true;
            }
            if let Some(message) = mistakes.note(self.message(method, kind)) {
                self.messages.push(message);
            }
            return true;
        }
        let cfgs = pick(method, "cfg");
        match name.as_str() {
            "init" => {
                if is_second(self.inits.iter().map(|init| &init.cfgs), &cfgs) {
                    mistakes.add(second(
                        method,
                        "a server is made in one way; let the arguments tell the cases apart",
                    ));
                    return false;
                }
                let init = mistakes.note(init(method, &self.ident)).unwrap_or_else(|| Init::broken(method));
                self.inits.push(init);
            },
            "terminate" => {
                if is_second(self.terminates.iter().map(|callback| &callback.cfgs), &cfgs) {
                    mistakes
                        .add(second(method, "a server ends in one way; the reason tells the cases apart"));
                    return false;
                }
                self.terminates.extend(mistakes.note(terminate(method)));
            },
            "format_status" => {
                if is_second(self.statuses.iter().map(|callback| &callback.cfgs), &cfgs) {
                    mistakes.add(second(method, "a state has one text"));
                    return false;
                }
                self.statuses.extend(mistakes.note(format_status(method)));
            },
            _ => {},
        }
        true
    }

    /// Reads a method that handles a message.
    fn message(&self, method: &ImplItemFn, kind: Kind) -> Result<Message> {
        let attribute = kind.attribute();
        let Inputs { access, args, context } = signature::inputs(&method.sig)?;
        let is_async = method.sig.asyncness.is_some();
        let kind = match (kind, access) {
            (_, Access::None) => {
                let but = if kind == Kind::Call { ", or `&self` if it only looks" } else { "" };
                let message =
                    format!("`{attribute}` handles a message with the state: take `&mut self`{but}");
                return Err(Error::new_spanned(&method.sig.ident, message));
            },
            (Kind::Call, Access::Shared) if !is_async => Kind::Read,
            (kind, _) => kind,
        };
        if let Some(context) = &context
            && kind == Kind::Read
            && !context.read_only
        {
            let message = "a call with `&self` runs beside others and cannot change the process: take `cx: &ReadCx<Self>`, or `&mut self`";
            return Err(Error::new(context.span, message));
        }
        if kind.is_typed() {
            self.check_typed(method, kind, &args)?;
        }
        for arg in &args {
            owned(&arg.ty, What::Argument)?;
        }
        let shape = shape::peel(&method.sig.output);
        match &shape {
            Shape::Plain(None) => {},
            Shape::Plain(Some(reply))
            | Shape::OrCrash(reply)
            | Shape::OrLater(reply)
            | Shape::Later(reply)
                if matches!(kind, Kind::Call | Kind::Read) =>
            {
                owned(reply, What::Reply)?;
            },
            Shape::OrCrash(reply) if shape::is_unit(reply) => {},
            _ => {
                let message = format!(
                    "nobody waits for what `{attribute}` returns: return nothing, or `Result<(), Crash>` written out"
                );
                let ReturnType::Type(_, ty) = &method.sig.output else {
                    return Err(Error::new_spanned(&method.sig, message));
                };
                return Err(Error::new_spanned(ty, message));
            },
        }
        let mut docs = pick(method, "doc");
        if docs.is_empty() {
            docs.push(default_doc(kind, &method.sig.ident, &self.ident));
        }
        Ok(Message {
            kind,
            ident: method.sig.ident.clone(),
            vis: method.vis.clone(),
            docs,
            cfgs: pick(method, "cfg"),
            deprecated: pick(method, "deprecated").pop(),
            is_async,
            is_shared: access == Access::Shared,
            args,
            context: context.is_some(),
            shape,
        })
    }

    /// Checks the message of an `#[info]` or `#[handle_continue]` method: one, and not one that has a handler.
    fn check_typed(&self, method: &ImplItemFn, kind: Kind, args: &[Arg]) -> Result<()> {
        let attribute = kind.attribute();
        let [message] = args else {
            let name = &method.sig.ident;
            let text = format!(
                "`{attribute}` takes one message, whose type says which: `fn {name}(&mut self, message: Message)`"
            );
            let inputs = &method.sig.inputs;
            return Err(if args.is_empty() {
                Error::new_spanned(name, text)
            } else {
                Error::new_spanned(inputs, text)
            });
        };
        let ty = message.ty.to_token_stream().to_string();
        let twin = self.messages.iter().find(|other| {
            let same = other.kind == kind
                && other.args.first().is_some_and(|arg| arg.ty.to_token_stream().to_string() == ty);
            same && (other.cfgs.is_empty() || pick(method, "cfg").is_empty())
        });
        match twin {
            Some(twin) => {
                let text =
                    format!("`{}` handles `{}` already, in `{}`", self.ident, text(&message.ty), twin.ident);
                Err(Error::new_spanned(&message.ty, text))
            },
            None => Ok(()),
        }
    }
}

fn default_doc(kind: Kind, method: &Ident, server: &Ident) -> Attribute {
    let text = match kind {
        Kind::Cast => format!("Casts `{method}` to a `{server}`."),
        _ => format!("Calls `{method}` of a `{server}`."),
    };
    syn::parse_quote!(#[doc = #text])
}

/// Is there one already, and are the two no alternatives of conditional compilation?
fn is_second<'a>(mut earlier: impl Iterator<Item = &'a Vec<Attribute>>, cfgs: &[Attribute]) -> bool {
    earlier.any(|other| other.is_empty() || cfgs.is_empty())
}

fn second(method: &ImplItemFn, why: &str) -> Error {
    let name = &method.sig.ident;
    Error::new_spanned(name, format!("a second `{name}`: {why}"))
}

impl Init {
    /// An `init` that keeps its mistake from causing others.
    fn broken(method: &ImplItemFn) -> Init {
        let span = method.sig.ident.span();
        Init {
            cfgs: pick(method, "cfg"),
            is_async: false,
            args: Vec::new(),
            context: false,
            made: Made::Nothing,
            span,
        }
    }
}

fn init(method: &ImplItemFn, server: &Ident) -> Result<Init> {
    let Inputs { access, args, context } = signature::inputs(&method.sig)?;
    if access != Access::None {
        let message = "`init` makes the state, so there is no `self` yet: take the arguments of the start";
        return Err(Error::new_spanned(method.sig.inputs.first(), message));
    }
    for arg in &args {
        owned(&arg.ty, What::Argument)?;
    }
    let made = shape::made(&method.sig.output, server);
    if matches!(made, Made::Nothing) {
        let message =
            "`init` makes the state: return `Self`, or `Result<Self, InitError>` if it can fail, written out";
        return Err(match &method.sig.output {
            ReturnType::Type(_, ty) => Error::new_spanned(ty, message),
            ReturnType::Default => Error::new_spanned(&method.sig.ident, message),
        });
    }
    Ok(Init {
        cfgs: pick(method, "cfg"),
        is_async: method.sig.asyncness.is_some(),
        args: args.into_iter().map(|arg| arg.ty).collect(),
        context: context.is_some(),
        made,
        span: method.sig.ident.span(),
    })
}

fn terminate(method: &ImplItemFn) -> Result<Callback> {
    let right = "`terminate` is called at the end: `fn terminate(&mut self, reason: &ExitReason)`, with `cx: &mut Cx<Self>` if it needs it";
    let Inputs { access, args, context } = signature::inputs(&method.sig)?;
    let takes_reason = match args.as_slice() {
        [] => false,
        [reason] if matches!(shape::ungroup(&reason.ty), Type::Reference(_)) => true,
        [other, ..] => return Err(Error::new_spanned(&other.ty, right)),
    };
    if access == Access::None {
        return Err(Error::new_spanned(&method.sig.ident, right));
    }
    match &method.sig.output {
        ReturnType::Type(_, ty) if !shape::is_unit(ty) => {
            Err(Error::new_spanned(ty, "nobody waits for what `terminate` returns: return nothing"))
        },
        _ => Ok(Callback {
            cfgs: pick(method, "cfg"),
            is_async: method.sig.asyncness.is_some(),
            reason: takes_reason,
            context: context.is_some(),
            span: method.sig.ident.span(),
        }),
    }
}

fn format_status(method: &ImplItemFn) -> Result<Callback> {
    let Inputs { access, args, context } = signature::inputs(&method.sig)?;
    let is_async = method.sig.asyncness.is_some();
    if access != Access::Shared || !args.is_empty() || context.is_some() || is_async {
        let message = "`format_status` tells the state as text: `fn format_status(&self) -> String`";
        return Err(Error::new_spanned(&method.sig.ident, message));
    }
    Ok(Callback {
        cfgs: pick(method, "cfg"),
        is_async,
        reason: false,
        context: false,
        span: method.sig.ident.span(),
    })
}

//! Writes what a person would write by hand: message types and trait impls.
//!
//! Everything but the client trait stands in an unnamed constant, so that the names of the message types are nobody else's. A message type is
//! called like its method with two underscores in front; run-time reports leave these away.

use proc_macro2::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Attribute, Generics, Ident, Type};

use super::model::{Callback, Init, Kind, Message, Server};
use super::shape::{self, Made, Shape};
use super::{Options, client};

/// What the parts of an expansion share.
pub(super) struct Frame<'a> {
    pub(super) server: &'a Server,
    /// The crate `purlin`.
    pub(super) krate: &'a syn::Path,
    /// Its hidden module for expansions; see [`Frame::private_at`].
    private: TokenStream,
    /// The server's type.
    pub(super) me: &'a Type,
    /// The block's generics, with the type written out where they say `Self`.
    pub(super) generics: Generics,
    pub(super) client: Ident,
}

/// Everything beside the block itself.
pub(super) fn server(server: &Server, options: &Options) -> TokenStream {
    let krate = &options.krate;
    let me = &*server.block.self_ty;
    let generics = &server.block.generics;
    let mut spelled = generics.clone();
    if let Ok(params) = syn::parse2::<Generics>(without_self(quote!(#generics), me)) {
        spelled.params = params.params;
    }
    if let Some(clause) = &generics.where_clause {
        spelled.where_clause = syn::parse2(without_self(clause.to_token_stream(), me)).ok();
    }
    let frame = Frame {
        server,
        krate,
        private: quote!(#krate::__private),
        me,
        generics: spelled,
        client: options
            .client
            .clone()
            .unwrap_or_else(|| format_ident!("{}Client", server.ident.unraw(), span = server.ident.span())),
    };
    let messages = server.messages.iter().map(|message| frame.message(message));
    let checks = frame.checks();
    let own = frame.gen_server();
    let client_trait = client::declaration(&frame);
    let client = client::implementation(&frame);
    quote! {
        #client_trait
        #[allow(deprecated, dead_code, non_camel_case_types, clippy::all, clippy::pedantic)]
        const _: () = {
            #checks
            #own
            #(#messages)*
            #client
        };
    }
}

/// Where errors about a piece of the expansion point: to what a person wrote, without being taken for it.
pub(super) fn at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

impl Frame<'_> {
    /// The path to the hidden module, placed so that an error about what is behind it points to `span`.
    pub(super) fn private_at(&self, span: Span) -> TokenStream {
        place(self.private.clone(), span)
    }

    /// `impl GenServer`.
    fn gen_server(&self) -> TokenStream {
        let Frame { private: p, me, server, .. } = self;
        let (generics, _, clause) = self.generics.split_for_impl();
        let inits: TokenStream = if server.inits.is_empty() {
            self.init(&Init {
                cfgs: Vec::new(),
                is_async: false,
                args: Vec::new(),
                context: false,
                made: Made::Nothing,
                span: server.ident.span(),
            })
        } else {
            server.inits.iter().map(|init| self.init(init)).collect()
        };
        let terminates = server.terminates.iter().map(|callback| self.terminate(callback));
        let statuses = server.statuses.iter().map(|Callback { cfgs, span, .. }| {
            let p = self.private_at(at(*span));
            quote_spanned! {at(*span)=>
                #(#cfgs)*
                fn format_status(&self) -> #p::String { Self::format_status(self) }
            }
        });
        let table = Ident::new("table", Span::mixed_site());
        let infos = server.messages.iter().filter(|message| message.kind == Kind::Info).map(
            |Message { cfgs, args, ident, .. }| {
                let ty = &args[0].ty;
                let table = &table;
                quote_spanned!(at(ident.span())=> #(#cfgs)* { #table.info::<#ty, _>(); })
            },
        );
        quote! {
            impl #generics #p::GenServer for #me #clause {
                #inits
                #(#terminates)*
                #(#statuses)*
                fn accepts(#table: &mut #p::Accepts<'_, Self>) {
                    let _ = &#table;
                    #(#infos)*
                }
            }
        }
    }

    fn init(&self, init: &Init) -> TokenStream {
        let Init { cfgs, is_async, args, context, made, span } = init;
        let at = at(*span);
        let p = self.private_at(at);
        let names = names(args.len(), at);
        let (ty, pattern) = match args.as_slice() {
            [] => (quote!(()), quote!(())),
            [ty] => (quote!(#ty), names[0].to_token_stream()),
            _ => (quote!((#(#args),*)), quote!((#(#names),*))),
        };
        let wait = is_async.then(|| quote!(.await));
        let context = context.then(|| quote_spanned!(at=> cx));
        let call = quote_spanned!(at=> Self::init(#(#names,)* #context) #wait);
        let body = match made {
            Made::State => quote_spanned!(at=> #p::Result::Ok(#call)),
            Made::Result => quote_spanned!(at=> #p::Result::map_err(#call, #p::Into::into)),
            Made::Nothing => quote_spanned!(at=> { let _ = cx; #p::unreachable!() }),
        };
        let pattern = if matches!(made, Made::Nothing) { quote!(_) } else { pattern };
        let cfgs = &cfgs;
        quote_spanned! {at=>
            #(#cfgs)*
            type Args = #ty;
            #(#cfgs)*
            async fn init(#pattern: Self::Args, cx: &mut #p::Cx<Self>) -> #p::Result<Self, #p::InitError> {
                let _ = &cx;
                #body
            }
        }
    }

    fn terminate(&self, callback: &Callback) -> TokenStream {
        let Callback { cfgs, is_async, reason, context, span } = callback;
        let at = at(*span);
        let p = self.private_at(at);
        let reason = reason.then(|| quote_spanned!(at=> reason,));
        let context = context.then(|| quote_spanned!(at=> cx));
        let wait = is_async.then(|| quote!(.await));
        quote_spanned! {at=>
            #(#cfgs)*
            async fn terminate(&mut self, reason: &#p::ExitReason, cx: &mut #p::Cx<Self>) {
                let _ = (&reason, &cx);
                Self::terminate(self, #reason #context) #wait
            }
        }
    }

    /// The name of a message's type.
    pub(super) fn message_name(&self, message: &Message) -> Ident {
        format_ident!("__{}", message.ident.unraw(), span = at(message.ident.span()))
    }

    /// What follows a message's fields when it is built: the marker of type parameters that they do not use.
    pub(super) fn marker(&self) -> Option<TokenStream> {
        let p = &self.private;
        self.generics.type_params().next().map(|_| quote!(#p::PhantomData))
    }

    fn marker_type(&self) -> Option<TokenStream> {
        let params = self.generics.type_params().map(|param| &param.ident);
        self.marker().map(|marker| quote!(#marker<fn() -> (#(#params,)*)>))
    }

    /// A message: its type, its handler, and checks that speak before the compiler's own.
    fn message(&self, message: &Message) -> TokenStream {
        let Frame { me, .. } = self;
        let Message { kind, ident, cfgs, is_async, args, context, shape, .. } = message;
        let span = at(ident.span());
        let p = self.private_at(span);
        let (generics, arguments, clause) = self.generics.split_for_impl();
        let names = names(args.len(), span);
        let (declaration, ty, pattern) = if kind.is_typed() {
            let ty = &args[0].ty;
            (TokenStream::new(), quote!(#ty), names[0].to_token_stream())
        } else {
            let name = self.message_name(message);
            let fields = args.iter().map(|arg| without_self(arg.ty.to_token_stream(), me));
            let marker = self.marker_type();
            let rest = marker.is_some().then(|| quote!(_));
            let declaration =
                quote_spanned!(span=> #(#cfgs)* struct #name #generics (#(#fields,)* #marker) #clause;);
            (declaration, quote!(#name #arguments), quote!(#name(#(#names,)* #rest)))
        };
        let call = {
            let wait = is_async.then(|| quote!(.await));
            let context = context.then(|| quote_spanned!(span=> cx));
            quote_spanned!(span=> Self::#ident(self, #(#names,)* #context) #wait)
        };
        let (shape, reply, output, body) = self.shape(shape, call, span);
        let (handler, method) = match kind {
            Kind::Call => ("HandleCall", "handle_call"),
            Kind::Read => ("HandleRead", "handle_read"),
            Kind::Cast => ("HandleCast", "handle_cast"),
            Kind::Info => ("HandleInfo", "handle_info"),
            Kind::Continue => ("HandleContinue", "handle_continue"),
        };
        let (handler, method) = (Ident::new(handler, span), Ident::new(method, span));
        let reply =
            matches!(kind, Kind::Call | Kind::Read).then(|| quote_spanned!(span=> type Reply = #reply;));
        let definition = if *kind == Kind::Read {
            quote_spanned! {span=>
                fn #method(&self, #pattern: #ty, cx: &#p::ReadCx<Self>) -> #output {
                    let _ = &cx;
                    #body
                }
            }
        } else {
            let sync = (!is_async).then(|| quote_spanned!(span=> const SYNC: bool = true;));
            quote_spanned! {span=>
                #sync
                async fn #method(&mut self, #pattern: #ty, cx: &mut #p::Cx<Self>) -> #output {
                    let _ = &cx;
                    #body
                }
            }
        };
        let guard = self.alias_guard(message);
        quote_spanned! {span=>
            #declaration
            #(#cfgs)*
            impl #generics #p::#handler<#ty, #p::#shape> for #me #clause {
                #reply
                #definition
            }
            #guard
        }
    }

    /// A shape's name, the reply, the handler's output and its body, which calls the method.
    fn shape(
        &self,
        shape: &Shape,
        call: TokenStream,
        span: Span,
    ) -> (Ident, TokenStream, TokenStream, TokenStream) {
        let p = self.private_at(span);
        let name = |name| Ident::new(name, span);
        match shape {
            Shape::Plain(reply) => {
                let reply =
                    reply.as_ref().map_or_else(|| quote_spanned!(span=> ()), ToTokens::to_token_stream);
                (name("Plain"), reply.clone(), reply, call)
            },
            Shape::OrCrash(reply) => {
                (name("OrCrash"), quote!(#reply), quote!(#p::Result<#reply, #p::Crash>), call)
            },
            Shape::OrLater(reply) => {
                (name("OrLater"), quote!(#reply), quote!(#p::Result<#p::Reply<#reply>, #p::Crash>), call)
            },
            Shape::Later(reply) => {
                let output = quote!(#p::Result<#p::Reply<#reply>, #p::Crash>);
                (name("OrLater"), quote!(#reply), output, quote_spanned!(span=> #p::Result::Ok(#call)))
            },
        }
    }

    /// A function that compiles unless the return type hides a `Crash` from [`shape::peel`].
    fn alias_guard(&self, message: &Message) -> Option<TokenStream> {
        let Message { ident, cfgs, shape, kind, .. } = message;
        let Shape::Plain(Some(reply)) = shape else { return None };
        if !matches!(kind, Kind::Call | Kind::Read) || shape::is_surely_no_result(reply) {
            return None;
        }
        let (generics, _, clause) = self.generics.split_for_impl();
        let span = at(shape::last_segment(reply).map_or(ident.span(), |segment| segment.ident.span()));
        let p = self.private_at(span);
        let reply = without_self(reply.to_token_stream(), self.me);
        let seen = quote_spanned!(span=> #p::Returned::<#reply>::new().look());
        Some(quote_spanned! {span=>
            #(#cfgs)*
            const _: () = {
                fn check #generics () #clause {
                    use #p::Look as _;
                    #p::reply_in_full(#seen);
                }
            };
        })
    }

    /// A type that exists exactly if all types of the server are fit for it. It comes first, and so do its errors: they say in our words
    /// what the compiler says of each trait impl in its own.
    fn checks(&self) -> TokenStream {
        let Frame { me, server, .. } = self;
        let (generics, _, clause) = self.generics.split_for_impl();
        let mut checks = TokenStream::new();
        let mut check = |name: &str, ty: TokenStream, cfgs: &[Attribute], span: Span| {
            let span = at(span);
            let (p, name) = (self.private_at(span), Ident::new(name, span));
            checks.extend(quote_spanned!(span=> #(#cfgs)* #p::#name<#ty>,));
        };
        check("StateCheck", me.to_token_stream(), &[], server.ident.span());
        for Message { kind, ident, cfgs, is_async, is_shared, args, shape, .. } in &server.messages {
            match kind {
                Kind::Read => check("ReadCheck", me.to_token_stream(), cfgs, ident.span()),
                _ if *is_async && *is_shared => {
                    check("SharedCheck", me.to_token_stream(), cfgs, ident.span())
                },
                _ => {},
            }
            for arg in args {
                check(
                    "MessageCheck",
                    without_self(arg.ty.to_token_stream(), me),
                    cfgs,
                    span_of(&arg.ty, ident),
                );
            }
            if let Shape::Plain(Some(reply))
            | Shape::OrCrash(reply)
            | Shape::OrLater(reply)
            | Shape::Later(reply) = shape
            {
                check("ReplyCheck", without_self(reply.to_token_stream(), me), cfgs, span_of(reply, ident));
            }
        }
        let marker = self.marker_type();
        quote!(struct __checks #generics (#checks #marker) #clause;)
    }
}

/// Where a type is written: its last name, since a span of several tokens cannot be relied on.
fn span_of(ty: &Type, otherwise: &Ident) -> Span {
    shape::last_segment(ty).map_or(otherwise.span(), |segment| segment.ident.span())
}

/// Names for the fields of a message inside its handler.
fn names(count: usize, span: Span) -> Vec<Ident> {
    (0..count).map(|index| format_ident!("field_{index}", span = span)).collect()
}

/// Moves tokens to `span`; what they mean stays the same.
fn place(tokens: TokenStream, span: Span) -> TokenStream {
    let token = |mut token: TokenTree| {
        if let TokenTree::Group(group) = &token {
            token = TokenTree::Group(Group::new(group.delimiter(), place(group.stream(), span)));
        }
        let meaning = token.span();
        token.set_span(meaning.located_at(span));
        token
    };
    tokens.into_iter().map(token).collect()
}

/// The tokens of a type or clause with the server's type instead of `Self`, for places where `Self` is another one.
pub(super) fn without_self(tokens: TokenStream, me: &Type) -> TokenStream {
    let mut spelled = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), without_self(group.stream(), me));
                inner.set_span(group.span());
                spelled.extend([TokenTree::Group(inner)]);
            },
            TokenTree::Ident(ident) if ident == "Self" => {
                let path_goes_on = matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == ':' && next.spacing() == Spacing::Joint);
                if path_goes_on {
                    spelled.extend(quote!(<#me>));
                } else {
                    // One type, also where a `+` follows.
                    spelled.extend([TokenTree::Group(Group::new(Delimiter::None, me.to_token_stream()))]);
                }
            },
            other => spelled.extend([other]),
        }
    }
    spelled
}

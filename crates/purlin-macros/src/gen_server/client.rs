//! Writes the methods that `Ref` and `Name` of a server have: inherent methods of `dyn CounterClient`, to which both dereference.
//!
//! That way a client method needs no import, has the visibility of its original, and is no method of the server itself.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Visibility;

use super::emit::{Frame, at, without_self};
use super::model::{Kind, Message};
use super::shape::Shape;
use super::signature::text;

/// The trait that names the client. It is public whatever the server is, because it is part of a public trait's associated type.
pub(super) fn declaration(frame: &Frame<'_>) -> TokenStream {
    let Frame { me, client, server, .. } = frame;
    let p = frame.private_at(Span::call_site());
    let (_, _, clause) = frame.generics.split_for_impl();
    let generics = &frame.generics;
    let is_public =
        |message: &&Message| !message.kind.is_typed() && matches!(message.vis, Visibility::Public(_));
    let hidden = server.messages.iter().find(is_public).is_none().then(|| quote!(#[doc(hidden)]));
    let server = text(me);
    let doc = format!(
        "The client of `{server}`: methods of `Ref<{server}>` and `Name<{server}>`.\n\n\
         Calls are made when they are awaited and wait for 5 s at most, unless `.timeout(..)` or `.infinity()` says otherwise."
    );
    let params = &generics.params;
    quote! {
        #[doc = #doc]
        #hidden
        #[allow(unreachable_pub, private_bounds, private_interfaces)]
        pub trait #client<#params>: #p::Handle<#me> #clause {}
    }
}

/// The client methods, and the way from a handle to them.
pub(super) fn implementation(frame: &Frame<'_>) -> TokenStream {
    let Frame { me, client, server, .. } = frame;
    let p = frame.private_at(Span::call_site());
    let (generics, arguments, clause) = frame.generics.split_for_impl();
    let methods = server
        .messages
        .iter()
        .filter(|message| !message.kind.is_typed())
        .map(|message| method(frame, message));
    quote! {
        impl #generics #client #arguments for #p::Target<#me> #clause {}
        impl #generics dyn #client #arguments #clause {
            #(#methods)*
        }
        impl #generics #p::Client for #me #clause {
            type Client = dyn #client #arguments;
            fn client(target: &#p::Target<Self>) -> &Self::Client { target }
        }
    }
}

fn method(frame: &Frame<'_>, message: &Message) -> TokenStream {
    let Frame { krate, me, .. } = frame;
    let Message { ident, vis, docs, cfgs, deprecated, args, shape, .. } = message;
    let span = at(ident.span());
    let p = frame.private_at(span);
    let spell = |tokens: TokenStream| without_self(tokens, me);
    let names = args.iter().map(|arg| &arg.name);
    let types = args.iter().map(|arg| spell(arg.ty.to_token_stream()));
    let fields = args.iter().map(|arg| &arg.name);
    let marker = frame.marker();
    let name = frame.message_name(message);
    let message_value = quote_spanned!(span=> #name(#(#fields,)* #marker));
    let target = quote_spanned!(span=> #p::Handle::<#me>::__target(self));
    let head = quote!(#(#cfgs)* #(#docs)* #deprecated);
    if message.kind == Kind::Cast {
        return quote_spanned! {span=>
            #head
            #vis fn #ident(&self, #(#names: #types),*) {
                #p::cast_to(#target, #message_value)
            }
        };
    }
    let reply = match shape {
        Shape::Plain(None) => quote_spanned!(span=> ()),
        Shape::Plain(Some(reply)) | Shape::OrCrash(reply) | Shape::OrLater(reply) | Shape::Later(reply) => {
            spell(reply.to_token_stream())
        },
    };
    quote_spanned! {span=>
        #head
        #[track_caller]
        #vis fn #ident(&self, #(#names: #types),*) -> impl #krate::Call<#reply> {
            #p::call(#target, #message_value)
        }
    }
}

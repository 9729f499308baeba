//! The attributes that make plugins.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, DeriveInput, Error, FnArg, Ident, ItemFn, LitStr, Result, Token, Type, parse_quote};

use crate::docs::documentation;

/// The arguments of an attribute: nothing, or `name = "…"`.
pub(crate) struct Args {
    name: Option<LitStr>,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.is_empty() {
            return Ok(Self { name: None });
        }
        let key: Ident = input.parse()?;
        if key != "name" {
            return Err(Error::new_spanned(key, "expected `name = \"…\"`"));
        }
        input.parse::<Token![=]>()?;
        let name = Some(input.parse()?);
        Ok(Self { name })
    }
}

pub(crate) fn transform(args: &Args, function: &ItemFn) -> Result<TokenStream> {
    let (name, vis) = (&function.sig.ident, &function.vis);
    let (params, call) = match params_type(function)? {
        Some(params) => (params, quote!(#name(row, params))),
        None => (parse_quote!(()), quote!({ let () = params; #name(row) })),
    };
    let identity = identity(args, name, &function.attrs)?;
    let summary = format!("The plugin of the function `{name}`, with its parameters.");
    Ok(quote! {
        #function

        #[doc = #summary]
        #[allow(non_camel_case_types, reason = "it has the name of the function, as the two are one plugin")]
        #vis struct #name {
            params: #params,
        }

        #identity

        impl ::oast_sdk::BatchTransform for #name {
            type Params = #params;

            fn configure(
                params: #params,
                offered: &[::oast_sdk::Field],
            ) -> ::core::result::Result<(Self, ::oast_sdk::Schemas), ::oast_sdk::Error> {
                let plugin = Self { params };
                let params = &plugin.params;
                let schemas = ::oast_sdk::transform::schemas(offered, |row| #call)?;
                ::core::result::Result::Ok((plugin, schemas))
            }

            fn apply(
                &self,
                mut input: ::oast_sdk::Batch,
            ) -> ::core::result::Result<::oast_sdk::Output, ::oast_sdk::Error> {
                let params = &self.params;
                ::oast_sdk::transform::map_rows(&mut input, |row| #call)
            }
        }

        ::oast_sdk::export_transform!(#name);
    })
}

/// The type of the parameters, which the function takes by reference after the row.
fn params_type(function: &ItemFn) -> Result<Option<Type>> {
    let wrong = || {
        Error::new_spanned(
            &function.sig,
            "expected a function of a row, for example `fn ratio(row: Input) -> Output`, or of a row and a reference to parameters",
        )
    };
    let mut inputs = function.sig.inputs.iter();
    match (inputs.next(), inputs.next(), inputs.next()) {
        (Some(FnArg::Typed(_)), None, _) => Ok(None),
        (Some(FnArg::Typed(_)), Some(FnArg::Typed(params)), None) => match params.ty.as_ref() {
            Type::Reference(reference) if reference.mutability.is_none() => Ok(Some(reference.elem.as_ref().clone())),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

pub(crate) fn aggregate(args: &Args, item: &DeriveInput) -> Result<TokenStream> {
    let name = &item.ident;
    let identity = identity(args, name, &item.attrs)?;
    Ok(quote! {
        #item
        #identity
        const _: fn() = || {
            fn is_aggregate<T: ::oast_sdk::Aggregate>() {}
            is_aggregate::<#name>();
        };
        ::oast_sdk::export_aggregate!(::oast_sdk::Fold<#name>);
    })
}

pub(crate) fn batch_transform(args: &Args, item: &DeriveInput) -> Result<TokenStream> {
    let name = &item.ident;
    let identity = identity(args, name, &item.attrs)?;
    Ok(quote! {
        #item
        #identity
        ::oast_sdk::export_transform!(#name);
    })
}

pub(crate) fn batch_aggregate(args: &Args, item: &DeriveInput) -> Result<TokenStream> {
    let name = &item.ident;
    let identity = identity(args, name, &item.attrs)?;
    Ok(quote! {
        #item
        #identity
        ::oast_sdk::export_aggregate!(#name);
    })
}

fn identity(args: &Args, plugin: &Ident, attributes: &[Attribute]) -> Result<TokenStream> {
    let documentation = documentation(attributes);
    if documentation.is_empty() {
        return Err(Error::new_spanned(plugin, "add a doc comment: it becomes the plugin's documentation"));
    }
    let name = match &args.name {
        Some(name) => quote!(#name),
        None => quote!(::oast_sdk::name_of(::core::env!("CARGO_PKG_NAME"))),
    };
    Ok(quote! {
        impl ::oast_sdk::Plugin for #plugin {
            const NAME: &'static str = #name;
            const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
            const DOCUMENTATION: &'static str = #documentation;
        }
    })
}

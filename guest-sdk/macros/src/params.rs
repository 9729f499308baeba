//! `#[derive(Params)]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{DeriveInput, Error, Expr, ExprLit, Field, Lit, LitStr, Result};

use crate::docs::{documentation, named_fields};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "parameters have no lifetimes and no type parameters"));
    }
    let params: Vec<Param> = named_fields(input)?.iter().map(Param::parse).collect::<Result<_>>()?;
    let struct_name = &input.ident;
    let names = params.iter().map(|param| &param.name);
    let values = params.iter().map(Param::value);
    let docs = params.iter().map(Param::document);
    Ok(quote! {
        impl ::oast_sdk::Params for #struct_name {
            fn from_object(
                object: &::oast_sdk::Map<::std::string::String, ::oast_sdk::Json>,
            ) -> ::core::result::Result<Self, ::oast_sdk::Error> {
                ::oast_sdk::params::known(object, &[#(#names),*])?;
                ::core::result::Result::Ok(Self { #(#values,)* })
            }

            fn documentation() -> ::std::string::String {
                let mut documentation = ::std::string::String::new();
                #(documentation.push_str(&#docs);)*
                documentation
            }
        }
    })
}

struct Param<'a> {
    field: &'a Field,
    name: String,
    default: Option<Expr>,
}

impl<'a> Param<'a> {
    fn parse(field: &'a Field) -> Result<Self> {
        let mut param = Self {
            field,
            name: field.ident.as_ref().map(|ident| syn::ext::IdentExt::unraw(ident).to_string()).unwrap_or_default(),
            default: None,
        };
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("param")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("default") {
                    param.default = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("rename") {
                    param.name = meta.value()?.parse::<LitStr>()?.value();
                } else {
                    return Err(meta.error("expected `default = …` or `rename = \"…\"`"));
                }
                Ok(())
            })?;
        }
        Ok(param)
    }

    fn value(&self) -> TokenStream {
        let (ident, ty, name) = (&self.field.ident, &self.field.ty, &self.name);
        match &self.default {
            Some(default) => {
                let default = match default {
                    Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => quote!(::std::string::String::from(#text)),
                    other => quote!(#other),
                };
                quote!(#ident: ::oast_sdk::params::optional::<#ty>(object, #name, || #default)?)
            }
            None => quote!(#ident: ::oast_sdk::params::required::<#ty>(object, #name)?),
        }
    }

    fn document(&self) -> TokenStream {
        let (ty, name) = (&self.field.ty, &self.name);
        let docs = documentation(&self.field.attrs).replace('\n', " ");
        // A literal reads the same in Rust and in JSON; of anything else the doc comment tells.
        let default = match &self.default {
            Some(Expr::Lit(literal)) => {
                let text = format!("default `{}`", literal.to_token_stream());
                quote!(::core::option::Option::Some(#text))
            }
            Some(_) => quote!(::core::option::Option::Some("optional")),
            None => quote!(::core::option::Option::None),
        };
        quote!(::oast_sdk::params::document::<#ty>(#name, #default, #docs))
    }
}

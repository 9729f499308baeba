//! `#[derive(Params)]`.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    DeriveInput, Error, Expr, ExprLit, ExprRange, Field, Lit, LitStr, RangeLimits, Result, Token, parse::ParseStream,
    spanned::Spanned,
};

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
    /// The calls that add to the parameter's `Spec` what the attribute says.
    says: TokenStream,
}

impl<'a> Param<'a> {
    fn parse(field: &'a Field) -> Result<Self> {
        let mut param = Self {
            field,
            name: field.ident.as_ref().map(|ident| syn::ext::IdentExt::unraw(ident).to_string()).unwrap_or_default(),
            default: None,
            says: TokenStream::new(),
        };
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("param")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("default") {
                    param.default = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("rename") {
                    param.name = meta.value()?.parse::<LitStr>()?.value();
                } else if meta.path.is_ident("range") {
                    let range: Expr = meta.value()?.parse()?;
                    if !matches!(&range, Expr::Range(range) if range.start.is_some() && is_inclusive(range)) {
                        return Err(Error::new_spanned(range, "expected an inclusive range, for example `1..=50`"));
                    }
                    param.says.extend(quote_spanned!(range.span() => .range(#range)));
                } else if meta.path.is_ident("example") {
                    let json = json(meta.value()?)?;
                    param.says.extend(quote!(.example(&::oast_sdk::json_example!(#json))));
                } else if meta.path.is_ident("secret") {
                    param.says.extend(quote!(.secret()));
                } else {
                    return Err(meta.error(
                        "expected `default = …`, `rename = \"…\"`, `range = 1..=50`, `example = …` or `secret`",
                    ));
                }
                Ok(())
            })?;
        }
        Ok(param)
    }

    fn value(&self) -> TokenStream {
        let (ident, spec) = (&self.field.ident, self.spec());
        match &self.default {
            Some(default) => {
                let default = match default {
                    Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => quote!(::std::string::String::from(#text)),
                    other => quote!(#other),
                };
                quote!(#ident: #spec.optional(object, || #default)?)
            }
            None => quote!(#ident: #spec.required(object)?),
        }
    }

    fn document(&self) -> TokenStream {
        let spec = self.spec();
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
        quote!(#spec.document(#default, #docs))
    }

    fn spec(&self) -> TokenStream {
        let (ty, name, says) = (&self.field.ty, &self.name, &self.says);
        quote_spanned!(ty.span() => ::oast_sdk::params::spec::<#ty>(#name) #says)
    }
}

fn is_inclusive(range: &ExprRange) -> bool {
    range.end.is_some() && matches!(range.limits, RangeLimits::Closed(_))
}

/// The tokens of one value in JSON, which end at a comma.
fn json(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut value = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        value.extend([input.parse::<TokenTree>()?]);
    }
    match value.is_empty() {
        true => Err(input.error("expected a value in JSON, for example `[\"origin\", \"carrier\"]`")),
        false => Ok(value),
    }
}

//! `#[derive(Param)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Ident, LitStr, Result, Variant};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "expected an enum; for another type, implement `oast_sdk::Param`",
        ));
    };
    let choices: Vec<Choice> = data.variants.iter().map(Choice::parse).collect::<Result<_>>()?;
    let [first, ..] = &choices[..] else {
        return Err(Error::new_spanned(&input.ident, "expected an enum with a variant for each choice"));
    };
    let (name, expected, example) = (&input.ident, expected(&choices), first.quoted());
    let (idents, texts) = (choices.iter().map(|choice| choice.ident), choices.iter().map(|choice| &choice.text));
    Ok(quote! {
        impl ::oast_sdk::Param for #name {
            const EXPECTED: &'static str = #expected;
            const EXAMPLE: &'static str = #example;

            fn from_json(json: &::oast_sdk::Json) -> ::core::option::Option<Self> {
                match json.as_str()? {
                    #(#texts => ::core::option::Option::Some(Self::#idents),)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    })
}

/// A variant, and the text that stands for it.
struct Choice<'a> {
    ident: &'a Ident,
    text: String,
}

impl<'a> Choice<'a> {
    fn parse(variant: &'a Variant) -> Result<Self> {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "a choice is a variant without values"));
        }
        let mut choice = Self { ident: &variant.ident, text: snake_case(&variant.ident.to_string()) };
        for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("param")) {
            attribute.parse_nested_meta(|meta| {
                if !meta.path.is_ident("rename") {
                    return Err(meta.error("expected `rename = \"…\"`"));
                }
                choice.text = meta.value()?.parse::<LitStr>()?.value();
                Ok(())
            })?;
        }
        Ok(choice)
    }

    fn quoted(&self) -> String {
        format!("{:?}", self.text)
    }
}

/// All choices, as they are listed in a sentence.
fn expected(choices: &[Choice<'_>]) -> String {
    let mut quoted: Vec<String> = choices.iter().map(Choice::quoted).collect();
    match quoted.pop() {
        Some(last) if !quoted.is_empty() => format!("{} or {last}", quoted.join(", ")),
        only => only.unwrap_or_default(),
    }
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

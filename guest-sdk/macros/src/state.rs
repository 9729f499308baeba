//! `#[derive(State)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Result};

use crate::docs::named_fields;

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "a state has no lifetimes and no type parameters"));
    }
    let name = &input.ident;
    let fields = named_fields(input)?;
    let idents: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let types = fields.iter().map(|field| &field.ty);
    Ok(quote! {
        impl ::oast_sdk::State for #name {
            fn encode(&self, bytes: &mut ::std::vec::Vec<u8>) {
                #(::oast_sdk::State::encode(&self.#idents, bytes);)*
            }

            fn decode(bytes: &mut &[u8]) -> ::core::result::Result<Self, ::oast_sdk::Error> {
                ::core::result::Result::Ok(Self {
                    #(#idents: <#types as ::oast_sdk::State>::decode(bytes)?,)*
                })
            }
        }
    })
}

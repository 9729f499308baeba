//! `#[derive(Row)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Field, GenericParam, Lifetime, LitStr, Result, parse_quote};

use crate::docs::named_fields;

const EVENT_TIME: &str = "event_time";

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let lifetime = lifetime(input)?;
    let fields = named_fields(input)?;
    let names: Vec<String> = fields.iter().map(column_name).collect::<Result<_>>()?;
    check_names(input, &names)?;
    let name = &input.ident;
    let (_, generics, _) = input.generics.split_for_impl();
    let idents: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let places: Vec<_> = (0..fields.len()).map(syn::Index::from).collect();
    Ok(quote! {
        impl<#lifetime> ::oast_sdk::Row<#lifetime> for #name #generics {
            const FIELDS: &'static [::oast_sdk::row::FieldSpec] = &[#(
                ::oast_sdk::row::FieldSpec {
                    name: #names,
                    data_type: <#types as ::oast_sdk::Value<#lifetime>>::DATA_TYPE,
                    nullable: <#types as ::oast_sdk::Value<#lifetime>>::NULLABLE,
                },
            )*];
            type Reader = (#(<#types as ::oast_sdk::Value<#lifetime>>::Reader,)*);
            type Writer = (#(<#types as ::oast_sdk::Value<#lifetime>>::Writer,)*);
            type Slots<'w> = (#(<#types as ::oast_sdk::Value<#lifetime>>::Slots<'w>,)*);

            fn reader(
                batch: &#lifetime ::oast_sdk::Batch,
            ) -> ::core::result::Result<Self::Reader, ::oast_sdk::Error> {
                ::core::result::Result::Ok((#(
                    <#types as ::oast_sdk::Value<#lifetime>>::reader(batch.column(#places)?)?,
                )*))
            }

            #[inline]
            fn part(reader: &Self::Reader, rows: ::core::ops::Range<usize>) -> Self::Reader {
                (#(<#types as ::oast_sdk::Value<#lifetime>>::part(&reader.#places, rows.clone()),)*)
            }

            #[inline]
            fn read(reader: &Self::Reader, row: usize) -> Self {
                Self { #(#idents: <#types as ::oast_sdk::Value<#lifetime>>::read(&reader.#places, row),)* }
            }

            fn writer(rows: usize) -> Self::Writer {
                (#(<#types as ::oast_sdk::Value<#lifetime>>::writer(rows),)*)
            }

            #[inline]
            fn slots(writer: &mut Self::Writer, rows: ::core::ops::Range<usize>) -> Self::Slots<'_> {
                (#(<#types as ::oast_sdk::Value<#lifetime>>::slots(&mut writer.#places, rows.clone()),)*)
            }

            #[inline]
            fn write(self, slots: &mut Self::Slots<'_>, row: usize) {
                #(<#types as ::oast_sdk::Value<#lifetime>>::write(self.#idents, &mut slots.#places, row);)*
            }

            #[inline]
            fn write_nothing(slots: &mut Self::Slots<'_>, row: usize) {
                #(<#types as ::oast_sdk::Value<#lifetime>>::write_nothing(&mut slots.#places, row);)*
            }

            fn finish(writer: Self::Writer) -> ::std::vec::Vec<::oast_sdk::Column> {
                ::std::vec![#(<#types as ::oast_sdk::Value<#lifetime>>::finish(writer.#places),)*]
            }
        }

        impl #generics ::oast_sdk::outcome::IntoOutcome for #name #generics {
            type Row = Self;

            fn into_outcome(self) -> ::oast_sdk::Outcome<Self> {
                ::oast_sdk::Outcome::Keep(self)
            }
        }
    })
}

/// The lifetime of the struct's borrows, or one that it does not mention.
fn lifetime(input: &DeriveInput) -> Result<Lifetime> {
    let mut params = input.generics.params.iter();
    match (params.next(), params.next()) {
        (None, _) => Ok(parse_quote!('row)),
        (Some(GenericParam::Lifetime(param)), None) => Ok(param.lifetime.clone()),
        _ => Err(Error::new_spanned(&input.generics, "a row has one lifetime at most and no type parameters")),
    }
}

fn column_name(field: &Field) -> Result<String> {
    let mut name = field.ident.as_ref().map(|ident| syn::ext::IdentExt::unraw(ident).to_string()).unwrap_or_default();
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("row")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("rename") {
                return Err(meta.error("expected `rename = \"…\"`"));
            }
            name = meta.value()?.parse::<LitStr>()?.value();
            Ok(())
        })?;
    }
    Ok(name)
}

fn check_names(input: &DeriveInput, names: &[String]) -> Result<()> {
    let error = |message| Err(Error::new_spanned(&input.ident, message));
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return error(format!("two fields are the column `{name}`"));
        }
        if name == EVENT_TIME && index + 1 < names.len() {
            return error(format!("`{EVENT_TIME}` must be the last field"));
        }
    }
    Ok(())
}

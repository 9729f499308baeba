//! The derives and attributes of oast-sdk.

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemFn, parse_macro_input};

mod docs;
mod param;
mod params;
mod plugin;
mod row;
mod state;

/// Makes a struct a row whose fields are columns. A field's name is its column's, unless `#[row(rename = "…")]` says
/// otherwise.
#[proc_macro_derive(Row, attributes(row))]
pub fn row(input: TokenStream) -> TokenStream {
    expand(row::derive(&parse_macro_input!(input as DeriveInput)))
}

/// Makes a struct a set of parameters. `#[param(default = …)]` gives a parameter a default, `#[param(rename = "…")]` another
/// name.
#[proc_macro_derive(Params, attributes(param))]
pub fn params(input: TokenStream) -> TokenStream {
    expand(params::derive(&parse_macro_input!(input as DeriveInput)))
}

/// Makes an enum without values a parameter: the choice between texts, which are the names of its variants in snake case
/// unless `#[param(rename = "…")]` says otherwise.
#[proc_macro_derive(Param, attributes(param))]
pub fn param(input: TokenStream) -> TokenStream {
    expand(param::derive(&parse_macro_input!(input as DeriveInput)))
}

/// Makes a struct storable as a state.
#[proc_macro_derive(State)]
pub fn state(input: TokenStream) -> TokenStream {
    expand(state::derive(&parse_macro_input!(input as DeriveInput)))
}

/// Makes a function from one row to another a plugin, and the crate its component. The doc comments become the plugin's
/// documentation. `#[transform(name = "…")]` overrides the name that comes from the package.
///
/// The function takes a row and, optionally, a reference to parameters. It returns a row, an `Option` whose `None` drops
/// the row, a `Result` whose `Reject` rejects it, or an `Outcome`. A type with the function's name stands for the plugin
/// in tests.
#[proc_macro_attribute]
pub fn transform(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = parse_macro_input!(args as plugin::Args);
    expand(plugin::transform(&args, &parse_macro_input!(item as ItemFn)))
}

/// Makes a struct that implements `Aggregate` a plugin, and the crate its component. The doc comments become the plugin's
/// documentation. `#[aggregate(name = "…")]` overrides the name that comes from the package.
#[proc_macro_attribute]
pub fn aggregate(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = parse_macro_input!(args as plugin::Args);
    let item = parse_macro_input!(item as DeriveInput);
    expand(plugin::aggregate(&args, &item))
}

/// Makes a struct that implements `BatchTransform` a plugin, as `#[transform]` does for a function.
#[proc_macro_attribute]
pub fn batch_transform(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = parse_macro_input!(args as plugin::Args);
    let item = parse_macro_input!(item as DeriveInput);
    expand(plugin::batch_transform(&args, &item))
}

/// Makes a struct that implements `BatchAggregate` a plugin, as `#[aggregate]` does.
#[proc_macro_attribute]
pub fn batch_aggregate(args: TokenStream, item: TokenStream) -> TokenStream {
    let args = parse_macro_input!(args as plugin::Args);
    let item = parse_macro_input!(item as DeriveInput);
    expand(plugin::batch_aggregate(&args, &item))
}

fn expand(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}

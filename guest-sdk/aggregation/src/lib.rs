//! The bindings of the world `aggregation`, for `oast-sdk` alone.
//!
//! They have a crate of their own because both worlds export the interface `plugin`: the export macros that wit-bindgen
//! generates carry the interface's name and live at the root of their crate, where two of them collide.

#![allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    reason = "everything here is generated from wit/transform.wit, which has the documentation"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "aggregation",
    pub_export_macro: true,
    export_macro_name: "export_aggregation",
});

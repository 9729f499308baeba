//! Plugin projects in every language, from `oast plugin new` to the daemon, with the toolchains that authors have.
//!
//! `cargo test --test languages` runs them; they take minutes, and fetch compilers and packages.

mod authoring;
mod costs;
mod docs;
mod foreign;
mod serving;
mod workshop;

//! Write transforms and aggregates for Oast, and compile them to WebAssembly components.
//!
//! A transform is a function from one row to another:
//!
//! ```
//! use oast_sdk::{Outcome, Params, Row, transform};
//!
//! #[derive(Row)]
//! struct Flight<'a> {
//!     distance: f64,
//!     tail: Option<&'a str>,
//! }
//!
//! #[derive(Row)]
//! struct Plane<'a> {
//!     distance_km: f64,
//!     country: &'a str,
//! }
//!
//! #[derive(Params)]
//! struct Miles {
//!     /// Kilometres in a mile.
//!     #[param(default = 1.609344)]
//!     factor: f64,
//! }
//!
//! /// Converts the distance and takes the country from the tail number. Flights without a tail number are dropped.
//! #[transform]
//! fn locate<'a>(flight: Flight<'a>, miles: &Miles) -> Outcome<Plane<'a>> {
//!     if flight.distance < 0.0 {
//!         return Outcome::reject("negative_distance", "a distance is at least 0");
//!     }
//!     let Some(country) = flight.tail.and_then(|tail| tail.get(..1)) else {
//!         return Outcome::Drop;
//!     };
//!     Outcome::Keep(Plane { distance_km: flight.distance * miles.factor, country })
//! }
//!
//! # fn main() {
//! // The function is still a function, and the component can be tried without one.
//! use oast_sdk::testing::{Transform, json};
//! let plugin = Transform::<locate>::new(json!({}), "distance: float64, tail: utf8?").expect("it configures");
//! assert_eq!(
//!     plugin.apply(json!([[100.0, "N14228"], [100.0, null], [-1.0, "N14228"]])),
//!     json!([[160.9344, "N"], "drop", {"reject": "negative_distance"}]),
//! );
//! # }
//! ```
//!
//! An aggregate is a struct that rows fold into:
//!
//! ```
//! use oast_sdk::{Aggregate, Row, State, aggregate};
//!
//! /// The longest flight.
//! #[aggregate]
//! #[derive(Default, State)]
//! struct Longest {
//!     distance: Option<f64>,
//! }
//!
//! #[derive(Row)]
//! struct Flight {
//!     distance: f64,
//! }
//!
//! #[derive(Row)]
//! struct Feature {
//!     longest: Option<f64>,
//! }
//!
//! impl Aggregate for Longest {
//!     type Input<'a> = Flight;
//!     type Output = Feature;
//!     type Params = ();
//!
//!     fn update(&mut self, flight: Flight, _: &()) {
//!         let longest = self.distance.map_or(flight.distance, |d| d.max(flight.distance));
//!         self.distance = Some(longest);
//!     }
//!
//!     fn merge(&mut self, later: Longest, _: &()) {
//!         if let Some(distance) = later.distance {
//!             self.update(Flight { distance }, &());
//!         }
//!     }
//!
//!     fn finish(&self, _: &()) -> Feature {
//!         Feature { longest: self.distance }
//!     }
//! }
//!
//! # fn main() {
//! use oast_sdk::testing::{Aggregation, json};
//! let plugin = Aggregation::<oast_sdk::Fold<Longest>>::new(json!({}), "distance: float64").expect("it configures");
//! assert_eq!(plugin.fold(json!([[733.0], [2475.0], [187.0]]), &[1]), json!([2475.0]));
//! # }
//! ```
//!
//! The crate is a `cdylib`, and an `rlib` so that it can be tested and measured as ordinary Rust. Its name without the
//! prefix `oast-` is the plugin's name, its version the plugin's version:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//! ```
//!
//! ```console
//! CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-component-ld cargo build --release --target wasm32-unknown-unknown
//! ```
//!
//! What comes out imports nothing: there is no clock, no random source and no file behind it, and a `HashMap` that is
//! iterated has no order that lasts. [`hash`] gives a hash that does,
//! [`math`] functions whose last bit does, and [`Random`] random numbers that belong to a row. A panic is a trap: the row fails, nothing else does.
//!
//! Plugins whose schemas depend on the columns at hand implement [`BatchTransform`] or [`BatchAggregate`].

extern crate self as oast_sdk;

mod aggregate;
mod any;
#[cfg(any(target_arch = "wasm32", test))]
mod arena;
mod batch;
mod calendar;
mod error;
#[doc(hidden)]
pub mod export;
mod hash;
pub mod math;
pub mod outcome;
pub mod params;
mod plugin;
mod random;
pub mod row;
pub mod schema;
pub mod state;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
#[doc(hidden)]
pub mod transform;
mod value;

pub use aggregate::{Aggregate, BatchAggregate, Fold, MergeLaw};
pub use any::{AnyBuilder, AnyColumn, Validity};
pub use batch::{Batch, Blobs, Buffer, Column, Vectors, in_chunks};
pub use calendar::Date;
pub use error::Error;
pub use hash::hash;
pub use oast_sdk_macros::{Param, Params, Row, State, aggregate, batch_aggregate, batch_transform, transform};
pub use outcome::{Outcome, Output, Reject, Verdict};
pub use params::{Param, Params};
pub use plugin::Plugin;
#[doc(hidden)]
pub use plugin::name_of;
pub use random::Random;
pub use row::Row;

pub use schema::{DataType, Field, Schemas, Timestamp};
#[doc(hidden)]
pub use serde_json::json as json_example;
pub use serde_json::{Map, Value as Json};
pub use state::State;
pub use transform::BatchTransform;
pub use value::Value;

//! Between the generated bindings and the SDK's own types. Whatever is a list moves across without being copied.

use std::cell::OnceCell;
use std::marker::PhantomData;

use crate::{BatchAggregate, BatchTransform, Error, Field, Params, Plugin, Schemas};

/// The bindings of the world `row-transform`.
#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    reason = "everything here is generated from wit/transform.wit, which has the documentation"
)]
pub mod row_transform {
    wit_bindgen::generate!({
        path: "../wit",
        world: "row-transform",
        pub_export_macro: true,
        export_macro_name: "export_row_transform",
    });
}

pub use oast_sdk_aggregation as aggregation;

/// Where a component keeps its configured plugin. The export macros make one in the author's crate, because a static
/// cannot be generic.
pub trait Slot {
    /// The plugin.
    type Plugin: Plugin;

    /// Calls a function with the place of the plugin.
    fn with<R>(call: impl FnOnce(&OnceCell<Self::Plugin>) -> R) -> R;
}

/// The exports of a component of the world `row-transform`.
pub struct TransformComponent<S>(PhantomData<S>);

/// The exports of a component of the world `aggregation`.
pub struct AggregateComponent<S>(PhantomData<S>);

/// Configures the plugin and keeps it. The arena starts over from here at the end of every call.
fn configure<S: Slot>(
    params: &str,
    offered: &[Field],
    configure: impl FnOnce(&str, &[Field]) -> Result<(S::Plugin, Schemas), Error>,
) -> Result<Schemas, Error> {
    let (plugin, schemas) = configure(params, offered)?;
    S::with(|slot| slot.set(plugin)).map_err(|_| Error::new("`configure` was called a second time"))?;
    #[cfg(target_arch = "wasm32")]
    crate::arena::set_mark();
    Ok(schemas)
}

fn call<S: Slot, R>(call: impl FnOnce(&S::Plugin) -> Result<R, Error>) -> Result<R, String> {
    S::with(|slot| match slot.get() {
        Some(plugin) => call(plugin).map_err(|error| error.to_string()),
        None => Err("`configure` was not called".to_owned()),
    })
}

/// The documentation of a plugin and its parameters.
pub(crate) fn documentation<T: Plugin, P: Params>() -> String {
    let params = P::documentation();
    if params.is_empty() {
        return T::DOCUMENTATION.to_owned();
    }
    format!("{}\n\n## Parameters\n\n{params}", T::DOCUMENTATION)
}

/// Conversions for one world's bindings: the two worlds have types of their own for the one interface `plugin`.
macro_rules! plugin_conversions {
    ($module:ident, $($bindings:ident)::+) => {
        mod $module {
            use $($bindings)::+ as wit;
            use crate::{Batch, Blobs, Buffer, Column, DataType, Field, MergeLaw, Params, Plugin, Schemas, Vectors};

            fn data_type_in(data_type: wit::DataType) -> DataType {
                match data_type {
                    wit::DataType::Bool => DataType::Bool,
                    wit::DataType::Int64 => DataType::Int64,
                    wit::DataType::Float64 => DataType::Float64,
                    wit::DataType::Utf8 => DataType::Utf8,
                    wit::DataType::Binary => DataType::Binary,
                    wit::DataType::Timestamp => DataType::Timestamp,
                    wit::DataType::Vector(width) => DataType::Vector(width),
                }
            }

            fn data_type_out(data_type: DataType) -> wit::DataType {
                match data_type {
                    DataType::Bool => wit::DataType::Bool,
                    DataType::Int64 => wit::DataType::Int64,
                    DataType::Float64 => wit::DataType::Float64,
                    DataType::Utf8 => wit::DataType::Utf8,
                    DataType::Binary => wit::DataType::Binary,
                    DataType::Timestamp => wit::DataType::Timestamp,
                    DataType::Vector(width) => wit::DataType::Vector(width),
                }
            }

            pub(super) fn fields_in(fields: Vec<wit::Field>) -> Vec<Field> {
                fields.into_iter().map(|field| Field {
                    name: field.name,
                    data_type: data_type_in(field.data_type),
                    nullable: field.nullable,
                }).collect()
            }

            fn fields_out(fields: Vec<Field>) -> Vec<wit::Field> {
                fields.into_iter().map(|field| wit::Field {
                    name: field.name,
                    data_type: data_type_out(field.data_type),
                    nullable: field.nullable,
                }).collect()
            }

            pub(super) fn blobs_in(blobs: wit::Blobs) -> Blobs {
                Blobs { offsets: blobs.offsets, bytes: blobs.bytes }
            }

            pub(super) fn blobs_out(blobs: Blobs) -> wit::Blobs {
                wit::Blobs { offsets: blobs.offsets, bytes: blobs.bytes }
            }

            fn buffer_in(buffer: wit::Buffer) -> Buffer {
                match buffer {
                    wit::Buffer::Bools(values) => Buffer::Bools(values),
                    wit::Buffer::Int64s(values) => Buffer::Int64s(values),
                    wit::Buffer::Float64s(values) => Buffer::Float64s(values),
                    wit::Buffer::Timestamps(values) => Buffer::Timestamps(values),
                    wit::Buffer::Utf8(blobs) => Buffer::Utf8(blobs_in(blobs)),
                    wit::Buffer::Binary(blobs) => Buffer::Binary(blobs_in(blobs)),
                    wit::Buffer::Vectors(vectors) => Buffer::Vectors(Vectors {
                        width: vectors.width,
                        values: vectors.values,
                    }),
                }
            }

            fn buffer_out(buffer: Buffer) -> wit::Buffer {
                match buffer {
                    Buffer::Bools(values) => wit::Buffer::Bools(values),
                    Buffer::Int64s(values) => wit::Buffer::Int64s(values),
                    Buffer::Float64s(values) => wit::Buffer::Float64s(values),
                    Buffer::Timestamps(values) => wit::Buffer::Timestamps(values),
                    Buffer::Utf8(blobs) => wit::Buffer::Utf8(blobs_out(blobs)),
                    Buffer::Binary(blobs) => wit::Buffer::Binary(blobs_out(blobs)),
                    Buffer::Vectors(vectors) => wit::Buffer::Vectors(wit::Vectors {
                        width: vectors.width,
                        values: vectors.values,
                    }),
                }
            }

            pub(super) fn batch_in(batch: wit::Batch) -> Batch {
                let columns = batch.columns.into_iter().map(|column| Column {
                    buffer: buffer_in(column.buffer),
                    validity: column.validity,
                });
                Batch { rows: batch.rows as usize, columns: columns.collect() }
            }

            pub(super) fn batch_out(batch: Batch) -> wit::Batch {
                let columns = batch.columns.into_iter().map(|column| wit::Column {
                    buffer: buffer_out(column.buffer),
                    validity: column.validity,
                });
                wit::Batch { rows: batch.rows as u32, columns: columns.collect() }
            }

            pub(super) fn descriptor<T: Plugin, P: Params>(
                schemas: Schemas,
                order_sensitive: bool,
                merge_law: Option<MergeLaw>,
            ) -> wit::Descriptor {
                wit::Descriptor {
                    name: T::NAME.to_owned(),
                    version: T::VERSION.to_owned(),
                    documentation: super::documentation::<T, P>(),
                    input: fields_out(schemas.input),
                    output: fields_out(schemas.output),
                    order_sensitive,
                    merge_law: merge_law.map(|law| match law {
                        MergeLaw::Exact => wit::MergeLaw::Exact,
                        MergeLaw::Rounded => wit::MergeLaw::Rounded,
                        MergeLaw::Approximate => wit::MergeLaw::Approximate,
                    }),
                }
            }
        }
    };
}

plugin_conversions!(transform_conversions, crate::export::row_transform::exports::oast::transform::plugin);
plugin_conversions!(aggregate_conversions, crate::export::aggregation::exports::oast::transform::plugin);

mod transform_exports {
    use super::row_transform::exports::oast::transform::{plugin, transform};
    use super::{BatchTransform, Params, Slot, TransformComponent, transform_conversions as convert};
    use crate::{Output, Verdict};

    impl<S: Slot<Plugin: BatchTransform>> plugin::Guest for TransformComponent<S> {
        fn configure(params: String, offered: Vec<plugin::Field>) -> Result<plugin::Descriptor, String> {
            let offered = convert::fields_in(offered);
            super::configure::<S>(&params, &offered, |params, offered| {
                S::Plugin::configure(Params::parse(params)?, offered)
            })
            .map(|schemas| {
                convert::descriptor::<S::Plugin, <S::Plugin as BatchTransform>::Params>(schemas, false, None)
            })
            .map_err(|error| error.to_string())
        }
    }

    impl<S: Slot<Plugin: BatchTransform>> transform::Guest for TransformComponent<S> {
        fn apply(input: transform::Batch) -> Result<transform::Output, String> {
            super::call::<S, _>(|plugin| plugin.apply(convert::batch_in(input))).map(output)
        }
    }

    fn output(output: Output) -> transform::Output {
        let verdicts = output.verdicts.map(|verdicts| verdicts.into_iter().map(verdict).collect());
        let rejections = output.rejections.into_iter();
        transform::Output {
            rows: convert::batch_out(output.rows),
            verdicts,
            rejections: rejections
                .map(|(row, reject)| transform::Rejection {
                    row,
                    code: reject.code.into_owned(),
                    message: reject.message,
                })
                .collect(),
        }
    }

    fn verdict(verdict: Verdict) -> transform::Verdict {
        match verdict {
            Verdict::Keep => transform::Verdict::Keep,
            Verdict::Drop => transform::Verdict::Drop,
            Verdict::Reject => transform::Verdict::Reject,
        }
    }
}

mod aggregate_exports {
    use super::aggregation::exports::oast::transform::{aggregate, plugin};
    use super::{AggregateComponent, BatchAggregate, Params, Slot, aggregate_conversions as convert};

    impl<S: Slot<Plugin: BatchAggregate>> plugin::Guest for AggregateComponent<S> {
        fn configure(params: String, offered: Vec<plugin::Field>) -> Result<plugin::Descriptor, String> {
            let offered = convert::fields_in(offered);
            super::configure::<S>(&params, &offered, |params, offered| {
                S::Plugin::configure(Params::parse(params)?, offered)
            })
            .map(|schemas| {
                convert::descriptor::<S::Plugin, <S::Plugin as BatchAggregate>::Params>(
                    schemas,
                    S::Plugin::ORDER_SENSITIVE,
                    Some(S::Plugin::MERGE_LAW),
                )
            })
            .map_err(|error| error.to_string())
        }
    }

    impl<S: Slot<Plugin: BatchAggregate>> aggregate::Guest for AggregateComponent<S> {
        fn update(
            states: aggregate::Blobs,
            group_rows: Vec<u32>,
            rows: aggregate::Batch,
        ) -> Result<aggregate::Blobs, String> {
            let states = convert::blobs_in(states);
            let rows = convert::batch_in(rows);
            super::call::<S, _>(|plugin| crate::aggregate::update(plugin, &states, &group_rows, rows))
                .map(convert::blobs_out)
        }

        fn merge(states: aggregate::Blobs, group_states: Vec<u32>) -> Result<aggregate::Blobs, String> {
            let states = convert::blobs_in(states);
            super::call::<S, _>(|plugin| crate::aggregate::merge(plugin, &states, &group_states))
                .map(convert::blobs_out)
        }

        fn finish(states: aggregate::Blobs, group_states: Vec<u32>) -> Result<aggregate::Batch, String> {
            let states = convert::blobs_in(states);
            super::call::<S, _>(|plugin| crate::aggregate::finish(plugin, &states, &group_states))
                .map(convert::batch_out)
        }
    }
}

/// Makes the crate a component that exports a [`BatchTransform`](crate::BatchTransform). On a native target it does
/// nothing.
#[doc(hidden)]
#[macro_export]
macro_rules! export_transform {
    ($plugin:ty) => {
        $crate::export_component!($plugin, TransformComponent, row_transform, export_row_transform);
    };
}

/// Makes the crate a component that exports a [`BatchAggregate`](crate::BatchAggregate). On a native target it does
/// nothing.
#[doc(hidden)]
#[macro_export]
macro_rules! export_aggregate {
    ($plugin:ty) => {
        $crate::export_component!($plugin, AggregateComponent, aggregation, export_aggregation);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_component {
    ($plugin:ty, $component:ident, $world:ident, $export:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            thread_local! {
                static PLUGIN: ::std::cell::OnceCell<$plugin> = const { ::std::cell::OnceCell::new() };
            }

            struct Slot;

            impl $crate::export::Slot for Slot {
                type Plugin = $plugin;

                fn with<R>(call: impl FnOnce(&::std::cell::OnceCell<$plugin>) -> R) -> R {
                    PLUGIN.with(call)
                }
            }

            type Component = $crate::export::$component<Slot>;
    $crate::export::$world::$export!(Component with_types_in $crate::export::$world);
        };
    };
}

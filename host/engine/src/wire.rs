//! The types of `wit/transform.wit` as wasmtime lifts and lowers them. What goes in is borrowed and copied in bulk; what
//! comes out is owned, and checked by the callers before anything trusts it.

use std::{borrow::Cow, ops::Range};

use oast_core::{Batch, Blobs, Column, DataType, Descriptor, Field, MergeLaw, Schema, SchemaError, Values};
use wasmtime::component::{ComponentType, Lift, Lower, WasmList, WasmStr};

#[derive(ComponentType, Lift, Lower, Debug, Clone, Copy)]
#[component(variant)]
pub(crate) enum WireType {
    #[component(name = "bool")]
    Bool,
    #[component(name = "int64")]
    Int64,
    #[component(name = "float64")]
    Float64,
    #[component(name = "utf8")]
    Utf8,
    #[component(name = "binary")]
    Binary,
    #[component(name = "timestamp")]
    Timestamp,
    #[component(name = "vector")]
    Vector(u32),
}

impl From<DataType> for WireType {
    fn from(data_type: DataType) -> Self {
        match data_type {
            DataType::Bool => Self::Bool,
            DataType::Int64 => Self::Int64,
            DataType::Float64 => Self::Float64,
            DataType::Utf8 => Self::Utf8,
            DataType::Binary => Self::Binary,
            DataType::Timestamp => Self::Timestamp,
            DataType::Vector(width) => Self::Vector(width),
        }
    }
}

impl From<WireType> for DataType {
    fn from(wire: WireType) -> Self {
        match wire {
            WireType::Bool => Self::Bool,
            WireType::Int64 => Self::Int64,
            WireType::Float64 => Self::Float64,
            WireType::Utf8 => Self::Utf8,
            WireType::Binary => Self::Binary,
            WireType::Timestamp => Self::Timestamp,
            WireType::Vector(width) => Self::Vector(width),
        }
    }
}

#[derive(ComponentType, Lift, Lower, Debug, Clone)]
#[component(record)]
pub(crate) struct WireField {
    name: String,
    #[component(name = "data-type")]
    data_type: WireType,
    nullable: bool,
}

/// A schema as `configure` is offered it.
pub(crate) fn wire_fields(schema: &Schema) -> Vec<WireField> {
    let wire = |field: &Field| WireField {
        name: field.name.clone(),
        data_type: field.data_type.into(),
        nullable: field.nullable,
    };
    schema.fields().iter().map(wire).collect()
}

#[derive(ComponentType, Lift, Debug, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the variants are only ever made by lifting what a guest returned")]
pub(crate) enum WireMergeLaw {
    #[component(name = "exact")]
    Exact,
    #[component(name = "rounded")]
    Rounded,
    #[component(name = "approximate")]
    Approximate,
}

impl From<WireMergeLaw> for MergeLaw {
    fn from(wire: WireMergeLaw) -> Self {
        match wire {
            WireMergeLaw::Exact => Self::Exact,
            WireMergeLaw::Rounded => Self::Rounded,
            WireMergeLaw::Approximate => Self::Approximate,
        }
    }
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct WireDescriptor {
    name: String,
    version: String,
    documentation: String,
    input: Vec<WireField>,
    output: Vec<WireField>,
    #[component(name = "order-sensitive")]
    order_sensitive: bool,
    #[component(name = "merge-law")]
    merge_law: Option<WireMergeLaw>,
}

/// The descriptor of package version 0.1.0.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct WireDescriptorV0_1 {
    name: String,
    version: String,
    documentation: String,
    input: Vec<WireField>,
    output: Vec<WireField>,
    #[component(name = "order-sensitive")]
    order_sensitive: bool,
}

/// A descriptor that is left in the guest's memory: an invocation has no use for it.
#[derive(ComponentType, Lift)]
#[component(record)]
#[expect(dead_code, reason = "the fields are the contract's, and nobody reads them")]
pub(crate) struct UnreadDescriptor {
    name: WasmStr,
    version: WasmStr,
    documentation: WasmStr,
    input: WasmList<WireField>,
    output: WasmList<WireField>,
    #[component(name = "order-sensitive")]
    order_sensitive: bool,
    #[component(name = "merge-law")]
    merge_law: Option<WireMergeLaw>,
}

/// The same of package version 0.1.0.
#[derive(ComponentType, Lift)]
#[component(record)]
#[expect(dead_code, reason = "the fields are the contract's, and nobody reads them")]
pub(crate) struct UnreadDescriptorV0_1 {
    name: WasmStr,
    version: WasmStr,
    documentation: WasmStr,
    input: WasmList<WireField>,
    output: WasmList<WireField>,
    #[component(name = "order-sensitive")]
    order_sensitive: bool,
}

impl TryFrom<WireDescriptor> for Descriptor {
    type Error = SchemaError;

    fn try_from(wire: WireDescriptor) -> Result<Self, SchemaError> {
        Ok(Self {
            name: wire.name,
            version: wire.version,
            documentation: wire.documentation,
            input: schema(wire.input)?,
            output: schema(wire.output)?,
            order_sensitive: wire.order_sensitive,
            merge_law: wire.merge_law.map(MergeLaw::from),
        })
    }
}

impl TryFrom<WireDescriptorV0_1> for Descriptor {
    type Error = SchemaError;

    fn try_from(wire: WireDescriptorV0_1) -> Result<Self, SchemaError> {
        let WireDescriptorV0_1 { name, version, documentation, input, output, order_sensitive } = wire;
        WireDescriptor { name, version, documentation, input, output, order_sensitive, merge_law: None }.try_into()
    }
}

fn schema(fields: Vec<WireField>) -> Result<Schema, SchemaError> {
    let field =
        |field: WireField| Field { name: field.name, data_type: field.data_type.into(), nullable: field.nullable };
    Schema::new(fields.into_iter().map(field).collect())
}

#[derive(ComponentType, Lower, Debug, Clone, Copy)]
#[component(record)]
pub(crate) struct BlobsArg<'a> {
    offsets: &'a [u32],
    bytes: &'a [u8],
}

/// Some strings of many, whose offsets begin at 0 again.
pub(crate) struct BlobsPart<'a> {
    offsets: Cow<'a, [u32]>,
    bytes: &'a [u8],
}

impl<'a> BlobsPart<'a> {
    pub(crate) fn new(blobs: &'a Blobs, strings: Range<usize>) -> Self {
        let offsets = &blobs.offsets[strings.start..=strings.end];
        let (first, last) = (offsets[0], offsets[strings.len()]);
        let offsets = if first == 0 { offsets.into() } else { offsets.iter().map(|offset| offset - first).collect() };
        Self { offsets, bytes: &blobs.bytes[first as usize..last as usize] }
    }
}

impl<'a> From<&'a BlobsPart<'_>> for BlobsArg<'a> {
    fn from(part: &'a BlobsPart<'_>) -> Self {
        Self { offsets: &part.offsets, bytes: part.bytes }
    }
}

impl<'a> From<&'a Blobs> for BlobsArg<'a> {
    fn from(blobs: &'a Blobs) -> Self {
        Self { offsets: &blobs.offsets, bytes: &blobs.bytes }
    }
}

#[derive(ComponentType, Lower, Debug, Clone, Copy)]
#[component(record)]
pub(crate) struct VectorsArg<'a> {
    width: u32,
    values: &'a [f32],
}

#[derive(ComponentType, Lower, Debug, Clone, Copy)]
#[component(variant)]
pub(crate) enum BufferArg<'a> {
    #[component(name = "bools")]
    Bools(&'a [u8]),
    #[component(name = "int64s")]
    Int64s(&'a [i64]),
    #[component(name = "float64s")]
    Float64s(&'a [f64]),
    #[component(name = "timestamps")]
    Timestamps(&'a [i64]),
    #[component(name = "utf8")]
    Utf8(BlobsArg<'a>),
    #[component(name = "binary")]
    Binary(BlobsArg<'a>),
    #[component(name = "vectors")]
    Vectors(VectorsArg<'a>),
}

#[derive(ComponentType, Lower, Debug, Clone, Copy)]
#[component(record)]
pub(crate) struct ColumnArg<'a> {
    buffer: BufferArg<'a>,
    validity: Option<&'a [u8]>,
}

impl<'a> From<&'a Column> for ColumnArg<'a> {
    fn from(column: &'a Column) -> Self {
        let buffer = match &column.values {
            Values::Bool(values) => BufferArg::Bools(values),
            Values::Int64(values) => BufferArg::Int64s(values),
            Values::Float64(values) => BufferArg::Float64s(values),
            Values::Timestamp(values) => BufferArg::Timestamps(values),
            Values::Utf8(blobs) => BufferArg::Utf8(blobs.into()),
            Values::Binary(blobs) => BufferArg::Binary(blobs.into()),
            Values::Vector { width, values } => BufferArg::Vectors(VectorsArg { width: *width, values }),
        };
        // A row costs the same whatever rows it came with: one cut from a column with nulls brings no validity of its own.
        let validity = column.validity.as_deref().filter(|validity| validity.contains(&0));
        Self { buffer, validity }
    }
}

#[derive(ComponentType, Lower, Debug, Clone)]
#[component(record)]
pub(crate) struct BatchArg<'a> {
    rows: u32,
    columns: Vec<ColumnArg<'a>>,
}

impl<'a> From<&'a Batch> for BatchArg<'a> {
    fn from(batch: &'a Batch) -> Self {
        Self { rows: batch.rows as u32, columns: batch.columns.iter().map(ColumnArg::from).collect() }
    }
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct WireBlobs {
    offsets: Vec<u32>,
    bytes: Vec<u8>,
}

impl From<WireBlobs> for Blobs {
    fn from(wire: WireBlobs) -> Self {
        Self { offsets: wire.offsets, bytes: wire.bytes }
    }
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct WireVectors {
    width: u32,
    values: Vec<f32>,
}

#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum WireBuffer {
    #[component(name = "bools")]
    Bools(Vec<u8>),
    #[component(name = "int64s")]
    Int64s(Vec<i64>),
    #[component(name = "float64s")]
    Float64s(Vec<f64>),
    #[component(name = "timestamps")]
    Timestamps(Vec<i64>),
    #[component(name = "utf8")]
    Utf8(WireBlobs),
    #[component(name = "binary")]
    Binary(WireBlobs),
    #[component(name = "vectors")]
    Vectors(WireVectors),
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct WireColumn {
    buffer: WireBuffer,
    validity: Option<Vec<u8>>,
}

impl From<WireColumn> for Column {
    fn from(wire: WireColumn) -> Self {
        let values = match wire.buffer {
            WireBuffer::Bools(values) => Values::Bool(values),
            WireBuffer::Int64s(values) => Values::Int64(values),
            WireBuffer::Float64s(values) => Values::Float64(values),
            WireBuffer::Timestamps(values) => Values::Timestamp(values),
            WireBuffer::Utf8(blobs) => Values::Utf8(blobs.into()),
            WireBuffer::Binary(blobs) => Values::Binary(blobs.into()),
            WireBuffer::Vectors(WireVectors { width, values }) => Values::Vector { width, values },
        };
        Self { values, validity: wire.validity }
    }
}

/// A batch as a guest returned it: nothing in it is checked yet.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct WireBatch {
    pub(crate) rows: u32,
    columns: Vec<WireColumn>,
}

impl From<WireBatch> for Batch {
    fn from(wire: WireBatch) -> Self {
        Self { rows: wire.rows as usize, columns: wire.columns.into_iter().map(Column::from).collect() }
    }
}

#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum WireVerdict {
    #[component(name = "keep")]
    Keep,
    #[component(name = "drop")]
    Drop,
    #[component(name = "reject")]
    Reject,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct WireRejection {
    pub(crate) row: u32,
    pub(crate) code: String,
    pub(crate) message: String,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct WireOutput {
    pub(crate) rows: WireBatch,
    pub(crate) verdicts: Option<Vec<WireVerdict>>,
    pub(crate) rejections: Vec<WireRejection>,
}

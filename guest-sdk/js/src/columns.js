// Columns between the contract and JavaScript values, whole columns at a time.
//
// A column is { values, validity }: the values a typed array, or { offsets, bytes }; the validity one byte a row or null.

import { Rejection } from "./outcome.js";
import { shown, typeName } from "./schema.js";

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** A function from a row's number to its value. `declared` is the author's type, which may be wider than the column's. */
export function reader(bound, declared, { values, validity }) {
  const get = plainReader(bound, declared, values);
  return validity ? (row) => (validity[row] ? get(row) : null) : get;
}

function plainReader({ kind, width }, declared, values) {
  if (kind === "bool") return (row) => values[row] !== 0;
  if (kind === "utf8") return (row) => decoder.decode(sliced(values, row));
  if (kind === "binary") return (row) => sliced(values, row).slice();
  if (kind === "vector") return (row) => Float32Array.from(values.slice(row * width, (row + 1) * width));
  if (kind === "int64" && declared.kind === "float64") return (row) => Number(values[row]);
  return (row) => values[row];
}

export function sliced({ offsets, bytes }, row) {
  return bytes.subarray(offsets[row], offsets[row + 1]);
}

/** Collects the values of one column of the output. */
export class Writer {
  constructor(field, rows) {
    this.field = field;
    this.values = new Array(rows);
    this.nulls = false;
  }

  /** Takes a value, or throws a rejection that says what is wrong with it. */
  set(row, value) {
    if (value === null) {
      if (!this.field.nullable) throw misfit(this.field, value);
      this.nulls = true;
      this.values[row] = null;
    } else {
      this.values[row] = checked(this.field, value);
    }
  }

  /** Fills the place of a row that is not kept. */
  skip(row) {
    this.values[row] = undefined;
  }

  /** The column on the wire. */
  finish() {
    const { field, values, nulls } = this;
    const validity = nulls ? Uint8Array.from(values, (value) => (value === null ? 0 : 1)) : null;
    return { values: WIRE[field.kind](values, field.width), validity };
  }
}

/** The value as the column holds it. */
export function checked(field, value) {
  const { kind, width } = field;
  if (kind === "float64" && typeof value === "number") return value;
  if (kind === "bool" && typeof value === "boolean") return value;
  if (kind === "utf8" && typeof value === "string" && value.isWellFormed()) return value;
  if (kind === "binary" && value instanceof Uint8Array) return value;
  if (kind === "int64" || kind === "timestamp") {
    const big = Number.isSafeInteger(value) ? BigInt(value) : value;
    if (typeof big === "bigint" && big >= INT64_MIN && big <= INT64_MAX) return big;
  }
  if (kind === "vector" && value?.length === width && Array.prototype.every.call(value, (v) => typeof v === "number")) {
    return Float32Array.from(value);
  }
  throw misfit(field, value);
}

function misfit(field, value) {
  const text = typeof value === "bigint" ? `${value}n` : (JSON.stringify(value, big) ?? String(value)).slice(0, 100);
  return new Rejection("output", `the column ${shown(field)} cannot hold \`${text}\`; ${hint(field)}`);
}

const big = (_, value) => (typeof value === "bigint" ? `${value}n` : value);

function hint(field) {
  const expected = {
    bool: "it takes a boolean",
    int64: "it takes a BigInt of 64 bits or a safe integer",
    timestamp: "it takes microseconds since the Unix epoch as a BigInt",
    float64: "it takes a number",
    utf8: "it takes a well-formed string",
    binary: "it takes a Uint8Array",
    vector: `it takes ${field.width} numbers`,
  };
  return expected[field.kind] + (field.nullable ? " or null" : `; write \`${typeName(field)}?\` if it may be null`);
}

const or = (nothing) => (value) => value ?? nothing;
const WIRE = {
  bool: (values) => Uint8Array.from(values, (value) => (value ? 1 : 0)),
  int64: (values) => BigInt64Array.from(values, or(0n)),
  timestamp: (values) => BigInt64Array.from(values, or(0n)),
  float64: (values) => Float64Array.from(values, or(0)),
  utf8: (values) => joined(Array.from(values, (value) => encoder.encode(value ?? ""))),
  binary: (values) => joined(Array.from(values, or(new Uint8Array(0)))),
  vector: (values, width) => {
    const all = new Float32Array(values.length * width);
    values.forEach((value, row) => value && all.set(value, row * width));
    return all;
  },
};

/** Strings of bytes laid end to end. */
export function joined(strings) {
  const offsets = new Uint32Array(strings.length + 1);
  strings.forEach((string, at) => (offsets[at + 1] = offsets[at] + string.length));
  const bytes = new Uint8Array(offsets[strings.length]);
  strings.forEach((string, at) => bytes.set(string, offsets[at]));
  return { offsets, bytes };
}

/** A function that makes the row of a number from its columns. */
export function rowReader(input, declared, columns) {
  const readers = declared.map((field, at) => [field.name, reader(input[at], field, columns[at])]);
  return (row) => {
    const made = {};
    for (const [name, read] of readers) made[name] = read(row);
    return made;
  };
}

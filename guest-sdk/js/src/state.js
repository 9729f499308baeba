// The bytes of an aggregate's state: for column types the encoding of the Rust SDK, so that equal states are equal bytes.
// Integers and floats are 8 bytes, little-endian; text and bytes a count of 4 bytes and the bytes; what may be null is a byte
// and, if that is 1, the value. `json` is a count and JSON with its keys in order.

import { checked } from "./columns.js";
import { field } from "./schema.js";

const text = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Writes and reads states of the declared fields. */
export class Codec {
  constructor(declaration) {
    this.fields = Object.entries(declaration).map(([name, type]) =>
      type === "json" ? { name, kind: "json", nullable: false } : field(name, type));
  }

  encode(state) {
    const out = new Out();
    for (const field of this.fields) encodeField(out, field, state[field.name]);
    return out.bytes.slice(0, out.at);
  }

  decode(bytes) {
    const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), bytes, at: 0 };
    const state = Object.fromEntries(this.fields.map((field) => [field.name, decodeField(reader, field)]));
    if (reader.at !== bytes.length) throw new Error("the state is corrupt: its length is wrong");
    return state;
  }
}

/** Bytes that grow. */
class Out {
  bytes = new Uint8Array(64);
  at = 0;

  /** A view of this many new bytes at the end. */
  grow(count) {
    while (this.at + count > this.bytes.length) {
      const larger = new Uint8Array(this.bytes.length * 2);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.at += count;
    return new DataView(this.bytes.buffer, this.at - count, count);
  }

  counted(bytes) {
    this.grow(4).setUint32(0, bytes.length, true);
    this.grow(bytes.length);
    this.bytes.set(bytes, this.at - bytes.length);
  }
}

function encodeField(out, field, value) {
  if (field.kind === "json") {
    out.counted(text.encode(canonical(value)));
    return;
  }
  if (field.nullable) out.grow(1).setUint8(0, value === null ? 0 : 1);
  if (field.nullable && value === null) return;
  const fits = stateValue(field, value);
  if (field.kind === "bool") out.grow(1).setUint8(0, fits ? 1 : 0);
  else if (field.kind === "float64") out.grow(8).setFloat64(0, fits, true);
  else if (field.kind === "int64" || field.kind === "timestamp") out.grow(8).setBigInt64(0, fits, true);
  else if (field.kind === "vector") fits.forEach((single) => out.grow(4).setFloat32(0, single, true));
  else out.counted(field.kind === "utf8" ? text.encode(fits) : fits);
}

function stateValue(field, value) {
  try {
    return checked(field, value);
  } catch (rejection) {
    throw new TypeError(`the state's field \`${field.name}\`: ${rejection.message}`);
  }
}

function decodeField(reader, field) {
  if (field.nullable && reader.view.getUint8(reader.at++) === 0) return null;
  switch (field.kind) {
    case "bool": return reader.view.getUint8(reader.at++) === 1;
    case "float64": return reader.view.getFloat64(taken(reader, 8), true);
    case "int64":
    case "timestamp": return reader.view.getBigInt64(taken(reader, 8), true);
    case "vector": return Float32Array.from({ length: field.width }, () => reader.view.getFloat32(taken(reader, 4), true));
    case "binary": return counted(reader).slice();
    case "utf8": return decoder.decode(counted(reader));
    default: return JSON.parse(decoder.decode(counted(reader)));
  }
}

function taken(reader, count) {
  reader.at += count;
  return reader.at - count;
}

function counted(reader) {
  const length = reader.view.getUint32(taken(reader, 4), true);
  const start = taken(reader, length);
  if (reader.at > reader.bytes.length) throw new Error("the state is corrupt: it ends too soon");
  return reader.bytes.subarray(start, start + length);
}

/** JSON that is the same for equal values: keys in order, and -0 kept. What JSON cannot hold is an error. */
function canonical(value) {
  if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(`a state of JSON cannot hold ${value}`);
  if (Object.is(value, -0)) return "-0";
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    if (Object.getPrototypeOf(value) !== Object.prototype) {
      throw new TypeError("a state of JSON holds plain objects, and lists; make one of a Map or a Set");
    }
    return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
  }
  const json = typeof value === "bigint" ? undefined : JSON.stringify(value);
  if (json === undefined) throw new TypeError(`a state of JSON cannot hold a ${typeof value}`);
  return json;
}

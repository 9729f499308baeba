// Aggregates: rows fold into states, states merge, a state finishes into a row.

import { Writer, rowReader } from "./columns.js";
import { Params } from "./params.js";
import { bind, fields } from "./schema.js";
import { Codec } from "./state.js";

const LAWS = ["exact", "rounded", "approximate"];

/** Makes `start`, `update`, `merge` and `finish` a plugin. */
export function aggregate(declaration) {
  for (const name of ["start", "update", "merge", "finish"]) {
    if (typeof declaration?.[name] !== "function") throw new TypeError(`\`aggregate\` takes a function \`${name}\``);
  }
  for (const name of ["input", "output", "state"]) {
    if (typeof declaration[name] !== "object") throw new TypeError(`\`aggregate\` takes an object \`${name}\` of types`);
  }
  return new Aggregate(declaration);
}

class Aggregate {
  kind = "aggregate";

  constructor({ doc = "", input, output, params, state, orderSensitive = false, mergeLaw = "rounded", ...functions }) {
    if (!LAWS.includes(mergeLaw)) throw new TypeError(`\`mergeLaw\` is one of ${LAWS.join(", ")}, not \`${mergeLaw}\``);
    Object.assign(this, { doc, orderSensitive, mergeLaw, functions, declared: fields(input), output: fields(output) });
    this.params = new Params(params);
    this.codec = new Codec(state);
  }

  /** Reads the parameters and binds the columns. */
  configure(text, offered) {
    this.given = this.params.parse(text);
    this.input = bind(this.declared, offered);
  }

  /** Folds runs of rows into states of bytes. */
  update(states, groupRows, columns) {
    const read = rowReader(this.input, this.declared, columns);
    let row = 0;
    return states.map((bytes, group) => {
      const end = row + groupRows[group];
      if (row === end) return bytes;
      const state = this.decoded(bytes);
      for (; row < end; row += 1) this.functions.update(state, read(row), this.given);
      return this.codec.encode(state);
    });
  }

  /** Merges runs of states, from left to right. */
  merge(states, groupStates) {
    return runs(states, groupStates).map((run) => {
      if (run.length < 2) return run[0] ?? new Uint8Array(0);
      return this.codec.encode(this.merged(run));
    });
  }

  merged(run) {
    const state = this.decoded(run[0] ?? new Uint8Array(0));
    for (const later of run.slice(1)) this.functions.merge(state, this.decoded(later), this.given);
    return state;
  }

  /** Merges runs of states and gives the columns of one row for each. */
  finish(states, groupStates) {
    const groups = runs(states, groupStates);
    const writers = this.output.map((field) => new Writer(field, groups.length));
    groups.forEach((run, row) => {
      const made = this.functions.finish(this.merged(run), this.given);
      for (const writer of writers) writer.set(row, made[writer.field.name]);
    });
    return { rows: groups.length, columns: writers.map((writer) => writer.finish()) };
  }

  decoded(bytes) {
    return bytes.length > 0 ? this.codec.decode(bytes) : this.functions.start();
  }
}

/** Runs of neighbouring states that some row has touched; the others change nothing. */
function runs(states, counts) {
  let start = 0;
  return Array.from(counts, (count) => {
    start += count;
    return states.slice(start - count, start).filter((state) => state.length > 0);
  });
}

// Tries a plugin natively; `oast plugin test` does the same through the component and the engine.

import { Writer, reader } from "./columns.js";
import { field } from "./schema.js";

/** A configured plugin; rows are lists in the order of its input. */
export class Tried {
  constructor(plugin, params = {}, offered = "") {
    this.plugin = plugin;
    const columns = offered.split(",").map((part) => part.trim()).filter(Boolean);
    plugin.configure(JSON.stringify(params), columns.map((part) => field(...part.split(":").map((word) => word.trim()))));
  }

  /** What becomes of each row: a list of values, "drop" or { reject: code }. */
  apply(rows) {
    const { columns, verdicts, rejections } = this.plugin.apply(rows.length, this.columns(rows));
    const codes = new Map(rejections.map(({ row, code }) => [row, code]));
    return this.values(rows.length, columns).map((values, row) => {
      if (!verdicts || verdicts[row] === "keep") return values;
      return verdicts[row] === "drop" ? "drop" : { reject: codes.get(row) };
    });
  }

  /** The features of rows folded into states, a new one beginning at each of the splits, and merged. */
  fold(rows, splits = []) {
    const starts = [0, ...splits];
    const counts = starts.map((start, at) => (starts[at + 1] ?? rows.length) - start);
    const states = this.plugin.update(counts.map(() => new Uint8Array(0)), counts, this.columns(rows));
    const { rows: count, columns } = this.plugin.finish(states, [states.length]);
    return this.values(count, columns)[0];
  }

  columns(rows) {
    return this.plugin.input.map((field, at) => {
      const writer = new Writer(field, rows.length);
      rows.forEach((row, index) => writer.set(index, row[at]));
      return writer.finish();
    });
  }

  values(rows, columns) {
    const readers = this.plugin.output.map((field, at) => reader(field, field, columns[at]));
    return Array.from({ length: rows }, (_, row) => readers.map((read) => read(row)));
  }
}

// Transforms: a function from one row to another, and what runs it over columns.

import { Writer, rowReader } from "./columns.js";
import { Rejection, drop, rejectionOf } from "./outcome.js";
import { Params } from "./params.js";
import { bind, fields } from "./schema.js";

/** Makes a function from a row to a row a plugin. */
export function transform(declaration, call) {
  if (typeof call !== "function" || !declaration?.input || !declaration?.output) {
    throw new TypeError("`transform` takes `{ input, output }` and a function from a row to a row");
  }
  return new Transform(declaration, call);
}

class Transform {
  kind = "transform";
  orderSensitive = false;

  constructor({ doc = "", input, output, params }, call) {
    Object.assign(this, { doc, call, declared: fields(input), output: fields(output), params: new Params(params) });
  }

  /** Reads the parameters and binds the columns. */
  configure(text, offered) {
    this.given = this.params.parse(text);
    this.input = bind(this.declared, offered);
  }

  /** One verdict a row, the columns of the output, and a rejection for each rejected row. */
  apply(rows, columns) {
    const read = rowReader(this.input, this.declared, columns);
    const writers = this.output.map((field) => new Writer(field, rows));
    const verdicts = new Array(rows).fill("keep");
    const rejections = [];
    for (let row = 0; row < rows; row += 1) {
      const made = this.made(read(row), row, writers);
      if (made === undefined) continue;
      writers.forEach((writer) => writer.skip(row));
      verdicts[row] = made === drop ? "drop" : "reject";
      if (made !== drop) rejections.push({ row, code: made.code, message: made.message });
    }
    const all = verdicts.every((verdict) => verdict === "keep");
    return { columns: writers.map((writer) => writer.finish()), verdicts: all ? null : verdicts, rejections };
  }

  /** Writes what the author's function makes of a row, or returns why there is nothing to write. */
  made(row, at, writers) {
    try {
      const made = this.call(row, this.given);
      if (made === drop || made instanceof Rejection) return made;
      if (typeof made !== "object" || made === null || typeof made.then === "function") {
        return new Rejection("output", "expected an object of columns, `drop` or `reject(…)`; a transform is not async");
      }
      for (const writer of writers) writer.set(at, made[writer.field.name]);
      return undefined;
    } catch (thrown) {
      return rejectionOf(thrown);
    }
  }
}

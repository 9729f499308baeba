// Between the world's bindings and the SDK, inside the component only.

import { joined, sliced } from "./columns.js";
import { Rejection, described } from "./outcome.js";
import { ConfigureError, shown } from "./schema.js";

const BUFFERS = {
  bool: "bools", int64: "int64s", float64: "float64s", timestamp: "timestamps", utf8: "utf8", binary: "binary",
  vector: "vectors",
};

/** The interfaces that the component exports. */
export function exported(plugin, name, version, engine) {
  const configure = (params, offered) => {
    const descriptor = configured(plugin, name, version, params, offered);
    if (engine === "quickjs") refuseIntegers(plugin);
    return descriptor;
  };
  return {
    plugin: { configure: answered(configure) },
    transform: { apply: answered((input) => applied(plugin, input)) },
    aggregate: {
      update: answered((states, groups, rows) => joined(plugin.update(split(states), groups, columnsIn(rows)))),
      merge: answered((states, groups) => joined(plugin.merge(split(states), groups))),
      finish: answered((states, groups) => finished(plugin, states, groups)),
    },
  };
}

/** QuickJS passes 64-bit integers as floats, which changes the large ones. */
function refuseIntegers(plugin) {
  const inexact = [...plugin.input, ...plugin.output].find(({ kind }) => kind === "int64" || kind === "timestamp");
  if (inexact) {
    throw new ConfigureError(`the column ${shown(inexact)} is not exact in QuickJS; take \`"engine": "quickjs"\` out of ` +
      "package.json and build again, or give the plugin a column of float64");
  }
}

function configured(plugin, name, version, params, offered) {
  plugin.configure(params, offered.map(fieldIn));
  const listed = plugin.params.documentation();
  return {
    name,
    version,
    documentation: listed ? `${plugin.doc}\n\n## Parameters\n\n${listed}` : plugin.doc,
    input: plugin.input.map(fieldOut),
    output: plugin.output.map(fieldOut),
    orderSensitive: plugin.orderSensitive,
    mergeLaw: plugin.mergeLaw,
  };
}

function applied(plugin, input) {
  const { columns, verdicts, rejections } = plugin.apply(input.rows, columnsIn(input));
  return { rows: batchOut(plugin, input.rows, columns), verdicts: verdicts ?? undefined, rejections };
}

function finished(plugin, states, groups) {
  const { rows, columns } = plugin.finish(split(states), groups);
  return batchOut(plugin, rows, columns);
}

/** A function whose errors, whatever they are, become the contract's error, so that nothing traps. */
function answered(call) {
  return (...given) => {
    try {
      return call(...given);
    } catch (thrown) {
      throw messageOf(thrown);
    }
  };
}

function messageOf(thrown) {
  if (thrown instanceof ConfigureError || thrown instanceof Rejection) return thrown.message;
  return described(thrown);
}

function fieldIn({ name, dataType, nullable }) {
  return { name, kind: dataType.tag, width: dataType.val ?? 0, nullable };
}

function fieldOut({ name, kind, width, nullable }) {
  return { name, dataType: kind === "vector" ? { tag: kind, val: width } : { tag: kind }, nullable };
}

function columnsIn({ columns }) {
  return columns.map(({ buffer, validity }) => {
    const values = buffer.tag === "vectors" ? buffer.val.values : buffer.val;
    return { values, validity: validity ?? null };
  });
}

function batchOut(plugin, rows, columns) {
  const made = columns.map(({ values, validity }, at) => {
    const { kind, width } = plugin.output[at];
    const val = kind === "vector" ? { width, values } : values;
    return { buffer: { tag: BUFFERS[kind], val }, validity: validity ?? undefined };
  });
  return { rows, columns: made };
}

function split(states) {
  return Array.from({ length: states.offsets.length - 1 }, (_, at) => sliced(states, at));
}

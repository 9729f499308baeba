// Columns by name and type.

/** Parameters or columns that do not fit; the message is for whoever wrote the definition. */
export class ConfigureError extends Error {}

/** The name of the input column that stands for the time of each event and is never bound by position. */
const EVENT_TIME = "event_time";

const KINDS = new Set(["bool", "int64", "float64", "utf8", "binary", "timestamp"]);

/** The column of a name and a type such as `float64?`. */
export function field(name, text) {
  const nullable = text.endsWith("?");
  const plain = nullable ? text.slice(0, -1) : text;
  const width = /^vector\[([1-9][0-9]*)\]$/.exec(plain)?.[1];
  if (width !== undefined) return { name, kind: "vector", width: Number(width), nullable };
  if (KINDS.has(plain)) return { name, kind: plain, width: 0, nullable };
  throw new TypeError(`column \`${name}\`: there is no type \`${text}\`; use bool, int64, float64, utf8, binary, timestamp ` +
    "or vector[N], each with or without `?`");
}

export function fields(declaration) {
  return Object.entries(declaration).map(([name, text]) => field(name, text));
}

export function typeName({ kind, width }) {
  return kind === "vector" ? `vector[${width}]` : kind;
}

export function shown(column) {
  return `\`${column.name}\` (${typeName(column)}${column.nullable ? "?" : ""})`;
}

function listed(columns) {
  return columns.map(shown).join(", ") || "none";
}

/** The input schema for the columns at hand: by name when every field finds its column, else by position. */
export function bind(declared, offered) {
  const bound = declared.filter((column) => column.name !== EVENT_TIME);
  const byName = new Map(offered.map((column) => [column.name, column]));
  let columns = bound.map((column) => byName.get(column.name));
  if (columns.includes(undefined)) {
    if (bound.length !== offered.length) {
      throw new ConfigureError(
        `expected the columns ${listed(bound)}, by these names or in this order; at hand: ${listed(offered)}`,
      );
    }
    columns = offered;
  }
  const taken = new Map(bound.map((column, at) => [column.name, bindOne(column, columns[at])]));
  return declared.map((column) => taken.get(column.name) ?? column);
}

function bindOne(declared, column) {
  const widened = declared.kind === "float64" && column.kind === "int64";
  if (typeName(declared) !== typeName(column) && !widened) {
    throw new ConfigureError(
      `input \`${declared.name}\` expects ${typeName(declared)}, but the column ${shown(column)} holds ${typeName(column)}`,
    );
  }
  if (column.nullable && !declared.nullable) {
    throw new ConfigureError(
      `input \`${declared.name}\` takes no nulls, but the column ${shown(column)} may hold them; ` +
        "fill them first, for example with the plugin `fill`",
    );
  }
  return { ...declared, kind: column.kind };
}

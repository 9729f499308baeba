// Parameters: the JSON object of a definition, checked against a declaration.

import { ConfigureError } from "./schema.js";

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

const TYPES = {
  number: { expected: "a number", example: "1.5", fits: (value) => typeof value === "number" },
  integer: { expected: "an integer", example: "10", fits: Number.isSafeInteger },
  boolean: { expected: "true or false", example: "true", fits: (value) => typeof value === "boolean" },
  string: { expected: "a text", example: '"name"', fits: (value) => typeof value === "string" },
  list: { expected: "a list", example: "[]", fits: Array.isArray },
  object: { expected: "an object", example: "{}", fits: isObject },
};

/** The reader of one declaration of parameters. */
export class Params {
  constructor(declaration = {}) {
    this.declared = Object.entries(declaration);
    for (const [name, { type }] of this.declared) {
      if (!(type in TYPES)) {
        throw new TypeError(`parameter \`${name}\`: there is no type \`${type}\`; use ${Object.keys(TYPES).join(", ")}`);
      }
    }
  }

  /** Reads the parameters; an error names the parameter, what was expected and an example. */
  parse(text) {
    const given = parsed(text);
    const known = new Set(this.declared.map(([name]) => name));
    for (const name of Object.keys(given)) {
      if (!known.has(name)) throw new ConfigureError(`unknown parameter \`${name}\`: ${this.known()}`);
    }
    return Object.freeze(Object.fromEntries(this.declared.map(([name, param]) => [name, read(name, param, given)])));
  }

  known() {
    const names = this.declared.map(([name]) => `\`${name}\``).join(", ");
    return names ? `expected one of ${names}` : "there are none, for example `{}`";
  }

  /** One Markdown list item for each parameter. */
  documentation() {
    return this.declared.map(([name, param]) => `${document(name, param).trimEnd()}\n`).join("");
  }
}

function parsed(text) {
  let given;
  try {
    given = JSON.parse(text);
  } catch (error) {
    throw new ConfigureError(`parameters: not valid JSON: ${error.message}`);
  }
  if (isObject(given)) return given;
  throw new ConfigureError(
    `parameters: expected an object, for example \`{"limit":10}\`, got \`${JSON.stringify(given)}\``,
  );
}

function read(name, param, given) {
  const { expected, example, fits } = TYPES[param.type];
  const value = Object.hasOwn(given, name) ? given[name] : undefined;
  if (value === undefined && param.default !== undefined) return structured(param.default);
  if (param.optional && (value === undefined || value === null)) return null;
  if (value !== undefined && fits(value)) return value;
  const got = value === undefined ? "nothing" : `\`${JSON.stringify(value)}\``;
  throw new ConfigureError(`parameter \`${name}\`: expected ${expected}, for example \`${example}\`, got ${got}`);
}

/** A copy of a default, so that no call can change it for the next. */
function structured(value) {
  return typeof value === "object" ? JSON.parse(JSON.stringify(value)) : value;
}

function document(name, param) {
  const { expected, example } = TYPES[param.type];
  const required = param.optional ? "optional" : `required, for example \`${example}\``;
  const standard = param.default === undefined ? required : `default \`${JSON.stringify(param.default)}\``;
  return `- \`${name}\`: ${expected}, ${standard}. ${param.doc ?? ""}`;
}

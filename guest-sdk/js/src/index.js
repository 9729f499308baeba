// Write transforms and aggregates for Oast in JavaScript, and compile them to WebAssembly components that import nothing.
//
//     import { drop, reject, transform } from "oast-sdk";
//
//     export default transform({
//       doc: "Keeps the departures that were later than the tolerance.",
//       input: { dep_delay: "float64?" },
//       output: { late_by: "float64" },
//       params: { minutes: { type: "number", default: 15, doc: "Minutes that do not count." } },
//     }, (departure, { minutes }) => {
//       if (departure.dep_delay === null) return reject("no_delay", "a departure has a delay");
//       if (departure.dep_delay <= minutes) return drop;
//       return { late_by: departure.dep_delay - minutes };
//     });
//
// The types of columns are those of definitions, with `?` where a value may be null. In JavaScript `float64` is a number,
// `int64` and `timestamp` (microseconds) are a BigInt, `utf8` is a string, `binary` a Uint8Array, `vector[N]` a Float32Array.

export { aggregate } from "./aggregate.js";
export { drop, reject } from "./outcome.js";
export { transform } from "./transform.js";

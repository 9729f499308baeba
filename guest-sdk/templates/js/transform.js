// The plugin `{{name}}`.

import { drop, reject, transform } from "oast-sdk";

export default transform({
  doc: "Keeps the rows whose delay exceeds the tolerance.",
  input: { delay: "float64?" },
  output: { excess: "float64" },
  params: { tolerance: { type: "number", default: 15, doc: "Minutes that do not count." } },
}, (row, { tolerance }) => {
  if (row.delay === null) return reject("no_delay", "a row has a delay");
  if (row.delay <= tolerance) return drop;
  return { excess: row.delay - tolerance };
});

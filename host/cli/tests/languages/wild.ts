// A transform that does, for certain rows, what a transform should not.

import { drop, reject, transform } from "oast-sdk";

type Wild = Record<number, () => unknown>;

function endless(depth: number): number {
  return endless(depth + 1) + 1;
}

const wild: Wild = {
  101: () => ({ excess: (null as never as { length: number }).length }),
  102: () => ({ excess: Date.now() }),
  103: () => ({ excess: Math.random() }),
  104: () => ({ excess: new Date().getTime() }),
  105: () => 5,
  106: () => ({ excess: "text" }),
  107: () => ({ excess: endless(0) }),
  108: () => {
    throw "a string";
  },
  109: () => ({ excess: performance.now() }),
  110: () => ({ excess: Number(Object.keys({ 3: 0, 1: 0, 2: 0 }).join("")) }),
  111: () => ({ excess: crypto.getRandomValues(new Uint8Array(1))[0] }),
  112: async () => ({ excess: 1 }),
  113: () => (console.log("seen by nobody"), { excess: 1 }),
  114: () => ({ excess: 10n }),
  115: () => ({}),
  116: () => ({ excess: new Date("2013-01-01T00:00:00Z").getTime() / 1000 }),
};

export default transform({
  doc: "Keeps the rows whose delay exceeds the tolerance.",
  input: { delay: "float64?" },
  output: { excess: "float64" },
  params: { tolerance: { type: "number", default: 15, doc: "Minutes that do not count." } },
}, (row, { tolerance }) => {
  if (row.delay === null) return reject("no_delay", "a row has a delay");
  if (row.delay in wild) return wild[row.delay]() as { excess: number };
  if (row.delay <= tolerance) return drop;
  return { excess: row.delay - tolerance };
});

// The plugin `{{name}}`.

import { aggregate } from "oast-sdk";

const larger = (one, other) => (one === null || (other !== null && other > one) ? other : one);

export default aggregate({
  doc: "The number of values, and the largest of them.",
  input: { value: "float64?" },
  output: { count: "int64", largest: "float64?" },
  mergeLaw: "exact",
  state: { count: "int64", largest: "float64?" },
  start: () => ({ count: 0n, largest: null }),
  update(state, row) {
    if (row.value === null) return;
    state.count += 1n;
    state.largest = larger(state.largest, row.value);
  },
  merge(state, later) {
    state.count += later.count;
    state.largest = larger(state.largest, later.largest);
  },
  finish: ({ count, largest }) => ({ count, largest }),
});

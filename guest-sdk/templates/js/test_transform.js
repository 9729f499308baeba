// Tests that need no component: `npm test`.

import assert from "node:assert/strict";
import test from "node:test";

import { Tried } from "oast-sdk/testing";
import plugin from "./plugin.js";

test("rows are kept, dropped and rejected", () => {
  const tried = new Tried(plugin, { tolerance: 5 }, "delay: float64?");
  assert.deepEqual(tried.apply([[20], [5], [null]]), [[15], "drop", { reject: "no_delay" }]);
});

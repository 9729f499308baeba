// Tests that need no component: `npm test`.

import assert from "node:assert/strict";
import test from "node:test";

import { Tried } from "oast-sdk/testing";
import plugin from "./plugin.js";

test("any split gives the same", () => {
  const tried = new Tried(plugin, {}, "value: float64?");
  for (const splits of [[], [1], [1, 2]]) assert.deepEqual(tried.fold([[2], [null], [7.5]], splits), [2n, 7.5]);
});

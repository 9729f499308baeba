import type { Plugin } from "./index.js";

/** A configured plugin, tried natively; rows are lists in the order of its input. */
export class Tried {
  constructor(plugin: Plugin, params?: Record<string, unknown>, offered?: string);
  /** What becomes of each row: a list of values, "drop" or { reject: code }. */
  apply(rows: unknown[][]): (unknown[] | "drop" | { reject: string })[];
  /** The features of rows folded into states, a new one beginning at each of the splits, and merged. */
  fold(rows: unknown[][], splits?: number[]): unknown[];
}

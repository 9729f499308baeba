/** The types of columns, as definitions spell them. */
type Plain = "bool" | "int64" | "float64" | "utf8" | "binary" | "timestamp" | `vector[${number}]`;
export type ColumnType = Plain | `${Plain}?`;

/** The JavaScript type of a column; `int64` and `timestamp` (microseconds since the Unix epoch) are a bigint. */
type PlainValue<T extends string> = T extends "bool" ? boolean
  : T extends "int64" | "timestamp" ? bigint
  : T extends "float64" ? number
  : T extends "utf8" ? string
  : T extends "binary" ? Uint8Array
  : Float32Array;
export type Value<T extends string> = T extends `${infer P}?` ? PlainValue<P> | null : PlainValue<T>;
export type Row<S extends Record<string, string>> = { [K in keyof S]: Value<S[K]> };

/** What a row that comes back may hold: a vector may be any list of numbers. */
type PlainMade<T extends string> = T extends `vector[${number}]` ? ArrayLike<number> : PlainValue<T>;
export type Made<S extends Record<string, string>> = {
  [K in keyof S]: S[K] extends `${infer P}?` ? PlainMade<P> | null : PlainMade<S[K]>;
};

/** A parameter; one without a default must be given, unless it is optional. */
export type Param =
  | { type: "number"; default?: number; optional?: true; doc?: string }
  | { type: "integer"; default?: number; optional?: true; doc?: string }
  | { type: "boolean"; default?: boolean; optional?: true; doc?: string }
  | { type: "string"; default?: string; optional?: true; doc?: string }
  | { type: "list"; default?: unknown[]; optional?: true; doc?: string }
  | { type: "object"; default?: Record<string, unknown>; optional?: true; doc?: string };
type ParamValue<T> = T extends "number" | "integer" ? number
  : T extends "boolean" ? boolean
  : T extends "string" ? string
  : T extends "list" ? unknown[]
  : Record<string, unknown>;
export type Params<P extends Record<string, Param>> = {
  readonly [K in keyof P]: P[K] extends { optional: true } ? ParamValue<P[K]["type"]> | null : ParamValue<P[K]["type"]>;
};

declare const brand: unique symbol;
/** The row ends here, and nothing is wrong with it. */
export const drop: { readonly [brand]: "drop" };
export type Rejection = { readonly [brand]: "reject" };
/** The row could not be transformed; the code is for programs, the message for people. */
export function reject(code: string, message?: string): Rejection;

export type Plugin = { readonly [brand]: "plugin" };

/** A function from one row to another. */
export function transform<
  const I extends Record<string, ColumnType>,
  const O extends Record<string, ColumnType>,
  const P extends Record<string, Param> = {},
>(
  declaration: { doc?: string; input: I; output: O; params?: P },
  call: (row: Row<I>, params: Params<P>) => Made<O> | typeof drop | Rejection,
): Plugin;

/** A fold of rows into a state, which is an object of the declared fields; `json` is any JSON. */
export function aggregate<
  const I extends Record<string, ColumnType>,
  const O extends Record<string, ColumnType>,
  S extends object,
  const P extends Record<string, Param> = {},
>(declaration: {
  doc?: string;
  input: I;
  output: O;
  params?: P;
  /** The type of each field of the state. */
  state: { [K in keyof S]: ColumnType | "json" };
  /** The state of no rows. */
  start: () => S;
  /** Whether the order of the rows decides the result by more than rounding. */
  orderSensitive?: boolean;
  /** What `merge` promises; "rounded" if nothing is said. */
  mergeLaw?: "exact" | "rounded" | "approximate";
  /** Folds one row into the state. */
  update: (state: S, row: Row<I>, params: Params<P>) => void;
  /** Takes in a state of rows that come after this one's. */
  merge: (state: S, later: S, params: Params<P>) => void;
  /** The features of the rows so far. */
  finish: (state: S, params: Params<P>) => Made<O>;
}): Plugin;

// What becomes of a row that is not kept, and what is said of an error.

/** The row ends here, and nothing is wrong with it. */
export const drop = Symbol("drop");

export class Rejection {
  constructor(code, message) {
    this.code = String(code);
    this.message = String(message);
  }
}

/** The row could not be transformed; the code is for programs, the message for people. Return it, or throw it. */
export function reject(code, message = "") {
  return new Rejection(code, message);
}

/** The rejection that a thrown value becomes: its name, its text and the author's line. */
export function rejectionOf(thrown) {
  return thrown instanceof Rejection ? thrown : new Rejection("exception", described(thrown));
}

/** An error in one line, with the innermost place that is not the SDK's. */
export function described(thrown) {
  if (!(thrown instanceof Error)) return `thrown: ${String(thrown)}`;
  const place = placeOf(thrown.stack ?? "");
  return `${thrown.name}: ${thrown.message}${place ? ` (${place})` : ""}`;
}

/** The bundle says by `oastLines` which line of which file each of its lines came from. */
function placeOf(stack) {
  const lines = globalThis.oastLines ?? [];
  for (const [, line] of stack.matchAll(/:(\d+):\d+\)?$/gm)) {
    const place = lines[Number(line) - 1];
    if (place) return place;
  }
  return "";
}

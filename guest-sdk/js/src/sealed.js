import "./missing.js";

// Takes the clock and the dice away, before the author's code runs. A component has neither: what JavaScript would answer
// instead was settled when the component was built, and an error that says so is better.

function noClock(name) {
  return () => {
    throw new Error(`\`${name}\` has no answer: a plugin has no clock; take the time from a column, such as \`event_time\``);
  };
}

function noDice(name) {
  return () => {
    throw new Error(`\`${name}\` has no answer: a plugin has no random source; make numbers from a column as seed`);
  };
}

const PlainDate = globalThis.Date;

/** Dates of a given time are what they were; the current one is an error. */
class SealedDate extends PlainDate {
  constructor(...given) {
    if (given.length === 0) noClock("new Date()")();
    super(...given);
  }

  static now = noClock("Date.now");
}

globalThis.Date = new Proxy(SealedDate, { apply: noClock("Date()") });
PlainDate.now = SealedDate.now;
PlainDate.prototype.constructor = globalThis.Date;
Math.random = noDice("Math.random");
for (const name of ["performance", "crypto", "setTimeout", "setInterval", "fetch"]) {
  const refuse = name === "crypto" ? noDice(name) : noClock(name);
  const absent = new Proxy(refuse, { get: (_, part) => refuseIn(refuse, name, part) });
  Object.defineProperty(globalThis, name, { value: absent, writable: true, configurable: true });
}

function refuseIn(refuse, name, part) {
  return typeof part === "symbol" ? undefined : refuse;
}

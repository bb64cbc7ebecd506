// Evaluates JSONata with the reference engine, as Step Functions does.
//
// One request a line on stdin: {"expression", "bindings", "now"}; `bindings` are variables by name without the dollar
// sign, `now` is the time that $now() and $millis() tell, in milliseconds since 1970 (the real one where it is left
// out). One answer a line on stdout: {"value"}, {"undefined": true} or {"error"}. Ends when stdin does.
//
// What Step Functions adds and leaves out:
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html#jsonata-functions-provided

import { createHash, randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const tools = process.env.TIDEGATE_TOOLS;
if (!tools) {
  throw new Error("TIDEGATE_TOOLS is not set: it is what infra/local/setup/install.sh prints");
}
const jsonata = createRequire(`${tools}/node_modules/`)("jsonata");

const HASHES = { "MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512" };
const LONGEST_RANGE = 1000;

function partition(items, size) {
  if (!(size >= 1)) throw new Error("$partition needs a size of 1 or more");
  const whole = Math.floor(size);
  const parts = [];
  for (let start = 0; start < items.length; start += whole) parts.push(items.slice(start, start + whole));
  return parts;
}

function range(first, last, step = 1) {
  if (step === 0) throw new Error("$range needs a step other than 0");
  const values = [];
  for (let value = first; step > 0 ? value <= last : value >= last; value += step) {
    values.push(value);
    if (values.length > LONGEST_RANGE) throw new Error(`$range makes at most ${LONGEST_RANGE} elements`);
  }
  return values;
}

function hash(content, algorithm = "SHA-256") {
  const name = HASHES[algorithm];
  if (!name) throw new Error(`$hash does not know ${algorithm}`);
  return createHash(name).update(typeof content === "string" ? content : JSON.stringify(content)).digest("hex");
}

// The same seed gives the same number.
function random(seed) {
  if (seed === undefined) return Math.random();
  return createHash("sha256").update(String(seed)).digest().readUInt32BE(0) / 2 ** 32;
}

// As the built-in functions do: nothing of nothing.
const unlessUndefined = (does) => (first, ...more) => (first === undefined ? undefined : does(first, ...more));

const functions = (now) => ({
  partition: unlessUndefined(partition),
  range: unlessUndefined(range),
  hash: unlessUndefined(hash),
  parse: unlessUndefined((text) => JSON.parse(text)),
  random,
  uuid: () => randomUUID(),
  eval: () => {
    throw new Error("$eval does not exist in Step Functions; $parse reads JSON");
  },
  ...(now === undefined ? {} : { millis: () => now, now: () => new Date(now).toISOString() }),
});

const parsed = new Map();

function parse(expression) {
  if (!parsed.has(expression)) parsed.set(expression, jsonata(expression));
  return parsed.get(expression);
}

async function answer(line) {
  try {
    const { expression, bindings, now } = JSON.parse(line);
    const value = await parse(expression).evaluate(undefined, { ...bindings, ...functions(now) });
    if (value === undefined) return { undefined: true };
    if (typeof value === "function" || value?._jsonata_lambda || value?._jsonata_function) {
      return { error: "the result is a function" };
    }
    return { value };
  } catch (error) {
    return { error: error.code ? `${error.code}: ${error.message}` : error.message };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
}

/**
 * What the service says, read into values. Whether it is believed is decided elsewhere.
 *
 * The service may be malicious. Each member is read by its type and bounds, and nothing else of an
 * answer reaches the rest of the client. Unknown members are left alone: the contract may grow. What
 * does not fit is one failure, `answer_not_understood`, which repeats nothing of it.
 */

import { answerNotUnderstood } from "../errors.js";
import { fromBase64url, isId, toBase64url } from "../protocol/bytes.js";
import { orNull } from "../protocol/errors.js";
import {
  type Json,
  type JsonObject,
  LAST_VERSION,
  isObject,
  member as memberOf,
  real,
} from "../protocol/json.js";

export const LONGEST_TEXT = 200;
const MOST_ITEMS = 20_000;
/** What moves a cursor, breaks or turns a line, or cannot be written at all. */
const HARMFUL = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]|\p{Surrogate}/gu;
const MOMENT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?:Z|[+-]\d{2}:\d{2})$/;
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const TOKEN = /^[A-Za-z0-9._~-]{16,200}$/;
/** In which a service can be. */
const FIRST_MOMENT = Date.UTC(1970, 0, 1);
const LAST_MOMENT = Date.UTC(3000, 0, 1);

/** Reads one value. Throws the Failure `answer_not_understood`. */
export type Reader<T> = (value: Json | undefined) => T;

function wrong(): never {
  throw answerNotUnderstood();
}

export const object: Reader<JsonObject> = (value) => (isObject(value) ? value : wrong());

/** Read a member of an object. */
export function at<T>(value: JsonObject, name: string, read: Reader<T>): T {
  return read(memberOf(value, name));
}

/** Read what may be absent or null, which are the same. */
export function optional<T>(read: Reader<T>): Reader<T | null> {
  return (value) => (value === undefined || value === null ? null : read(value));
}

export function or<T>(absent: T, read: Reader<T>): Reader<T> {
  return (value) => (value === undefined || value === null ? absent : read(value));
}

export function list<T>(read: Reader<T>, most = MOST_ITEMS): Reader<T[]> {
  return (value) =>
    Array.isArray(value) && value.length <= most
      ? (value as readonly Json[]).map((one) => read(one))
      : wrong();
}

export const id: Reader<string> = (value) => {
  const text = typeof value === "string" ? value.toLowerCase() : value;
  return isId(text) ? text : wrong();
};

export const bool: Reader<boolean> = (value) => (typeof value === "boolean" ? value : wrong());

/** A text that programs read. */
export const text: Reader<string> = (value) =>
  typeof value === "string" && value.length <= LONGEST_TEXT && value.search(HARMFUL) < 0
    ? value
    : wrong();

/** A name that a member has chosen, who is not to shut all others out by it. */
export const name: Reader<string> = (value) =>
  typeof value === "string"
    ? [...value.replace(HARMFUL, "\ufffd")].slice(0, LONGEST_TEXT).join("")
    : wrong();

export function whole(least: number, most: number): Reader<number> {
  return (value) =>
    typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
      ? value
      : wrong();
}

export const version = whole(1, LAST_VERSION);

export function number(least: number, most: number): Reader<number> {
  return (value) => {
    const found = real(value);
    return found !== null && found >= least && found <= most ? found : wrong();
  };
}

/** A time with its offset, as milliseconds of Unix time. */
export const moment: Reader<number> = (value) => {
  if (typeof value !== "string" || !MOMENT.test(value)) return wrong();
  const found = Date.parse(value);
  return found >= FIRST_MOMENT && found < LAST_MOMENT ? found : wrong();
};

export const day: Reader<string> = (value) =>
  typeof value === "string" && DAY.test(value) ? value : wrong();

export function oneOf<T extends string>(...choices: readonly T[]): Reader<T> {
  return (value) => choices.find((choice) => choice === value) ?? wrong();
}

/** A token, which is shown once. */
export const token: Reader<string> = (value) =>
  typeof value === "string" && TOKEN.test(value) ? value : wrong();

/** Bytes in base64url or standard base64; returned as base64url. */
export function opaque(least: number, most: number): Reader<string> {
  return (value) => {
    if (typeof value !== "string") return wrong();
    const written = value.replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_");
    const found = orNull(() => fromBase64url(written));
    if (found === null || found.length < least || found.length > most) return wrong();
    return toBase64url(found);
  };
}

/**
 * JSON that every reader, in whatever language, understands alike, and the values in it.
 *
 * `JSON.parse` takes a name twice, lone surrogates and any depth, and cannot tell 3 from 3.0: so
 * this is a reader of its own. What stands in an object is its own property, and no prototype is
 * ever reached by a name.
 */

import { fromUtf8, isId, utf8 } from "./bytes.js";
import { NotAuthentic, Unsealable } from "./errors.js";

export const LAST_VERSION = 2 ** 31 - 1;
const LARGEST_NUMBER = Number.MAX_SAFE_INTEGER;
const DEEPEST_NESTING = 16;
/** What no answer of the service is nested in, and no stack is too small for. */
const DEEPEST_ANSWER = 200;

/** A number that was written with a fraction or an exponent: 3.0 is no whole number. */
export class Real {
  constructor(readonly value: number) {}
}

export type Json = null | boolean | number | Real | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [name: string]: Json };

export function isObject(value: unknown): value is JsonObject {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Real)
  );
}

/** Return a member of an object; undefined where it has none of that name. */
export function member(value: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

/** Return the value of JSON in UTF-8, in which no object has a member twice. Throws NotAuthentic. */
export function parse(text: Uint8Array): Json {
  return new Reader(fromUtf8(text), DEEPEST_ANSWER, false).read();
}

/** Return the value of JSON that opened. Throws NotAuthentic. */
export function read(text: Uint8Array): Json {
  return new Reader(fromUtf8(text), DEEPEST_NESTING, true).read();
}

/** Return JSON as bytes. Throws Unsealable. */
export function written(value: unknown): Uint8Array {
  try {
    const text = utf8(JSON.stringify(value));
    read(text);
    return text;
  } catch {
    throw new Unsealable("This is not JSON that all read alike.");
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const LONE_SURROGATE = /\p{Surrogate}/u;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

class Reader {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly deepest: number,
    /** Whether numbers and texts have to be those that all read alike. */
    private readonly isStrict: boolean,
  ) {}

  read(): Json {
    const value = this.value(this.deepest);
    this.blanks();
    if (this.at !== this.text.length) throw wrong();
    return value;
  }

  private value(levels: number): Json {
    this.blanks();
    switch (this.text[this.at]) {
      case "{":
        return this.object(levels);
      case "[":
        return this.list(levels);
      case '"':
        return this.string();
      case "t":
        return this.word("true", true);
      case "f":
        return this.word("false", false);
      case "n":
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  private object(levels: number): JsonObject {
    this.begin(levels);
    const found: Record<string, Json> = Object.create(null);
    if (this.take("}")) return found;
    do {
      this.blanks();
      const name = this.string();
      if (Object.hasOwn(found, name)) throw wrong();
      this.expect(":");
      found[name] = this.value(levels - 1);
    } while (this.take(","));
    this.expect("}");
    return found;
  }

  private list(levels: number): Json[] {
    this.begin(levels);
    const found: Json[] = [];
    if (this.take("]")) return found;
    do found.push(this.value(levels - 1));
    while (this.take(","));
    this.expect("]");
    return found;
  }

  private string(): string {
    if (this.text[this.at] !== '"') throw wrong();
    this.at += 1;
    let found = "";
    for (;;) {
      PLAIN.lastIndex = this.at;
      const plain = PLAIN.exec(this.text)![0];
      found += plain;
      this.at += plain.length;
      const end = this.text[this.at];
      this.at += 1;
      if (end === '"') break;
      if (end !== "\\") throw wrong();
      found += this.escape();
    }
    if (this.isStrict && LONE_SURROGATE.test(found)) throw wrong();
    return found;
  }

  private escape(): string {
    const letter = this.text[this.at] ?? "";
    this.at += 1;
    if (letter !== "u") {
      if (!Object.hasOwn(ESCAPES, letter)) throw wrong();
      return ESCAPES[letter]!;
    }
    const digits = this.text.slice(this.at, this.at + 4);
    if (!/^[0-9A-Fa-f]{4}$/.test(digits)) throw wrong();
    this.at += 4;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  private number(): number | Real {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (found === null) throw wrong();
    this.at += found[0].length;
    const value = Number(found[0]) + 0; // -0 is 0
    if (this.isStrict && !(Math.abs(value) <= LARGEST_NUMBER)) throw wrong();
    return found[1] === undefined && found[2] === undefined ? value : new Real(value);
  }

  private word<T extends Json>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) throw wrong();
    this.at += word.length;
    return value;
  }

  private begin(levels: number): void {
    if (levels === 0) throw wrong();
    this.at += 1;
  }

  private take(sign: string): boolean {
    this.blanks();
    if (this.text[this.at] !== sign) return false;
    this.at += 1;
    return true;
  }

  private expect(sign: string): void {
    if (!this.take(sign)) throw wrong();
  }

  private blanks(): void {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) this.at += 1;
  }
}

function wrong(): NotAuthentic {
  return new NotAuthentic("This is not JSON that all read alike.");
}

// Values. Each throws NotAuthentic.

/** Return an object that has exactly these members. */
export function members(value: Json | undefined, names: readonly string[]): JsonObject {
  if (isObject(value)) {
    const found = Object.keys(value);
    if (found.length === names.length && names.every((name) => Object.hasOwn(value, name))) {
      return value;
    }
  }
  throw new NotAuthentic("This opens, but a member of it is missing or unknown.");
}

/** Return a text that is not empty. */
export function text(value: Json | undefined): string {
  if (typeof value === "string" && value !== "" && !LONE_SURROGATE.test(value)) return value;
  throw new NotAuthentic("This is not a text, or an empty one.");
}

/** Return an id in its canonical form. */
export function uuid(value: Json | undefined): string {
  if (isId(value)) return value;
  throw new NotAuthentic("This is not an id.");
}

/** Return the version of a key: 1 to 2^31 - 1. */
export function version(value: Json | undefined): number {
  const found = whole(value, LAST_VERSION);
  if (found < 1) throw new NotAuthentic("This is not the version of a key.");
  return found;
}

/** Return a whole number of 0 to `last`. */
export function whole(value: Json | undefined, last: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= last) {
    return value;
  }
  throw new NotAuthentic("This is not a whole number, or one that is too large.");
}

/** Return a list of at most so many items. */
export function items(value: Json | undefined, most: number): readonly Json[] {
  if (Array.isArray(value) && value.length <= most) return value as readonly Json[];
  throw new NotAuthentic("This is not a list, or one that is too long.");
}

export function truth(value: Json | undefined): boolean {
  if (typeof value === "boolean") return value;
  throw new NotAuthentic("This is neither true nor false.");
}

export function oneOf<T extends string>(choices: readonly T[], value: Json | undefined): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new NotAuthentic("This is none of the values that it may have.");
  return found;
}

/** Return a number, whole or not. */
export function real(value: Json | undefined): number | null {
  if (value instanceof Real) return value.value;
  return typeof value === "number" ? value : null;
}

/** Return a value with plain numbers, such as is shown or downloaded. */
export function plain(value: Json): unknown {
  if (value instanceof Real) return value.value;
  if (Array.isArray(value)) return (value as readonly Json[]).map(plain);
  if (isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
  }
  return value;
}

/** Bytes, and the texts that stand for them. */

import { NotAuthentic } from "./errors.js";

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VALUES = new Map([...DIGITS].map((digit, value) => [digit, value]));

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Return the text of UTF-8. Throws NotAuthentic. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    throw new NotAuthentic("This is not UTF-8.");
  }
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const found = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    found.set(part, at);
    at += part.length;
  }
  return found;
}

/** Return base64url without padding. */
export function toBase64url(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const three = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    text += DIGITS[three >> 18]! + DIGITS[(three >> 12) & 63]!;
    if (left > 1) text += DIGITS[(three >> 6) & 63]!;
    if (left > 2) text += DIGITS[three & 63]!;
  }
  return text;
}

/** Read base64url without padding, the one way there is to write it. Throws NotAuthentic. */
export function fromBase64url(text: string): Uint8Array {
  const rest = text.length % 4;
  const found = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const digit of text) {
    const value = VALUES.get(digit);
    if (value === undefined) throw new NotAuthentic("This is not base64url without padding.");
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      found[at++] = (held >> bits) & 0xff;
    }
  }
  const over = held & ((1 << bits) - 1);
  if (rest === 1 || over !== 0) throw new NotAuthentic("This is not base64url without padding.");
  return found;
}

/** Standard base64, with padding. */
export function toBase64(bytes: Uint8Array): string {
  const text = toBase64url(bytes).replaceAll("-", "+").replaceAll("_", "/");
  return text + "=".repeat((4 - (text.length % 4)) % 4);
}

export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

export function fromHex(text: string): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw new NotAuthentic("This is not hexadecimal.");
  return Uint8Array.from(text.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text is an id in its canonical form: 36 characters in lower case. */
export function isId(text: unknown): text is string {
  return typeof text === "string" && UUID.test(text);
}

/** Return the 16 bytes of an id. */
export function idBytes(id: string): Uint8Array {
  return fromHex(id.replaceAll("-", ""));
}

/** Return a whole number of 0 to 2^32 - 1 as 4 bytes, the greatest first. */
export function fourBytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

/** Compare bytes as the unsigned numbers that they are. */
export function compareBytes(one: Uint8Array, other: Uint8Array): number {
  for (let at = 0; at < Math.min(one.length, other.length); at++) {
    if (one[at] !== other[at]) return one[at]! - other[at]!;
  }
  return one.length - other.length;
}

/** Whether two byte strings are equal, in a time that does not depend on where they differ. */
export function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  let differing = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) differing |= one[at]! ^ (other[at] ?? 0);
  return differing === 0;
}

export function randomBytes(count: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(count));
}

/**
 * Characters that a reader does not see, and those that several keys write: dashes, quotes.
 *
 * The sets are Unicode's, written out, so that they do not depend on what this browser knows.
 */

const BLANKS = "\\u115f\\u1160\\u2800\\u3164\\uffa0\\u{13441}\\u{13442}\\u{16fe4}\\u{1d159}";
const IGNORABLE =
  "\\u00ad\\u034f\\u061c\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f" +
  "\\ufe00-\\ufe0f\\ufeff\\ufff0-\\ufffc\\u{1bca0}-\\u{1bca3}\\u{1d173}-\\u{1d17a}" +
  "\\u{e0000}-\\u{e0fff}";
const NONCHARACTERS = `\\ufdd0-\\ufdef${Array.from(
  { length: 17 },
  (_, plane) => `\\u{${plane.toString(16)}fffe}\\u{${plane.toString(16)}ffff}`,
).join("")}`;
const INVISIBLE = new RegExp(`[${BLANKS}${IGNORABLE}${NONCHARACTERS}]`, "gu");
/** What keyboards, word processors and web pages write in the place of a hyphen or a minus. */
export const DASHES =
  /[\u02d7\u058a\u05be\u1400\u2010-\u2015\u2043\u207b\u208b\u2212\u2500\u2501\u2796\u2e3a\u2e3b\u30fc\ufe31\ufe32\ufe58\ufe63\uff0d]/g;
/** What they write in the place of an apostrophe, and letters that are typed as one. */
export const APOSTROPHES =
  /[`\u00b4\u02b9\u02bb-\u02bd\u02c8\u02ca\u02cb\u055a\u05f3\u1fbd\u1fbf\u2018\u2019\u201b\u2032\u2035\ua78b\ua78c\uff07\uff40]/g;
export const DOUBLE_QUOTES = /[\u05f4\u201c-\u201f\u2033\u2036\uff02]/g;
/** What breaks a line or turns the text around it: the service refuses it in a name. */
const STEERS = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;

/** Return a text without the characters that no reader sees. */
export function withoutInvisible(text: string): string {
  return text.replace(INVISIBLE, "");
}

/** Whether a text shows anything. What this browser does not know yet may be a letter, and shows. */
export function isVisible(text: string): boolean {
  return /[^\p{Z}\p{C}]|\p{Cn}/u.test(withoutInvisible(text));
}

export function steers(text: string): boolean {
  return STEERS.test(text);
}

/** Return a text without white space at either end: Unicode's, and the separators of ASCII. */
export function stripped(text: string): string {
  return text.replace(/^[\p{White_Space}\u001c-\u001f]+|[\p{White_Space}\u001c-\u001f]+$/gu, "");
}

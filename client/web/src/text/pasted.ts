/**
 * Text as people paste it: without what messengers, notes, mail and web pages add to it.
 *
 * Nothing is guessed: what is taken away is in no code, link or id, and what is left has to be one.
 */

import { DASHES, withoutInvisible } from "./characters.js";

const LINE_BREAK = /[^\S\r\n]*[\r\n\v\f\u0085\u2028\u2029]+(?:\s|>)*/u;

/** Return a text without invisible characters, every dash a hyphen and full width as ASCII. */
export function cleaned(text: string): string {
  return withoutInvisible(text)
    .replace(DASHES, "-")
    .replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replaceAll("\u3002", ".");
}

/** Split a text where it was wrapped, without the marks of quoted mail. */
export function lines(text: string): string[] {
  return text.trim().replace(/^[> ]+/, "").split(LINE_BREAK);
}

/** Return a text without the punctuation, quotes and blanks around it, other than `keep`. */
export function bare(text: string, keep = ""): string {
  const signs = [...text];
  let start = 0;
  let end = signs.length;
  while (start < end && isAround(signs[start]!, keep)) start += 1;
  while (end > start && isAround(signs[end - 1]!, keep)) end -= 1;
  return signs.slice(start, end).join("");
}

function isAround(sign: string, keep: string): boolean {
  // A letter in a circle is a sign too, and may be meant as a letter.
  return (
    !keep.includes(sign) &&
    /^[\s\p{P}\p{Z}\p{S}]$/u.test(sign) &&
    !/^[\p{L}\p{N}]+$/u.test(sign.normalize("NFKC"))
  );
}

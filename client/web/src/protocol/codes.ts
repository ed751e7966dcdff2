/** Invite codes in their canonical form: upper case, without blanks and hyphens. */

import { Failure } from "../errors.js";
import { bare, cleaned } from "../text/pasted.js";
import { randomBytes } from "./bytes.js";

/** Without I, O, 0 and 1, which people take for one another. */
const ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const CODE = /^(?:[A-HJ-NP-Z2-9]{8}|[A-HJ-NP-Z2-9]{16,32})$/;

/** Make the code of a link: 16 characters, 80 random bits. */
export function makeCode(): string {
  return Array.from(randomBytes(16), (byte) => ALPHABET[byte & 31]).join("");
}

/** Whether a text is a code in its canonical form: 8 characters, or 16 to 32. */
export function isCode(text: string): boolean {
  return CODE.test(text);
}

/**
 * Return a code as it is hashed. It may be as it was pasted: what is left out is in no code, so that
 * none becomes another one. Throws a Failure.
 */
export function canonicalCode(code: string): string {
  const found = bare(cleaned(code)).replace(/[\s-]/g, "");
  // In upper case, some letters of other scripts are those of a code.
  if (!/^[\u0000-\u007f]*$/.test(found) || !isCode(found.toUpperCase())) {
    throw new Failure("invite_code_unreadable");
  }
  return found.toUpperCase();
}

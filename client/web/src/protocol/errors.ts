/** What the functions of this package throw. */

/** Something does not open, does not match, or does not have the form it should have. */
export class NotAuthentic extends Error {}

/** It opens, and only a newer client can read it. */
export class NewerFormat extends NotAuthentic {}

/** It opens, so a holder of the key sealed it; but it is no JSON object that all read alike. */
export class NotALocation extends NotAuthentic {}

/** What should be sealed is too large, or not JSON that all read alike. */
export class Unsealable extends Error {}

/** Return what a function returns, or null where it throws NotAuthentic. */
export function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof NotAuthentic) return null;
    throw error;
  }
}

/** Sealing under a secret: a random nonce, then a secretbox (XSalsa20-Poly1305). */

import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { concat, randomBytes } from "./bytes.js";
import { NotAuthentic, Unsealable } from "./errors.js";

const NONCE = 24;
const TAG = 16;
export const OVERHEAD = NONCE + TAG;

/** Return nonce and box, of at most so many bytes. Throws Unsealable. `nonce`: for vectors only. */
export function seal(
  plain: Uint8Array,
  key: Uint8Array,
  most: number,
  nonce = randomBytes(NONCE),
): Uint8Array {
  if (plain.length + OVERHEAD > most) {
    throw new Unsealable("This is larger than the service takes.");
  }
  return concat(nonce, xsalsa20poly1305(key, nonce).encrypt(plain));
}

/** Return what was sealed in at most so many bytes. Throws NotAuthentic. */
export function openSealed(sealed: Uint8Array, key: Uint8Array, most: number): Uint8Array {
  if (sealed.length <= most && sealed.length >= OVERHEAD) {
    try {
      return xsalsa20poly1305(key, sealed.subarray(0, NONCE)).decrypt(sealed.subarray(NONCE));
    } catch {
      // Its tag is another one.
    }
  }
  throw new NotAuthentic("This was not sealed with that key, or not as it is now.");
}

/**
 * Envelopes: a group key in an authenticated box, from one device to another.
 *
 * A sealed box would not say who sealed it, so the service could put another key in its place.
 */

import { hsalsa } from "@noble/ciphers/salsa.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { utf8 } from "./bytes.js";
import { NotAuthentic } from "./errors.js";
import { OVERHEAD, openSealed, seal } from "./sealing.js";
import { KEY_BYTES, checkedGroupKey } from "./secrets.js";

export const ENVELOPE_BYTES = KEY_BYTES + OVERHEAD;
const SIGMA = words(utf8("expand 32-byte k"));

/**
 * Return the 72 bytes by which one device hands another a group key.
 *
 * Throws NotAuthentic for a public key that agrees on the same secret with all devices.
 */
export function wrap(
  key: Uint8Array,
  recipientPublic: Uint8Array,
  wrapper: Uint8Array,
  nonce?: Uint8Array,
): Uint8Array {
  return seal(key, agreed(wrapper, recipientPublic), ENVELOPE_BYTES, nonce);
}

/**
 * Return the key that the wrapper put in. Throws NotAuthentic.
 *
 * Whether the wrapper is trusted, and whether the key matches the version's commitment, is left to
 * the caller.
 */
export function unwrap(
  wrapped: Uint8Array,
  wrapperPublic: Uint8Array,
  recipient: Uint8Array,
): Uint8Array {
  if (wrapped.length !== ENVELOPE_BYTES) {
    throw new NotAuthentic("This envelope was not made for this device by that wrapper.");
  }
  return checkedGroupKey(
    openSealed(wrapped, agreed(recipient, wrapperPublic), ENVELOPE_BYTES),
  );
}

/** Return the key of a box, as `crypto_box_beforenm` does. */
function agreed(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  let shared: Uint8Array;
  try {
    shared = x25519.getSharedSecret(secretKey, publicKey);
  } catch {
    throw new NotAuthentic("Nothing can be wrapped for this public key.");
  }
  const found = new Uint32Array(8);
  hsalsa(SIGMA, words(shared), new Uint32Array(4), found);
  const bytes = new Uint8Array(KEY_BYTES);
  found.forEach((word, at) => new DataView(bytes.buffer).setUint32(4 * at, word, true));
  return bytes;
}

function words(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, at) => view.getUint32(4 * at, true));
}

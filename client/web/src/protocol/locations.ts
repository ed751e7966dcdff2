/** Locations: a JSON object, padded and sealed under the group key. */

import { concat } from "./bytes.js";
import { NotALocation, orNull } from "./errors.js";
import { type JsonObject, isObject, read, written } from "./json.js";
import { openSealed, seal } from "./sealing.js";

export const LOCATION_BYTES = 4096;
/** Bytes of a sealed message that another app posts: OwnTracks attaches pictures. */
export const LARGEST_MESSAGE = 20 * 1024;
const BLOCK = 128;

/** Return 41 to 4096 bytes, whose number says little about the location. Throws Unsealable. */
export function sealLocation(location: unknown, key: Uint8Array, nonce?: Uint8Array): Uint8Array {
  const text = written(location);
  const spaces = new Uint8Array((BLOCK - (text.length % BLOCK)) % BLOCK).fill(0x20);
  return seal(concat(text, spaces), key, LOCATION_BYTES, nonce);
}

/**
 * Return the JSON object that a holder of the key sealed, of at most so many sealed bytes.
 *
 * OwnTracks and the first Draugar app seal the same way, with members of their own; a phone with
 * OwnTracks posts up to LARGEST_MESSAGE. Throws NotAuthentic, and NotALocation for what does open.
 */
export function openLocation(
  sealed: Uint8Array,
  key: Uint8Array,
  largest = LOCATION_BYTES,
): JsonObject {
  const opened = openSealed(sealed, key, largest);
  const value = orNull(() => read(opened));
  if (isObject(value)) return value;
  throw new NotALocation("This opens, but is not a location.");
}

/** Keys and secrets, which only members' devices hold. */

import { x25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, fourBytes, fromUtf8, idBytes, randomBytes, toBase64url, utf8 } from "./bytes.js";
import { NotAuthentic } from "./errors.js";
import { LAST_VERSION } from "./json.js";

export const KEY_BYTES = 32;
export const INVITE_SECRET_BYTES = 16;
const GROUP_KEY = /^[A-Za-z0-9_-]{32}$/;

/** Make a group's key: 32 characters, so that it can also be typed or scanned. */
export function makeGroupKey(): Uint8Array {
  return utf8(toBase64url(randomBytes(24)));
}

/** Return the bytes of a group key. Throws NotAuthentic. */
export function groupKey(characters: string): Uint8Array {
  if (!GROUP_KEY.test(characters)) throw new NotAuthentic("This is not the form of a group key.");
  return utf8(characters);
}

/** Return bytes that are a group key. Throws NotAuthentic. */
export function checkedGroupKey(value: Uint8Array): Uint8Array {
  return groupKey(fromUtf8(value));
}

/** Return the 32 bytes that show, without showing it, which key a version has. */
export function commitmentOf(key: Uint8Array, groupId: string, version: number): Uint8Array {
  if (!(version >= 1 && version <= LAST_VERSION)) {
    throw new NotAuthentic("This is not the version of a key.");
  }
  return sha256(concat(utf8("draugar/group-key/v1"), idBytes(groupId), fourBytes(version), key));
}

/** Make the secret key of a device (X25519), which never leaves it. */
export function makeDeviceKey(): Uint8Array {
  return randomBytes(KEY_BYTES);
}

/** Return the public half of a device's key. */
export function publicKeyOf(deviceKey: Uint8Array): Uint8Array {
  return x25519.getPublicKey(deviceKey);
}

/** Check the length of a public key. Throws NotAuthentic. */
export function checkPublicKey(value: Uint8Array): void {
  if (value.length !== KEY_BYTES) throw new NotAuthentic("A public key has 32 bytes.");
}

/** The safety number that two people compare. */

import { sha256, sha512 } from "@noble/hashes/sha2.js";
import type { DeviceKind } from "../models.js";
import { compareBytes, concat, fromHex, idBytes, toHex, utf8 } from "./bytes.js";
import { NotAuthentic } from "./errors.js";
import { KEY_BYTES, checkPublicKey } from "./secrets.js";

const ROUNDS = 5200;

/** A person, with the tokens of their devices. */
export type Half = readonly [userId: string, tokens: readonly Uint8Array[]];

/**
 * Return the 32 bytes by which a device stands in a safety number. Throws NotAuthentic.
 *
 * A browser has others than its public key, so that two people do not see the same number where the
 * service calls a device a browser to one of them only.
 */
export function deviceToken(publicKey: Uint8Array, kind: DeviceKind): Uint8Array {
  checkPublicKey(publicKey);
  return kind === "app" ? publicKey : sha256(concat(utf8("draugar/device/web/v1"), publicKey));
}

/**
 * Return 12 groups of 5 digits for two people and the tokens of their devices, in any order.
 *
 * Throws NotAuthentic when there is nothing to compare.
 */
export function safetyNumber(one: Half, other: Half): string {
  for (const [, tokens] of [one, other]) {
    if (tokens.length === 0 || tokens.some((token) => token.length !== KEY_BYTES)) {
      throw new NotAuthentic("A safety number takes two people with a device that has a key.");
    }
  }
  if (one[0] === other[0]) throw new NotAuthentic("There is no number with oneself.");
  const [first, second] = [half(one), half(other)].sort(compareBytes) as [Uint8Array, Uint8Array];
  const said = concat(utf8("draugar/safety/v1"), first, second);
  const fives = [said, concat(Uint8Array.of(1), said)].flatMap((input) => {
    const digest = iterated(input);
    return [0, 5, 10, 15, 20, 25].map((start) => digest.subarray(start, start + 5));
  });
  return fives
    .map((five) => (Number.parseInt(toHex(five), 16) % 100_000).toString().padStart(5, "0"))
    .join(" ");
}

function half([userId, tokens]: Half): Uint8Array {
  const each = [...new Set(tokens.map(toHex))].sort().map(fromHex);
  return concat(idBytes(userId), ...each);
}

function iterated(said: Uint8Array): Uint8Array {
  let digest: Uint8Array = new Uint8Array();
  for (let round = 0; round < ROUNDS; round++) digest = sha512(concat(digest, said));
  return digest;
}

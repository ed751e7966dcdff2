/**
 * Signatures by a device key: XEdDSA over X25519 (Signal's specification, revision 1).
 *
 * A signature is an Ed25519 signature by the Edwards form of the device's public key. It is verified
 * without the cofactor, as libsodium does, so that all clients agree on which statements are signed.
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { areEqual, concat, randomBytes, toHex } from "./bytes.js";
import { KEY_BYTES } from "./secrets.js";

export const SIGNATURE_BYTES = 64;
const RANDOM_BYTES = 64;
const { Point } = ed25519;
const P = Point.Fp.ORDER;
const Q = Point.Fn.ORDER;
/** What separates the hash for the nonce from the other one: 2^256 - 2, little-endian. */
const HASH_1 = new Uint8Array(32).fill(0xff).fill(0xfe, 0, 1);

type EdwardsPoint = InstanceType<typeof Point>;

/** Return the 64 bytes of a signature; `random` is Z, 64 bytes, for test vectors only. */
export function sign(
  key: Uint8Array,
  message: Uint8Array,
  random = randomBytes(RANDOM_BYTES),
): Uint8Array {
  const clamped = Uint8Array.from(key);
  clamped[0]! &= 248;
  clamped[31] = (clamped[31]! & 127) | 64;
  const scalar = fromLittle(clamped) % Q;
  const encoded = Point.BASE.multiply(scalar).toBytes();
  // Both are computed, and neither is chosen by a branch: the sign of the point is not public.
  const candidates = [scalar, Q - scalar] as const;
  const secret = candidates[(encoded[31]! >> 7) as 0 | 1];
  const publicKey = Uint8Array.from(encoded);
  publicKey[31]! &= 127;
  const nonce = hashed(HASH_1, toLittle(secret), message, random);
  const commitment = Point.BASE.multiply(nonce).toBytes();
  const challenge = hashed(commitment, publicKey, message);
  return concat(commitment, toLittle((nonce + secret * challenge) % Q));
}

/** Whether the holder of a device's public key signed exactly this message. */
export function verify(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const point = edwards(publicKey);
  if (point === null || signature.length !== SIGNATURE_BYTES) return false;
  const commitment = signature.subarray(0, 32);
  const s = fromLittle(signature.subarray(32));
  if (s >= Q) return false;
  const challenge = hashed(commitment, point.toBytes(), message);
  const found = Point.BASE.multiplyUnsafe(s).subtract(point.multiplyUnsafe(challenge));
  // The point is in the group that the base point generates; so is this, and there only the neutral
  // point is of low order.
  return !found.is0() && areEqual(found.toBytes(), commitment);
}

/**
 * Whether a public key is one that a device can have made, so that its signatures verify.
 *
 * Refused are another length, u >= p, u = -1, points of low order, and points beside the group that
 * the base point generates: on those, implementations of Ed25519 disagree.
 */
export function isDeviceKey(publicKey: Uint8Array): boolean {
  return edwards(publicKey) !== null;
}

const known = new Map<string, EdwardsPoint | null>();
const MOST_KNOWN = 512;

/** Return the Ed25519 public key with sign bit 0 that a device's public key stands for. */
function edwards(publicKey: Uint8Array): EdwardsPoint | null {
  const name = toHex(publicKey);
  let found = known.get(name);
  if (found === undefined) {
    found = converted(publicKey);
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(name, found);
  }
  return found;
}

function converted(publicKey: Uint8Array): EdwardsPoint | null {
  const u = fromLittle(publicKey);
  if (publicKey.length !== KEY_BYTES || u >= P - 1n) return null;
  const { Fp } = Point;
  const y = Fp.mul(Fp.sub(u, 1n), Fp.inv(Fp.add(u, 1n)));
  try {
    const point = Point.fromBytes(toLittle(y));
    return point.is0() || !point.isTorsionFree() ? null : point;
  } catch {
    return null; // of the twist
  }
}

function hashed(...parts: readonly Uint8Array[]): bigint {
  return fromLittle(sha512(concat(...parts))) % Q;
}

function fromLittle(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(Uint8Array.from(bytes).reverse()) || "0"}`);
}

function toLittle(value: bigint): Uint8Array {
  const found = new Uint8Array(32);
  for (let at = 0; at < 32; at++) found[at] = Number((value >> BigInt(8 * at)) & 255n);
  return found;
}

/** Invites by link: the key package behind a link, and the joiner's proof. */

import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import type { DeviceKind } from "../models.js";
import { stripped } from "../text/characters.js";
import { areEqual, concat, fromBase64url, fromUtf8, toBase64url, utf8 } from "./bytes.js";
import { isCode } from "./codes.js";
import { NewerFormat, NotAuthentic, orNull } from "./errors.js";
import { isObject, member, members, read, text, uuid, version, written } from "./json.js";
import { type RosterEntry, asJson, longest, readRoster } from "./rosters.js";
import { OVERHEAD, openSealed, seal } from "./sealing.js";
import { KEY_BYTES, checkPublicKey, commitmentOf, groupKey } from "./secrets.js";
import { FORM } from "./statements.js";

export const PACKAGE_BYTES = 20 * 1024;
/** A browser's proof does not hold as that of another device, nor the other way round. */
const PROVED: Readonly<Record<DeviceKind, Uint8Array>> = {
  app: new Uint8Array(),
  web: utf8("draugar/join/web/v1"),
};
const MEMBERS = [
  "groupKey",
  "keyVersion",
  "groupId",
  "inviterUserId",
  "inviterPublicKey",
  "commitment",
  "roster",
];

/** What both sides of an invite make of its code and its secret. */
export interface InviteKeys {
  readonly wrap: Uint8Array;
  readonly proof: Uint8Array;
}

/** Derive the keys; `code` is canonical. */
export function inviteKeys(secret: Uint8Array, code: string): InviteKeys {
  const salt = sha256(codeBytes(code));
  const derived = (info: string) => hkdf(sha256, secret, salt, utf8(info), KEY_BYTES);
  return { wrap: derived("draugar/invite/wrap"), proof: derived("draugar/invite/proof") };
}

/** All that a joiner needs to read at once, while the inviter is away. Public values: base64url. */
export interface Package {
  readonly groupKey: Uint8Array;
  readonly keyVersion: number;
  readonly groupId: string;
  readonly inviterUserId: string;
  readonly inviterPublicKey: string;
  readonly commitment: string;
  readonly roster: readonly RosterEntry[];
}

/** Return at most 20 KiB. Throws Unsealable when the roster is too long for that. */
export function sealPackage(found: Package, keys: InviteKeys): Uint8Array {
  return seal(packageJson(found), keys.wrap, PACKAGE_BYTES);
}

/** Return a package with as many of the first entries of its roster as have room in it. */
export function fittedPackage(found: Package): Package {
  const others = packageJson({ ...found, roster: [] }).length - 2;
  return { ...found, roster: longest(found.roster, PACKAGE_BYTES - OVERHEAD - others) };
}

function packageJson(found: Package): Uint8Array {
  return written({ ...found, groupKey: fromUtf8(found.groupKey), roster: asJson(found.roster) });
}

/**
 * Return what the inviter put in, which agrees with itself.
 *
 * Whether it is about the group that was joined is left to the caller. Throws NotAuthentic, and
 * NewerFormat for a package that says that only newer clients can read it.
 */
export function openPackage(sealed: Uint8Array, wrap: Uint8Array): Package {
  const value = read(openSealed(sealed, wrap, PACKAGE_BYTES));
  if (isObject(value)) {
    const form = member(value, "form");
    if (typeof form === "number" && form > FORM) {
      throw new NewerFormat("This package is of a newer form.");
    }
  }
  const opened = members(value, MEMBERS);
  const found: Package = {
    groupKey: groupKey(text(opened["groupKey"])),
    keyVersion: version(opened["keyVersion"]),
    groupId: uuid(opened["groupId"]),
    inviterUserId: uuid(opened["inviterUserId"]),
    inviterPublicKey: text(opened["inviterPublicKey"]),
    commitment: text(opened["commitment"]),
    roster: readRoster(opened["roster"], true),
  };
  checkPublicKey(fromBase64url(found.inviterPublicKey));
  const stated = commitmentOf(found.groupKey, found.groupId, found.keyVersion);
  if (toBase64url(stated) !== found.commitment) {
    throw new NotAuthentic("The group key of this package is not the one it commits to.");
  }
  return found;
}

/**
 * Return the 32 bytes that show the inviter that this key is the joiner's own.
 *
 * The service stores names without spaces at their ends, so that is what is proved. Throws
 * NotAuthentic for what cannot be proved.
 */
export function joinProof(
  proofKey: Uint8Array,
  publicKey: Uint8Array,
  name: string,
  code: string,
  kind: DeviceKind,
): Uint8Array {
  checkPublicKey(publicKey);
  const named = sha256(utf8(stripped(text(name))));
  return hmac(sha256, proofKey, concat(PROVED[kind], publicKey, named, codeBytes(code)));
}

/** Whether the maker of the proof held the invite's secret. */
export function proofHolds(
  proof: Uint8Array,
  proofKey: Uint8Array,
  publicKey: Uint8Array,
  name: string,
  code: string,
  kind: DeviceKind,
): boolean {
  const right = orNull(() => joinProof(proofKey, publicKey, name, code, kind));
  return right !== null && areEqual(proof, right);
}

/** Return the bytes of a code in canonical form. Throws NotAuthentic. */
function codeBytes(code: string): Uint8Array {
  if (!isCode(code)) throw new NotAuthentic("This is not a code in its canonical form.");
  return utf8(code);
}

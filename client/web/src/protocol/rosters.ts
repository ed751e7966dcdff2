/**
 * Rosters of form 1: the devices that a member has confirmed, sealed under the group key.
 *
 * Their entries also stand in the key package of a link.
 */

import type { DeviceKind } from "../models.js";
import { fromBase64url } from "./bytes.js";
import { NotAuthentic, Unsealable } from "./errors.js";
import { type Json, isObject, items, member, members, read, text, uuid, written } from "./json.js";
import { OVERHEAD, openSealed, seal } from "./sealing.js";
import { checkPublicKey } from "./secrets.js";

export const ROSTER_BYTES = 16 * 1024;
const ENTRY = ["userId", "name", "deviceId", "publicKey"] as const;
const MOST_ENTRIES = 1000;

/** A device that a member has confirmed, and whose it is; the public key as base64url. */
export interface RosterEntry {
  readonly userId: string;
  readonly name: string;
  readonly deviceId: string;
  readonly publicKey: string;
  readonly kind: DeviceKind;
}

/**
 * Return at most 16 KiB. Throws Unsealable when there are too many for that.
 *
 * Browsers are left out: clients that read this form could not tell them from other devices.
 */
export function sealRoster(entries: readonly RosterEntry[], key: Uint8Array): Uint8Array {
  const apps = entries.filter((entry) => entry.kind === "app");
  return seal(written(asJson(apps)), key, ROSTER_BYTES);
}

/** Return whom its author has confirmed. Throws NotAuthentic. */
export function openRoster(sealed: Uint8Array, key: Uint8Array): RosterEntry[] {
  return readRoster(read(openSealed(sealed, key, ROSTER_BYTES)), false);
}

/** Return as many of the first entries as a sealed roster has room for. */
export function cut(entries: readonly RosterEntry[], most = ROSTER_BYTES): RosterEntry[] {
  return longest(
    entries.filter((entry) => entry.kind === "app"),
    most - OVERHEAD,
  );
}

/** Return as many of the first entries as have room in so many bytes of JSON. */
export function longest(entries: readonly RosterEntry[], most: number): RosterEntry[] {
  const found: RosterEntry[] = [];
  let left = most - 2;
  for (const entry of entries) {
    left -= written(asJson([entry])).length - 2 + (found.length > 0 ? 1 : 0);
    if (left < 0) break;
    found.push(entry);
  }
  return found;
}

/** Return entries as the members of a roster. Throws Unsealable. */
export function asJson(entries: readonly RosterEntry[]): Record<string, string>[] {
  if (repeats(entries)) throw new Unsealable("A device stands in this roster more than once.");
  return entries.map(({ userId, name, deviceId, publicKey, kind }) => ({
    userId,
    name,
    deviceId,
    publicKey,
    ...(kind === "web" ? { kind } : {}),
  }));
}

/**
 * Return the entries of a roster that opened. Throws NotAuthentic.
 *
 * `kinds`: an entry may say that a device is a browser.
 */
export function readRoster(value: Json | undefined, kinds: boolean): RosterEntry[] {
  const entries = items(value, MOST_ENTRIES).map((item) => readEntry(item, kinds));
  if (repeats(entries)) throw new NotAuthentic("A device stands in this roster more than once.");
  return entries;
}

function readEntry(value: Json, kinds: boolean): RosterEntry {
  const isWeb = kinds && isObject(value) && member(value, "kind") === "web";
  const entry = members(value, isWeb ? [...ENTRY, "kind"] : ENTRY);
  const publicKey = text(entry["publicKey"]);
  checkPublicKey(fromBase64url(publicKey));
  return {
    userId: uuid(entry["userId"]),
    name: text(entry["name"]),
    deviceId: uuid(entry["deviceId"]),
    publicKey,
    kind: isWeb ? "web" : "app",
  };
}

function repeats(entries: readonly RosterEntry[]): boolean {
  return new Set(entries.map((entry) => entry.deviceId)).size !== entries.length;
}

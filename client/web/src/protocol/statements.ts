/**
 * Statements: what a device says of devices, sealed under a group key and signed by its own key.
 *
 *     sealed    = nonce (24) || secretbox(JSON || signature (64), nonce, group key of the version)
 *     signature = XEdDSA(device key, "draugar/statement/v2" || group id || version || `by` || JSON)
 *
 * Every form has this frame and the members `form`, `is` and `by`, so that a reader knows the author
 * of a statement that it cannot read otherwise. Public keys and commitments are base64url.
 */

import type { DeviceKind } from "../models.js";
import { isName } from "../text/naming.js";
import { concat, fourBytes, fromBase64url, idBytes, utf8 } from "./bytes.js";
import { NotAuthentic, Unsealable, orNull } from "./errors.js";
import * as json from "./json.js";
import { type Json, type JsonObject, isObject, items, member, oneOf, whole } from "./json.js";
import { OVERHEAD, openSealed, seal } from "./sealing.js";
import { KEY_BYTES } from "./secrets.js";
import * as signing from "./signing.js";

export const FORM = 2;
export const MOST_PEOPLE = 50;
export const MOST_DEVICES = 150;
export const MOST_GONE = 200;
export const MOST_OWN = 16;
export const LAST_NUMBER = json.LAST_VERSION;
/** The last second of the year 9999: the greatest time that every language can show. */
export const LAST_SECOND = 253_402_300_799;
const PREFIX = utf8("draugar/statement/v2");

export type Browsers = "accepted" | "refused";

/** A device; these four never change. */
export interface Device {
  readonly userId: string;
  readonly deviceId: string;
  readonly publicKey: string;
  readonly kind: DeviceKind;
}

/** A device as another one introduces it, from a key version on. */
export interface Introduction {
  readonly device: Device;
  readonly since: number;
  /** Of its person; absent where the statement leaves it out, and in a card. */
  readonly name?: string;
}

/** What the author of a key version says: who gets the key, and which devices have gone. */
export interface Roster {
  readonly is: "roster";
  readonly by: string;
  readonly commitment: string;
  /** When the version was made, in seconds of Unix time by the author's clock. */
  readonly made: number;
  readonly browsers: Browsers;
  /** False where more devices have gone than `gone` holds. */
  readonly complete: boolean;
  /** Of one person all with the same name. */
  readonly introductions: readonly Introduction[];
  /** Devices, each with the version up to which it may know the keys. */
  readonly gone: readonly (readonly [string, number])[];
}

/** What a device says of another one that it trusts, while a version is the present one. */
export interface Entry {
  readonly is: "entry";
  readonly by: string;
  readonly introduction: Introduction;
}

/** What a device says of its own person: the name, and which other devices are theirs. */
export interface Card {
  readonly is: "card";
  readonly by: string;
  readonly userId: string;
  /** Of several names of a person the one with the greatest (n, by) holds. */
  readonly n: number;
  readonly name: string;
  readonly kind: DeviceKind;
  /** Devices of `userId`, without a name. */
  readonly own: readonly Introduction[];
}

/** Until when, in seconds of Unix time, a version was the present one; to own devices. */
export interface Former {
  readonly is: "former";
  readonly by: string;
  readonly until: number;
}

/** A statement that only a newer client can read. */
export interface NewerForm {
  readonly is: "newer";
  readonly by: string;
  readonly form: number;
}

/** What does not open, or breaks a rule; `by` is who it says made it, where that is readable. */
export interface Unreadable {
  readonly is: "unreadable";
  readonly by: string | null;
}

export type Statement = Roster | Entry | Card | Former;

/** Bytes of a sealed statement that the service takes. */
export const MOST_BYTES: Readonly<Record<Statement["is"], number>> = {
  roster: 56 * 1024,
  entry: 768,
  card: 3 * 1024,
  former: 256,
};

/** A statement that was sealed under a group key; who signed it is still to be verified. */
export interface Opened {
  readonly statement: Statement | NewerForm | Unreadable;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

/** Whether the device `statement.by`, with this public key, signed it for that version. */
export function isSignedBy(
  opened: Opened,
  publicKey: Uint8Array,
  groupId: string,
  version: number,
): boolean {
  const { by } = opened.statement;
  if (by === null || !(version >= 0 && version <= LAST_NUMBER)) return false;
  return signing.verify(
    publicKey,
    messageOf(opened.signed, groupId, version, by),
    opened.signature,
  );
}

export interface Sealing {
  readonly groupId: string;
  readonly version: number;
  readonly deviceKey: Uint8Array;
  readonly key: Uint8Array;
}

/**
 * Sign a statement by the device `by` and seal it under the key of a version.
 *
 * Throws Unsealable for one that breaks a bound: readers would refuse it.
 */
export function sealStatement(statement: Statement, how: Sealing): Uint8Array {
  const text = json.written(asJson(statement));
  if (orNull(() => [check(statement), json.version(how.version)]) === null) {
    throw new Unsealable("This statement breaks a bound.");
  }
  const message = messageOf(text, how.groupId, how.version, statement.by);
  const signed = concat(text, signing.sign(how.deviceKey, message));
  return seal(signed, how.key, MOST_BYTES[statement.is]);
}

/**
 * Return what was sealed under a version's key; never throws.
 *
 * Its `statement` is unreadable where it does not open or breaks a rule, and newer where it takes a
 * newer client to read it. Neither says anything about a device.
 */
export function openStatement(sealed: Uint8Array, key: Uint8Array): Opened {
  const frame = orNull(() => {
    const plain = openSealed(sealed, key, MOST_BYTES.roster);
    const end = plain.length - signing.SIGNATURE_BYTES;
    if (end < 0) throw new NotAuthentic("This holds no signature.");
    const value = json.read(plain.subarray(0, end));
    if (!isObject(value)) throw new NotAuthentic("This is not a statement.");
    const by = json.uuid(member(value, "by"));
    return { value, by, signed: plain.subarray(0, end), signature: plain.subarray(end) };
  });
  if (frame === null) {
    const nothing = new Uint8Array();
    return { statement: { is: "unreadable", by: null }, signed: nothing, signature: nothing };
  }
  const { value, by, signed, signature } = frame;
  const found = orNull(() => readStatement(value, by));
  const fits =
    found !== null && (found.is === "newer" || sealed.length <= MOST_BYTES[found.is]);
  return { statement: fits ? found : { is: "unreadable", by }, signed, signature };
}

/**
 * Return a roster within its bounds, or null where leaving out names is not enough.
 *
 * A public key that no device can have goes, as does a name that breaks the rules; then all names.
 * Of the devices that have gone the newest stay, and the roster is not complete.
 */
export function fitted(roster: Roster): Roster | null {
  let { gone, complete } = roster;
  if (gone.length > MOST_GONE) {
    gone = [...gone]
      .sort((one, other) => other[1] - one[1] || (one[0] < other[0] ? -1 : 1))
      .slice(0, MOST_GONE);
    complete = false;
  }
  const named = roster.introductions
    .filter((one) => signing.isDeviceKey(fromBase64url(one.device.publicKey)))
    .map((one) => (one.name === undefined || isName(one.name) ? one : nameless(one)));
  for (const introductions of [named, named.map(nameless)]) {
    const found = { ...roster, introductions, gone, complete };
    if (fits(found)) return found;
  }
  return null;
}

function nameless({ device, since }: Introduction): Introduction {
  return { device, since };
}

function fits(statement: Statement): boolean {
  try {
    check(statement);
    const size = OVERHEAD + json.written(asJson(statement)).length + signing.SIGNATURE_BYTES;
    return size <= MOST_BYTES[statement.is];
  } catch (error) {
    if (error instanceof NotAuthentic || error instanceof Unsealable) return false;
    throw error;
  }
}

function messageOf(
  text: Uint8Array,
  groupId: string,
  version: number,
  by: string,
): Uint8Array {
  return concat(PREFIX, idBytes(groupId), fourBytes(version), idBytes(by), text);
}

// Members

function asJson(statement: Statement): Record<string, unknown> {
  const frame = { form: FORM, is: statement.is, by: statement.by };
  switch (statement.is) {
    case "roster":
      return {
        ...frame,
        commitment: statement.commitment,
        made: statement.made,
        browsers: statement.browsers,
        complete: statement.complete,
        people: people(statement.introductions),
        gone: statement.gone,
      };
    case "entry": {
      const { device, name } = statement.introduction;
      return {
        ...frame,
        userId: device.userId,
        ...(name === undefined ? {} : { name }),
        device: deviceJson(statement.introduction),
      };
    }
    case "card":
      return {
        ...frame,
        userId: statement.userId,
        n: statement.n,
        name: statement.name,
        kind: statement.kind,
        own: statement.own.map(deviceJson),
      };
    case "former":
      return { ...frame, until: statement.until };
  }
}

/** Group devices by person. Throws Unsealable for a person with several names. */
function people(introductions: readonly Introduction[]): Record<string, unknown>[] {
  const found = new Map<string, Introduction[]>();
  for (const one of introductions) {
    found.set(one.device.userId, [...(found.get(one.device.userId) ?? []), one]);
  }
  return [...found].map(([userId, theirs]) => {
    const [{ name }] = theirs as [Introduction];
    if (theirs.some((one) => one.name !== name)) {
      throw new Unsealable("A person in this roster has several names.");
    }
    return {
      userId,
      ...(name === undefined ? {} : { name }),
      devices: theirs.map(deviceJson),
    };
  });
}

function deviceJson({ device, since }: Introduction): Record<string, unknown> {
  const { deviceId, publicKey, kind } = device;
  return { deviceId, publicKey, kind, since };
}

const FRAME = ["form", "is", "by"] as const;

function readStatement(value: JsonObject, by: string): Statement | NewerForm {
  const form = whole(member(value, "form"), LAST_NUMBER);
  if (form > FORM) return { is: "newer", by, form };
  const is = member(value, "is");
  if (form < FORM || typeof is !== "string" || !Object.hasOwn(READERS, is)) {
    throw new NotAuthentic("This is not a statement of form 2.");
  }
  const statement = READERS[is as Statement["is"]](value, by);
  check(statement);
  return statement;
}

const READERS: Readonly<Record<Statement["is"], (value: JsonObject, by: string) => Statement>> = {
  roster(value, by) {
    const names = ["commitment", "made", "browsers", "complete", "people", "gone"];
    const found = json.members(value, [...FRAME, ...names]);
    const theirs = items(found["people"], MOST_PEOPLE).map(readPerson);
    if (repeats(theirs.map(([first]) => first!.device.userId))) {
      throw new NotAuthentic("A person stands in this roster twice.");
    }
    return {
      is: "roster",
      by,
      commitment: bytesText(found["commitment"]),
      made: whole(found["made"], LAST_SECOND),
      browsers: oneOf(["accepted", "refused"], found["browsers"]),
      complete: json.truth(found["complete"]),
      introductions: theirs.flat(),
      gone: items(found["gone"], MOST_GONE).map(readGone),
    };
  },
  entry(value, by) {
    const found = optionallyNamed(value, [...FRAME, "userId", "device"]);
    const introduction = readDevice(found["device"], json.uuid(found["userId"]), found["name"]);
    return { is: "entry", by, introduction };
  },
  card(value, by) {
    const found = json.members(value, [...FRAME, "userId", "n", "name", "kind", "own"]);
    const userId = json.uuid(found["userId"]);
    return {
      is: "card",
      by,
      userId,
      n: whole(found["n"], LAST_NUMBER),
      name: json.text(found["name"]),
      kind: oneOf(["app", "web"], found["kind"]),
      own: items(found["own"], MOST_OWN).map((one) => readDevice(one, userId, undefined)),
    };
  },
  former(value, by) {
    const found = json.members(value, [...FRAME, "until"]);
    return { is: "former", by, until: whole(found["until"], LAST_SECOND) };
  },
};

function readPerson(value: Json): Introduction[] {
  const found = optionallyNamed(value, ["userId", "devices"]);
  const userId = json.uuid(found["userId"]);
  const theirs = items(found["devices"], MOST_DEVICES);
  if (theirs.length === 0) throw new NotAuthentic("A person in this roster has no device.");
  return theirs.map((one) => readDevice(one, userId, found["name"]));
}

function optionallyNamed(value: Json, names: readonly string[]): JsonObject {
  const hasName = isObject(value) && Object.hasOwn(value, "name");
  const found = json.members(value, hasName ? [...names, "name"] : names);
  if (hasName) json.text(found["name"]);
  return found;
}

function readDevice(value: Json | undefined, userId: string, name?: Json): Introduction {
  const found = json.members(value, ["deviceId", "publicKey", "kind", "since"]);
  return {
    device: {
      userId,
      deviceId: json.uuid(found["deviceId"]),
      publicKey: bytesText(found["publicKey"]),
      kind: oneOf(["app", "web"], found["kind"]),
    },
    since: whole(found["since"], LAST_NUMBER),
    ...(name === undefined ? {} : { name: json.text(name) }),
  };
}

function readGone(value: Json): readonly [string, number] {
  const found = items(value, 2);
  if (found.length !== 2) throw new NotAuthentic("This is not a device that has gone.");
  return [json.uuid(found[0]), whole(found[1], LAST_NUMBER)];
}

/** Return a text that is base64url, the one way there is to write it. */
function bytesText(value: Json | undefined): string {
  const found = json.text(value);
  fromBase64url(found);
  return found;
}

// Bounds, the same for writing and for reading

/** Throws NotAuthentic for a statement that breaks a bound. */
function check(statement: Statement): true {
  switch (statement.is) {
    case "roster":
      checkRoster(statement);
      break;
    case "entry":
      checkIntroductions([statement.introduction], 1);
      break;
    case "card":
      checkName(statement.name);
      whole(statement.n, LAST_NUMBER);
      checkIntroductions(statement.own, MOST_OWN);
      for (const one of statement.own) {
        if (one.device.userId !== statement.userId || one.name !== undefined) {
          throw new NotAuthentic("A card introduces devices of its own person, without names.");
        }
      }
      break;
    case "former":
      whole(statement.until, LAST_SECOND);
  }
  return true;
}

function checkRoster(roster: Roster): void {
  if (fromBase64url(roster.commitment).length !== KEY_BYTES) {
    throw new NotAuthentic("A commitment has 32 bytes.");
  }
  whole(roster.made, LAST_SECOND);
  checkIntroductions(roster.introductions, MOST_DEVICES);
  if (new Set(roster.introductions.map((one) => one.device.userId)).size > MOST_PEOPLE) {
    throw new NotAuthentic("There are too many people in this roster.");
  }
  if (roster.gone.length > MOST_GONE || repeats(roster.gone.map(([id]) => id))) {
    throw new NotAuthentic("Too many devices have gone by this roster, or one of them twice.");
  }
  for (const [, ended] of roster.gone) whole(ended, LAST_NUMBER);
}

function checkIntroductions(found: readonly Introduction[], most: number): void {
  if (found.length > most) throw new NotAuthentic("There are too many devices in this statement.");
  if (
    repeats(found.map((one) => one.device.deviceId)) ||
    repeats(found.map((one) => one.device.publicKey))
  ) {
    throw new NotAuthentic("A device or a public key stands in this statement twice.");
  }
  for (const one of found) {
    whole(one.since, LAST_NUMBER);
    if (one.name !== undefined) checkName(one.name);
    if (!signing.isDeviceKey(fromBase64url(one.device.publicKey))) {
      throw new NotAuthentic("This is not a public key that a device can have.");
    }
  }
}

function checkName(name: string): void {
  if (!isName(name)) throw new NotAuthentic("This is not a name.");
}

function repeats(values: readonly string[]): boolean {
  return new Set(values).size !== values.length;
}

/**
 * What the decisions are made of: what this device knows, and what the service answers.
 *
 * All values are frozen by their types; a decision returns a new state. They are plain JSON, as a
 * home keeps it and as docs/decisions.json has it: ids are texts, bytes base64url without padding,
 * times seconds of Unix time, sets lists. Versions are the names of an object's members.
 */

import type { Browsers, Card, Device, Introduction } from "../protocol/statements.js";
import { isName } from "../text/naming.js";

/** Less than every key version: the end of a device that never ended. */
export const NEVER = -1;

/** By what a device came to be trusted: a proof, a comparison, its person, or a member's word. */
export type Source = "proof" | "safety" | "own" | "member";
export const ROOTS: readonly Source[] = ["proof", "safety"];

/** What the member is told: a code, and parameters in the order of their names. */
export interface Notice {
  readonly code: string;
  readonly parameters: Readonly<Record<string, string | number>>;
}

export function notice(code: string, parameters: Record<string, string | number> = {}): Notice {
  const names = Object.keys(parameters).sort();
  return { code, parameters: Object.fromEntries(names.map((name) => [name, parameters[name]!])) };
}

/** A name as a card states it. */
export interface Name {
  readonly n: number;
  readonly name: string;
}

/** Another device, as long as the group is known; its key, owner and kind never change. */
export interface DeviceRecord {
  readonly device: Device;
  /** The greatest key version from which it was introduced. */
  readonly since: number;
  readonly source: Source;
  /** Of a device that a member introduced: the member's device. */
  readonly by: string | null;
  /** The greatest end that this device saw in the list, or that its person stated. */
  readonly observed: number;
  /** The greatest end that each signer has stated. */
  readonly said: Ends;
  /** By this person's word. */
  readonly removed: boolean;
  readonly card: Name | null;
}

/** Of each signer, the greatest end that it has stated. */
export type Ends = Readonly<Record<string, number>>;

/** A group key that this device holds. */
export interface Held {
  readonly key: string;
  readonly firstHeld: number;
  /** When it was last seen to be the present one. */
  readonly lastCurrent: number;
  /** As the author says. */
  readonly made: number | null;
  /** The earliest that own devices say of when it ceased to be the present one. */
  readonly until: number | null;
}

/** Return a key that is held from now on, where `present` is the version of the group. */
export function taken(
  held: Iterable<readonly [number, Held]>,
  version: number,
  key: string,
  { present, now }: { readonly present: number; readonly now: number },
): Held {
  // "A version that was never the present one at an update counts as present when an earlier one was
  // last so" -- else a former member could go on with a key until this device met it.
  const earlier = [...held].filter(([number]) => number < version);
  const lastCurrent =
    version === present ? now : Math.max(0, ...earlier.map(([, known]) => known.lastCurrent));
  return { key, firstHeld: now, lastCurrent, made: null, until: null };
}

/** An invite link that this device has made. */
export interface Link {
  readonly id: string;
  readonly forMe: boolean;
  readonly proofKey: string;
  readonly code: string;
  /** The key version when it was made. */
  readonly version: number;
  readonly expiresAt: number;
  /** The device that proved it. */
  readonly usedBy: string | null;
  /** Whether no device is recognised by it: two have proved it at once. */
  readonly closed: boolean;
}

/** A device of this person; known to all groups. */
export interface OwnDevice {
  readonly publicKey: string;
  /** Those that list it. */
  readonly groups: readonly string[];
}

/** What this device knows of one group, and the devices of its person. */
export interface State {
  readonly me: Device;
  /** This device's secret key. */
  readonly key: string;
  readonly groupId: string;
  readonly held: Readonly<Record<number, Held>>;
  /** The keys of other groups. */
  readonly elsewhere: readonly string[];
  /** The highest version that was ever held. */
  readonly highest: number;
  /** The highest version that this device ever tried to make. */
  readonly attempted: number;
  /** A device that has gone may know the keys up to this version. */
  readonly compromised: number;
  readonly records: Readonly<Record<string, DeviceRecord>>;
  /** Of devices without a record: the end that each signer has stated. */
  readonly unknownGone: Readonly<Record<string, Ends>>;
  readonly links: readonly Link[];
  readonly own: Readonly<Record<string, OwnDevice>>;
  /** This device's own. */
  readonly card: Name | null;
  /** Names of people of whom no card was ever seen, as they were first introduced. */
  readonly introduced: Readonly<Record<string, string>>;
  /** As the service says. */
  readonly browsers: Browsers;
  /** As the newest believed roster says, with its version. */
  readonly statedBrowsers: readonly [number, Browsers];
  /** Devices to which this one has given a version. */
  readonly gave: readonly Given[];
  /** Devices for which this one has vouched in a version. */
  readonly vouched: readonly Given[];
  /** Devices that were seen to sign: unsigned statements of theirs are not believed. */
  readonly signers: readonly string[];
  /** Of people whose number was compared: the devices that it covers. */
  readonly compared: Readonly<Record<string, readonly string[]>>;
  /** Other devices listed as this person's: the day on which they were first seen. */
  readonly met: Readonly<Record<string, number>>;
  /** Devices that were there when this person's latest position was shared. */
  readonly greeted: readonly string[];
  readonly told: readonly Notice[];
}

/** A device and a version. */
export type Given = readonly [string, number];

/** Return the state of a device that knows nothing of a group yet. */
export function newState(me: Device, key: string, groupId: string): State {
  return {
    me,
    key,
    groupId,
    held: {},
    elsewhere: [],
    highest: 0,
    attempted: 0,
    compromised: 0,
    records: {},
    unknownGone: {},
    links: [],
    own: {},
    card: null,
    introduced: {},
    browsers: "accepted",
    statedBrowsers: [0, "accepted"],
    gave: [],
    vouched: [],
    signers: [],
    compared: {},
    met: {},
    greeted: [],
    told: [],
  };
}

// What follows from a state

/** The greatest end of a device that was accepted. */
export function endedOf(record: DeviceRecord): number {
  return Math.max(record.observed, NEVER, ...Object.values(record.said));
}

export function isTrusted(record: DeviceRecord): boolean {
  return record.since > endedOf(record) && !record.removed;
}

export function isOpen(link: Link): boolean {
  return link.usedBy === null && !link.closed;
}

/** The highest version that a device that was trusted until now may know. */
export function atRisk(state: State): number {
  return Math.max(state.highest, state.attempted);
}

/** Whether devices of the kind `web` are given no key. */
export function refusesBrowsers(state: State): boolean {
  return state.browsers === "refused" || state.statedBrowsers[1] === "refused";
}

/** Return the other devices that are trusted, by id. */
export function trustedIn(state: State): Map<string, DeviceRecord> {
  return new Map(Object.entries(state.records).filter(([, record]) => isTrusted(record)));
}

export function isSame(one: Device, other: Device): boolean {
  return (
    one.deviceId === other.deviceId &&
    one.userId === other.userId &&
    one.publicKey === other.publicKey &&
    one.kind === other.kind
  );
}

/** Whether a device is this one or, by its id, key and owner, another one of its person. */
export function isOwnIn(
  me: Device,
  own: (id: string) => OwnDevice | undefined,
  device: Device,
): boolean {
  const known = own(device.deviceId);
  return (
    isSame(device, me) ||
    (known !== undefined &&
      known.publicKey === device.publicKey &&
      device.userId === me.userId)
  );
}

export function isOwn(state: State, device: Device): boolean {
  return isOwnIn(state.me, (id) => state.own[id], device);
}

/** Return the name that a person states; else, as introduced; else null. */
export function nameOf(state: State, userId: string): string | null {
  return bestCard(state, userId)?.name ?? state.introduced[userId] ?? null;
}

/** Return the card of a person that holds. */
export function bestCard(state: State, userId: string): Name | null {
  // "The name that is shown is that of the card with the greatest (`n`, device id) among that
  // person's trusted devices."
  let best: { trusted: boolean; n: number; id: string; name: string } | null = null;
  const consider = (trusted: boolean, card: Name, id: string): void => {
    const isBetter =
      best === null ||
      (trusted !== best.trusted
        ? trusted
        : card.n !== best.n
          ? card.n > best.n
          : id > best.id);
    if (isBetter) best = { trusted, n: card.n, id, name: card.name };
  };
  for (const record of Object.values(state.records)) {
    if (
      record.card !== null &&
      record.device.userId === userId &&
      (userId !== state.me.userId || isOwn(state, record.device))
    ) {
      consider(isTrusted(record), record.card, record.device.deviceId);
    }
  }
  if (state.card !== null && userId === state.me.userId) {
    consider(true, state.card, state.me.deviceId);
  }
  return best;
}

/** Return when a held version ceased to be the present one; null where it has not. */
export function supersededAt(state: State, version: number): number | null {
  // "The version ceased to be the present one at the earliest of" what own devices say, "and" when
  // the next was made, "but not before the last update at which the version was the present one, and
  // not after the moment when it first held the next."
  const held = state.held[version]!;
  const ends: number[] = held.until === null ? [] : [held.until];
  const later = heldVersions(state).filter((number) => number > version);
  if (later.length > 0) {
    const following = state.held[Math.min(...later)]!;
    const made = following.made ?? following.firstHeld;
    ends.push(Math.min(Math.max(made, held.lastCurrent), following.firstHeld));
  }
  return ends.length === 0 ? null : Math.min(...ends);
}

/** Return the versions that are held, ascending. */
export function heldVersions(state: State): number[] {
  return Object.keys(state.held)
    .map(Number)
    .sort((one, other) => one - other);
}

/**
 * Number of a card from which on it is not repeated: no person renames themselves as often. A stolen
 * device cannot use up the numbers of its person, whose other devices repeat its name.
 */
export const FOLLOWED = 2 ** 30;

/** Return the name that this device states: of its person's devices the greatest, repeated. */
export function ownName(state: State): Name | null {
  let best: (Name & { id: string }) | null = null;
  const consider = (card: Name, id: string): void => {
    if (best === null || card.n > best.n || (card.n === best.n && id > best.id)) {
      best = { n: card.n, name: card.name, id };
    }
  };
  for (const record of trustedIn(state).values()) {
    if (record.card !== null && record.card.n < FOLLOWED && isOwn(state, record.device)) {
      consider(record.card, record.device.deviceId);
    }
  }
  if (state.card !== null) consider(state.card, state.me.deviceId);
  if (best === null) return null;
  const { n, name } = best as Name;
  return { n, name };
}

/** Return the introduced names of people with new ones: of each person the first one stays. */
export function introduced(
  known: Readonly<Record<string, string>>,
  names: Iterable<readonly [string, string]>,
): Record<string, string> {
  const found = { ...known };
  for (const [userId, name] of names) if (isName(name)) found[userId] ??= name;
  return found;
}

/** Whether a device is not what is known of it. */
export function contradicts(
  me: Device,
  records: ReadonlyMap<string, DeviceRecord>,
  device: Device,
): boolean {
  // "Key, owner and kind never change: what states another of them is ignored." A key stays with its
  // id, too.
  const record = records.get(device.deviceId);
  if (record !== undefined) return !isSame(record.device, device);
  return (
    device.publicKey === me.publicKey ||
    [...records.values()].some((other) => other.device.publicKey === device.publicKey)
  );
}

/** Return a record of a device that nothing is known of yet. */
export function newRecord(
  device: Device,
  since: number,
  source: Source,
  said: Ends = {},
): DeviceRecord {
  return {
    device,
    since,
    source,
    by: null,
    observed: NEVER,
    said,
    removed: false,
    card: null,
  };
}

/** Return a list of pairs with others that it does not hold yet. */
export function withGiven(known: readonly Given[], others: Iterable<Given>): Given[] {
  const found = [...known];
  for (const other of others) if (!hasGiven(found, other[0], other[1])) found.push(other);
  return found;
}

export function hasGiven(known: readonly Given[], id: string, version: number): boolean {
  return known.some((one) => one[0] === id && one[1] === version);
}

/** Return a list with others that it does not hold yet. */
export function withAll(known: readonly string[], others: Iterable<string>): string[] {
  return [...new Set([...known, ...others])];
}

// What the service answers

/** A device's card. */
export interface SealedCard {
  readonly sealed: string;
  readonly version: number;
}

/** A device as the service lists it. */
export interface Listed {
  readonly device: Device;
  /** Of its person. */
  readonly name: string;
  /** Whether the service lets it act: shown to people, never a reason to trust. */
  readonly confirmed: boolean;
  readonly joinProof: string | null;
  readonly card: SealedCard | null;
}

/** The devices of a group's members, and which links the service calls used. */
export interface Listing {
  readonly devices: readonly Listed[];
  readonly usedLinks: readonly string[];
}

/** A key version, with what its author states. */
export interface Version {
  readonly version: number;
  readonly commitment: string;
  readonly statement: string | null;
  /** Of form 1, unsigned. */
  readonly roster: string | null;
}

/** A key wrapped for this device; of several of one version the oldest stands first. */
export interface Envelope {
  readonly version: number;
  readonly wrapped: string;
  readonly wrapperKey: string;
  /** As the service says. */
  readonly wrapperId: string | null;
  readonly former: string | null;
}

/** An entry beside a device, under the present version. */
export interface Vouch {
  readonly about: string;
  readonly sealed: string;
  /** As the service says. */
  readonly voucherId: string | null;
}

/** An entry of form 1. */
export interface UnsignedEntry {
  readonly version: number;
  readonly sealed: string;
  /** As the service says. */
  readonly authorId: string | null;
}

/** What the service has of a group's keys, for this device. */
export interface Keys {
  readonly form: number;
  readonly version: number;
  readonly rotationRequired: boolean;
  readonly browsers: Browsers;
  readonly versions: readonly Version[];
  readonly envelopes: readonly Envelope[];
  readonly vouches: readonly Vouch[];
  readonly unsignedEntries: readonly UnsignedEntry[];
}

// What is to be done

/** A key to give. `until` is of a former version: when it ceased to be the present one. */
export interface Gift {
  readonly deviceId: string;
  readonly version: number;
  readonly until: number | null;
}

/** What an update has led to, and what is to be done. */
export interface Decision {
  readonly is: "decision";
  readonly state: State;
  /** Whether this device holds the present version. */
  readonly holds: boolean;
  /** Whether the group needs a new key, and this device can make it. */
  readonly rotate: boolean;
  /** Who would be given a new key, this device not among them. */
  readonly recipients: readonly string[];
  readonly give: readonly Gift[];
  readonly vouch: readonly Introduction[];
  readonly card: Card | null;
  /** Newcomers, for whom the latest position is shared once more. */
  readonly greet: readonly string[];
  /** Versions whose envelopes are returned, at a service of form 1. */
  readonly giveBack: readonly number[];
  /** Whether a client of form 1 may be listed, so that statements are written for it too. */
  readonly needsForm1: boolean;
  readonly notices: readonly Notice[];
}

/** An update that leads to nothing: the state is kept as it was. */
export interface Stop {
  readonly is: "stop";
  readonly notices: readonly Notice[];
}

/** What the member says, and what this device has done: each makes a new state. */

import { fromBase64url, toBase64url } from "../protocol/bytes.js";
import { commitmentOf } from "../protocol/secrets.js";
import type { Device, Introduction, Roster } from "../protocol/statements.js";
import { LAST_NUMBER } from "../protocol/statements.js";
import {
  type Decision,
  type DeviceRecord,
  type Ends,
  type Gift,
  type Given,
  type Link,
  NEVER,
  type OwnDevice,
  type State,
  atRisk,
  contradicts,
  endedOf,
  introduced,
  isOpen,
  isTrusted,
  nameOf,
  newRecord,
  ownName,
  trustedIn,
  withAll,
  withGiven,
} from "./values.js";

/**
 * Trust the devices of a person whose safety number was compared.
 *
 * `name` is the one that was shown; `covers` are all devices that stood in the number. Devices that
 * are known by another key or owner, and those of this person, are left out.
 */
export function confirmed(
  state: State,
  devices: readonly Device[],
  name: string,
  covers: readonly string[],
): State {
  // "A comparison or a proof makes `since` the greater of highest and `ended` + 1; the entry that
  // follows from it brings the device back for all."
  const records = new Map(Object.entries(state.records));
  const unknownGone = { ...state.unknownGone };
  const compared = { ...state.compared };
  const names: [string, string][] = [];
  for (const device of devices) {
    const id = device.deviceId;
    if (device.userId === state.me.userId || contradicts(state.me, records, device)) continue;
    let record = records.get(id);
    if (record === undefined) {
      record = newRecord(device, NEVER, "safety", unknownGone[id] ?? {});
      delete unknownGone[id];
    }
    const since = Math.max(state.highest, endedOf(record) + 1, record.since);
    records.set(id, { ...record, since, source: "safety", by: null, removed: false });
    names.push([device.userId, name]);
    compared[device.userId] = [...new Set(covers)];
  }
  return {
    ...state,
    records: Object.fromEntries(records),
    unknownGone,
    introduced: introduced(state.introduced, names),
    compared,
  };
}

/**
 * Trust devices no more, by this person's word, and forget what they alone have stated.
 *
 * It is the same for a person who is removed from the group, and for one who stays in it. Only where
 * one of them was trusted is a new key due. Devices that are known by another key or owner are left
 * out: else a service could have one person removed in the place of another.
 */
export function removed(state: State, devices: readonly Device[]): State {
  const known = new Map(Object.entries(state.records));
  const gone = new Map(
    devices
      .filter((device) => device.deviceId !== state.me.deviceId)
      .filter((device) => !contradicts(state.me, known, device))
      .map((device) => [device.deviceId, device] as const),
  );
  const wasTrusted = [...trustedIn(state).keys()].some((id) => gone.has(id));
  // "Once this client's person removes or distrusts a signer, what that signer alone has stated to
  // have gone no longer counts."
  const records: Record<string, DeviceRecord> = {};
  for (const [id, record] of Object.entries(state.records)) {
    records[id] = { ...record, said: without(record.said, gone) };
  }
  const unknownGone: Record<string, Ends> = {};
  for (const [id, said] of Object.entries(state.unknownGone)) {
    const left = without(said, gone);
    if (!gone.has(id) && Object.keys(left).length > 0) unknownGone[id] = left;
  }
  for (const [id, device] of gone) {
    const record = records[id] ?? newRecord(device, NEVER, "member");
    // "Who removes or distrusts a device or person ends it by the same number, and it is `removed`:
    // no statement brings it back."
    const observed = Math.max(atRisk(state), record.since, record.observed);
    records[id] = { ...record, observed, removed: true };
  }
  return {
    ...state,
    records,
    unknownGone,
    // A link that was made before is no word on a device that was removed since.
    links: state.links.filter((link) => !isOpen(link)),
    own: Object.fromEntries(Object.entries(state.own).filter(([id]) => !gone.has(id))),
    compromised: wasTrusted ? Math.max(state.compromised, atRisk(state)) : state.compromised,
  };
}

function without(said: Ends, signers: ReadonlyMap<string, unknown>): Ends {
  return Object.fromEntries(Object.entries(said).filter(([signer]) => !signers.has(signer)));
}

/** Trust a device of this person's own no more, also one that is not known here yet. */
export function revoked(state: State, deviceId: string): State {
  const record = state.records[deviceId];
  const own = state.own[deviceId];
  if (record !== undefined) return removed(state, [record.device]);
  if (own !== undefined) {
    const { userId } = state.me;
    return removed(state, [{ userId, deviceId, publicKey: own.publicKey, kind: "app" }]);
  }
  // It may hold a link, or stand in a card, of this person's: neither brings it in.
  const said = { ...state.unknownGone[deviceId], [state.me.deviceId]: atRisk(state) };
  return { ...removed(state, []), unknownGone: { ...state.unknownGone, [deviceId]: said } };
}

/** Note that a phone that has gone may know every key of this device. */
export function exposed(state: State): State {
  return { ...state, compromised: Math.max(state.compromised, atRisk(state)) };
}

/**
 * Trust no other person's device in a group that this person has left; its keys stay.
 *
 * No old key returns, should this person come again.
 */
export function left(state: State): State {
  const records: Record<string, DeviceRecord> = {};
  for (const [id, record] of Object.entries(state.records)) {
    const stays = record.device.userId === state.me.userId || !isTrusted(record);
    const observed = Math.max(atRisk(state), record.since, record.observed);
    records[id] = stays ? record : { ...record, observed };
  }
  return { ...state, records, links: [], own: ownAfterLeaving(state.own, state.groupId) };
}

/** State another name of this person; the next update makes the card. */
export function renamed(state: State, name: string): State {
  // "To rename, a client takes the greatest `n` that it knows of its person plus 1"
  const before = ownName(state);
  const n = before === null ? 0 : Math.min(before.n + 1, LAST_NUMBER);
  return { ...state, card: { n, name } };
}

/** Keep a link that is about to be given out. */
export function linked(state: State, link: Link): State {
  return { ...state, links: [...state.links, link] };
}

/** Forget a link that was revoked. */
export function unlinked(state: State, linkId: string): State {
  return { ...state, links: state.links.filter((link) => link.id !== linkId) };
}

/** Note, before it is sent, that this device tries to make a version. */
export function attempted(state: State, version: number): State {
  // The service may show an attempt later that it has pretended to refuse.
  return { ...state, attempted: Math.max(state.attempted, version) };
}

/** Hold a version that this device has made, and that the service has taken. */
export function rotated(
  state: State,
  version: number,
  key: string,
  roster: Roster | null,
  now: number,
): State {
  const held = {
    key,
    firstHeld: now,
    lastCurrent: now,
    made: roster?.made ?? null,
    until: null,
  };
  const given = (roster?.introductions ?? [])
    .map((one): Given => [one.device.deviceId, version])
    .filter(([id]) => id !== state.me.deviceId);
  return {
    ...state,
    held: { ...state.held, [version]: held },
    highest: Math.max(state.highest, version),
    gave: withGiven(state.gave, given),
  };
}

/** Note that a key was given, or refused for good. */
export function gave(state: State, { deviceId, version }: Gift): State {
  return { ...state, gave: withGiven(state.gave, [[deviceId, version]]) };
}

/** Note that newcomers were shown the latest position, or that there was none to show. */
export function greeted(state: State, deviceIds: readonly string[]): State {
  return { ...state, greeted: withAll(state.greeted, deviceIds) };
}

/** Note that this device has vouched for another one. */
export function vouched(state: State, deviceId: string, version: number): State {
  return { ...state, vouched: withGiven(state.vouched, [[deviceId, version]]) };
}

/** Return the devices of this person that a remaining group lists. */
export function ownAfterLeaving(
  own: Readonly<Record<string, OwnDevice>>,
  groupId: string,
): Record<string, OwnDevice> {
  // "A home forgets one when its person says so, or when no group lists it."
  const found: Record<string, OwnDevice> = {};
  for (const [id, { publicKey, groups }] of Object.entries(own)) {
    const remaining = groups.filter((group) => group !== groupId);
    if (remaining.length > 0) found[id] = { publicKey, groups: remaining };
  }
  return found;
}

/**
 * Return what this device states of a version that it is about to make.
 *
 * `surplus` are recipients that the service has refused. `statements.fitted` cuts the roster to its
 * bounds.
 */
export function nextRoster(
  decision: Decision,
  key: string,
  version: number,
  now: number,
  surplus: readonly string[] = [],
): Roster {
  // "Make the roster: this device and the recipients, with names as shown, and as `gone` all known
  // devices that have ended."
  const { state } = decision;
  const introduce = (device: Device, since: number): Introduction => {
    const name = nameOf(state, device.userId);
    return { device, since, ...(name === null ? {} : { name }) };
  };
  const others = decision.recipients
    .filter((id) => !surplus.includes(id))
    .map((id) => state.records[id]!)
    .map(({ device, since }) => introduce(device, Math.max(Math.min(since, version), 0)));
  const ended = new Map<string, number>();
  for (const [id, record] of Object.entries(state.records)) {
    const end = endedOf(record);
    if (!isTrusted(record) && end >= 0) ended.set(id, Math.min(end, version));
  }
  for (const [id, said] of Object.entries(state.unknownGone)) {
    ended.set(id, Math.min(Math.max(...Object.values(said)), version));
  }
  return {
    is: "roster",
    by: state.me.deviceId,
    commitment: toBase64url(commitmentOf(fromBase64url(key), state.groupId, version)),
    made: Math.trunc(now),
    browsers: state.browsers,
    complete: true,
    introductions: [introduce(state.me, Math.min(1, version)), ...others],
    gone: [...ended].sort(
      ([one, end], [other, otherEnd]) => otherEnd - end || (one < other ? -1 : 1),
    ),
  };
}

/** Joining by link: what is checked before anything of the key package is kept. */

import { fromBase64url, toBase64url } from "../protocol/bytes.js";
import { NewerFormat, NotAuthentic } from "../protocol/errors.js";
import { type Package, openPackage } from "../protocol/invites.js";
import type { RosterEntry } from "../protocol/rosters.js";
import type { Device } from "../protocol/statements.js";
import { usable } from "./growth.js";
import {
  type Keys,
  type Listed,
  type Listing,
  NEVER,
  type Notice,
  type OwnDevice,
  type State,
  contradicts,
  endedOf,
  heldVersions,
  introduced,
  isOwn,
  isSame,
  isTrusted,
  newRecord,
  notice,
  taken,
  withAll,
} from "./values.js";

/** A package as it came, and by which link. */
export interface Joining {
  readonly sealed: string;
  readonly keys: { readonly wrap: string; readonly proof: string };
  /** That of the answer; null where the answer does not say it. */
  readonly version: number | null;
  /** Whether the link is one for a further device of its maker. */
  readonly forMe: boolean;
  /** Whether this join made a person of this home, by `auth/join`. */
  readonly newHome: boolean;
}

/**
 * Return the state with the package's key, inviter and devices; or why it was refused.
 *
 * `keys` and `listing` are fetched before, in this order. What is refused leaves nothing behind: the
 * joiner waits, and can be confirmed.
 */
export function judgePackage(
  state: State,
  joining: Joining,
  listing: Listing,
  keys: Keys,
  now: number,
): { readonly is: "state"; readonly state: State } | { readonly is: "notice"; readonly notice: Notice } {
  const refused = (reason: string) =>
    ({ is: "notice", notice: notice("package_refused", { reason }) }) as const;
  let opened: Package;
  try {
    opened = openPackage(fromBase64url(joining.sealed), fromBase64url(joining.keys.wrap));
  } catch (error) {
    if (error instanceof NewerFormat) return refused("newer_form");
    if (error instanceof NotAuthentic) return refused("not_authentic");
    throw error;
  }
  const listed = usable(state, listing);
  const inviter = inviterOf(state, opened, listed);
  const reason =
    wrongVersion(state, joining, opened, keys) ??
    (inviter === null ? "inviter" : null) ??
    wrongPerson(state, joining, opened);
  if (reason !== null || inviter === null) return refused(reason ?? "inviter");
  const found = withPackage(state, opened, inviter, listed, { present: keys.version, now });
  return { is: "state", state: joining.forMe ? withMet(found, listed) : found };
}

function withMet(state: State, listed: ReadonlyMap<string, Listed>): State {
  // A further device of a person finds the others there: none of them has come since.
  const mine = [...listed]
    .filter(([, { device }]) => device.userId === state.me.userId)
    .map(([id]) => [id, 0] as const);
  return { ...state, met: { ...Object.fromEntries(mine), ...state.met } };
}

function wrongVersion(
  state: State,
  joining: Joining,
  opened: Package,
  keys: Keys,
): string | null {
  // "its group and version are those of the answer;" "`GET .../keys` shows that version with that
  // commitment, and no lower version as the present one;" "the version is above the highest, and its
  // key was never held in any group;"
  const version = opened.keyVersion;
  const shown = keys.versions.filter((one) => one.version === version).at(-1)?.commitment;
  const key = toBase64url(opened.groupKey);
  const known = [...Object.values(state.held).map((held) => held.key), ...state.elsewhere];
  if (opened.groupId !== state.groupId) return "group";
  if (joining.version !== null && joining.version !== version) return "version";
  if (shown !== opened.commitment || keys.version < version) return "commitment";
  if (version <= state.highest) return "old_version";
  return known.includes(key) ? "old_key" : null;
}

function inviterOf(
  state: State,
  opened: Package,
  listed: ReadonlyMap<string, Listed>,
): Device | null {
  // "exactly one entry has `inviterPublicKey`, its person is `inviterUserId`, and that device is
  // listed so, and is not known with another id, key, owner or kind;"
  const entries = opened.roster.filter((one) => one.publicKey === opened.inviterPublicKey);
  const [entry] = entries;
  if (entry === undefined || entries.length > 1 || entry.userId !== opened.inviterUserId) {
    return null;
  }
  const inviter = asListed(entry, listed);
  const known = new Map(Object.entries(state.records));
  return inviter === null || contradicts(state.me, known, inviter) ? null : inviter;
}

function deviceOf({ userId, deviceId, publicKey, kind }: RosterEntry): Device {
  return { userId, deviceId, publicKey, kind };
}

function asListed(entry: RosterEntry, listed: ReadonlyMap<string, Listed>): Device | null {
  const found = listed.get(entry.deviceId);
  const stated = deviceOf(entry);
  return found !== undefined && isSame(found.device, stated) ? stated : null;
}

function wrongPerson(state: State, joining: Joining, opened: Package): string | null {
  // "A `me` link is taken only where the home has no person yet." "the inviter is of the joiner's
  // own person if and only if it is a `me` link; an entry with this device's id or key is this
  // device; an entry of its own person is an own device, or it is a `me` link."
  const { me } = state;
  if (joining.forMe && !joining.newHome) return "home_in_use";
  if ((opened.inviterUserId === me.userId) !== joining.forMe) return "inviter_person";
  if (opened.inviterPublicKey === me.publicKey) return "inviter";
  for (const entry of opened.roster) {
    const device = deviceOf(entry);
    if (isSame(device, me)) continue;
    if (device.deviceId === me.deviceId || device.publicKey === me.publicKey) return "this_device";
    if (device.userId === me.userId && !(isOwn(state, device) || joining.forMe)) {
      return "own_device";
    }
  }
  return null;
}

function withPackage(
  state: State,
  opened: Package,
  inviter: Device,
  listed: ReadonlyMap<string, Listed>,
  moment: { readonly present: number; readonly now: number },
): State {
  // "Then it keeps the key, trusts the inviter as a root, and takes the other listed entries as
  // introductions by the inviter with the version of the package."
  const version = opened.keyVersion;
  const key = toBase64url(opened.groupKey);
  const before = heldVersions(state).map((number) => [number, state.held[number]!] as const);
  const held = taken(before, version, key, moment);
  const records = { ...state.records };
  const own: Record<string, OwnDevice> = { ...state.own };
  const names = new Map(opened.roster.map((one) => [one.deviceId, one.name]));
  const stated: [string, string][] = [];
  for (const entry of opened.roster) {
    const device = asListed(entry, listed);
    if (device === null || isSame(device, state.me)) continue;
    if (contradicts(state.me, new Map(Object.entries(records)), device)) continue;
    const id = device.deviceId;
    const isRoot = isSame(device, inviter);
    const record = records[id] ?? newRecord(device, NEVER, "member");
    const ended = endedOf(record);
    const since = isRoot ? Math.max(version, ended + 1, record.since) : version;
    if (!isRoot && (record.removed || isTrusted(record))) continue;
    if (since > ended) {
      records[id] = {
        ...record,
        since,
        source: isRoot ? "proof" : "member",
        by: isRoot ? null : inviter.deviceId,
        removed: false,
      };
    }
    if (device.userId !== state.me.userId) {
      stated.push([device.userId, names.get(id)!]);
    } else {
      // "where this device itself came by a `me` link, the link's maker and the devices of its own
      // person in the key package;"
      own[id] = { publicKey: device.publicKey, groups: [state.groupId] };
      stated.push([device.userId, names.get(inviter.deviceId)!]);
    }
  }
  return {
    ...state,
    held: { ...state.held, [version]: held },
    highest: Math.max(state.highest, version),
    records,
    own,
    greeted: withAll(state.greeted, Object.keys(records)),
    introduced: introduced(state.introduced, stated),
  };
}

/** Return the state of a device that founds a group, or joins one, with its person's name. */
export function founded(state: State, name: string): State {
  return { ...state, card: { n: 0, name } };
}

/**
 * How keys get from device to device: taking those that come, and giving them on.
 *
 * `update` does all that needs no member's word, and tells of it. Nothing here is done because the
 * service says so: it says what there is, and `trust/reconcile` decides.
 */

import { Failure, Refused } from "../errors.js";
import { fromBase64url, toBase64url } from "../protocol/bytes.js";
import { wrap } from "../protocol/envelopes.js";
import { NotAuthentic, Unsealable } from "../protocol/errors.js";
import { type RosterEntry, longest, sealRoster } from "../protocol/rosters.js";
import { OVERHEAD } from "../protocol/sealing.js";
import { type Statement, sealStatement } from "../protocol/statements.js";
import { type Kept, withGroup } from "../storage/home.js";
import { DeviceDirectory, type ListedPerson } from "../trust/directory.js";
import { reconcile } from "../trust/reconcile.js";
import {
  type Decision,
  type DeviceRecord,
  type Gift,
  type Keys,
  type State,
  isOpen,
  trustedIn,
} from "../trust/values.js";
import * as words from "../trust/words.js";
import type { Context } from "./context.js";
import { greet } from "./greet.js";

const ENTRY_BYTES = 4096;

/** A group as it was at an update. */
export interface Snapshot {
  readonly groupId: string;
  readonly keyVersion: number;
  /** Of the service. */
  readonly form: number;
  readonly decision: Decision;
  /** Devices that are not trusted and have wrapped the present key for this one. */
  readonly untrustedWrappers: readonly string[];
  readonly directory: DeviceDirectory;
  /** Whether a device that is no newcomer may be a client of form 1. */
  readonly hasOlderClients: boolean;
}

/** Whether this device holds the version that the service says is the present one. */
export function holdsKey(view: Snapshot): boolean {
  return view.keyVersion > 0 && view.decision.holds;
}

/** Return why this device cannot read or seal; null where it can. */
export function obstacleOf(view: Snapshot): string | null {
  if (view.keyVersion === 0) return "group_key_missing";
  if (holdsKey(view)) return null;
  if (view.untrustedWrappers.length > 0) return "key_not_trusted";
  return view.decision.state.highest > 0 ? "key_outdated" : "key_pending";
}

export function requireKey(view: Snapshot): void {
  const obstacle = obstacleOf(view);
  if (obstacle !== null) throw new Failure(obstacle);
}

/** Take keys, learn who is there, and give the key to those who are trusted. */
export async function update(context: Context, groupId: string): Promise<Snapshot> {
  const view = (await attempt(context, groupId)) ?? (await attempt(context, groupId));
  if (view === null) throw new Failure("version_went_back");
  await act(context, view);
  return view;
}

/** Update a group, and return who is in it: also while a newer form stops the update. */
export async function people(context: Context, groupId: string): Promise<DeviceDirectory> {
  try {
    return (await update(context, groupId)).directory;
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== "newer_form") throw error;
    const listed = await context.api.people(groupId);
    return new DeviceDirectory(context.home.group(groupId).trust, listed);
  }
}

/** Decide once; null where another tab has made or taken a newer key meanwhile. */
async function attempt(context: Context, groupId: string): Promise<Snapshot | null> {
  const { home, api } = context;
  const before = home.group(groupId).trust;
  // Keys first: a list of people that is newer than the keys is harmless, and an older one looks
  // like a departure.
  const keys = await api.keys(groupId);
  const listed = await api.people(groupId);
  const invites = before.links.some(isOpen) ? await api.invites() : [];
  const used = invites.filter((one) => one.usedAt !== null).map((one) => one.id);
  const listing = new DeviceDirectory(before, listed).listing(used);
  const seen = new Set(trustedIn(before).keys());
  const now = context.now() / 1000;
  const decision = await home.change((kept: Kept) => {
    const group = home.group(groupId, kept);
    const found = reconcile(group.trust, listing, keys, now, seen);
    return [
      found.is === "stop" ? null : withGroup(kept, { ...group, trust: found.state }),
      found,
    ] as const;
  });
  if (decision.is === "stop") {
    const { code } = decision.notices[0]!;
    if (code === "version_went_back" && keys.version >= before.highest) return null;
    if (code === "newer_form") {
      await context.tell(groupId, decision.notices, new DeviceDirectory(before, listed));
    }
    throw new Failure(code);
  }
  const directory = new DeviceDirectory(decision.state, listed);
  await noteName(context, decision.state);
  await context.tell(groupId, decision.notices, directory);
  return {
    groupId,
    keyVersion: keys.version,
    form: keys.form,
    decision,
    untrustedWrappers: untrustedWrappers(decision.state, listed, keys),
    directory,
    // They drop a point with a member that they do not know, and warn of it.
    hasOlderClients: listing.devices.some(
      ({ card, device }) =>
        card === null &&
        device.kind === "app" &&
        !decision.greet.includes(device.deviceId) &&
        device.deviceId !== before.me.deviceId,
    ),
  };
}

async function noteName(context: Context, state: State): Promise<void> {
  const { home } = context;
  const name = state.card?.name ?? state.introduced[state.me.userId];
  if (name === undefined || name === home.me.name) return;
  await home.change((kept) => [kept.me && { ...kept, me: { ...kept.me, name } }, null]);
}

function untrustedWrappers(state: State, listed: readonly ListedPerson[], keys: Keys): string[] {
  if (state.held[keys.version] !== undefined) return [];
  const trusted = trustedIn(state);
  const ids = new Map(
    listed.flatMap((person) =>
      person.devices.map(({ device }) => [device.publicKey, device.deviceId] as const),
    ),
  );
  const wrappers = keys.envelopes
    .filter((one) => one.version === keys.version)
    .map((one) => ids.get(one.wrapperKey))
    .filter((id) => id !== undefined && !trusted.has(id) && id !== state.me.deviceId);
  return [...new Set(wrappers as string[])];
}

// Acting

async function act(context: Context, view: Snapshot): Promise<void> {
  const { decision, keyVersion: version, groupId } = view;
  const { state } = decision;
  const { api, home } = context;
  for (const former of decision.giveBack) {
    await tried(() => api.deleteEnvelope(groupId, former, state.me.deviceId));
  }
  if (decision.give.length + decision.vouch.length + decision.greet.length === 0) {
    if (decision.card === null) return;
  }
  const key = fromBase64url(state.held[version]!.key);
  const given: Gift[] = [];
  const vouched: string[] = [];
  try {
    for (const gift of decision.give) {
      await tried(() => give(context, view, gift));
      given.push(gift);
    }
    if (view.form > 1) {
      for (const introduction of decision.vouch) {
        const { deviceId } = introduction.device;
        const by = state.me.deviceId;
        await tried(() => {
          const entry = sealed(state, { is: "entry", by, introduction }, version, key);
          return api.putVouch(groupId, version, deviceId, entry);
        });
        vouched.push(deviceId);
      }
      const { card } = decision;
      if (card !== null) {
        await tried(() => api.putCard(groupId, version, sealed(state, card, version, key)));
      }
    }
  } finally {
    // Also where the service is away by now.
    if (given.length + vouched.length > 0) {
      await home.changeTrust(groupId, (trust) => {
        let found = trust;
        for (const gift of given) found = words.gave(found, gift);
        for (const id of vouched) found = words.vouched(found, id, version);
        return found;
      });
    }
  }
  if (decision.greet.length > 0) {
    if (await greet(context, groupId, version, !view.hasOlderClients)) {
      await home.changeTrust(groupId, (trust) => words.greeted(trust, decision.greet));
    }
  }
}

/** Do something that may be refused for good: the device has gone, or it is there already. */
async function tried(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    const isFinal =
      error instanceof Refused || error instanceof NotAuthentic || error instanceof Unsealable;
    if (!isFinal || (error instanceof Refused && error.status === 401)) throw error;
  }
}

/** Return a statement of this device, signed and sealed. */
export function sealed(
  state: State,
  statement: Statement,
  version: number,
  key: Uint8Array,
): string {
  const { groupId } = state;
  const deviceKey = fromBase64url(state.key);
  return toBase64url(sealStatement(statement, { groupId, version, deviceKey, key }));
}

/** Return a key, wrapped by this device for another one. */
export function wrapped(state: State, key: Uint8Array, publicKey: string): string {
  return toBase64url(wrap(key, fromBase64url(publicKey), fromBase64url(state.key)));
}

async function give(context: Context, view: Snapshot, gift: Gift): Promise<void> {
  const { state, needsForm1 } = view.decision;
  const key = fromBase64url(state.held[gift.version]!.key);
  const record = state.records[gift.deviceId]!;
  const by = state.me.deviceId;
  const former =
    gift.until === null || view.form === 1
      ? null
      : sealed(state, { is: "former", by, until: gift.until }, gift.version, key);
  const isPresent = gift.version === view.keyVersion;
  await context.api.putEnvelope(view.groupId, gift.version, gift.deviceId, {
    wrappedKey: wrapped(state, key, record.device.publicKey),
    former,
    rosterEntry: isPresent && needsForm1 ? entryFor(view, record, key) : null,
  });
}

// Form 1

/** Return devices as form 1 vouches for them, this one first. */
export function entries(view: Snapshot, records: readonly DeviceRecord[]): RosterEntry[] {
  const { names, state } = view.directory;
  return [state.me, ...records.map((record) => record.device)].map((device) => ({
    ...device,
    name: names.get(device.userId) ?? "?",
  }));
}

/** Return a device, and as many of the others as there is room for, sealed. */
function entryFor(view: Snapshot, record: DeviceRecord, key: Uint8Array): string | null {
  if (record.device.kind !== "app") return null;
  const trusted = [...trustedIn(view.decision.state).values()];
  const others = trusted.filter((one) => one.device.deviceId !== record.device.deviceId);
  const [me, first, ...rest] = entries(view, [record, ...others]);
  const apps = [first!, me!, ...rest].filter((one) => one.kind === "app");
  return toBase64url(sealRoster(longest(apps, ENTRY_BYTES - OVERHEAD), key));
}

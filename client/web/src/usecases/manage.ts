/** Departures, names and one's own data. Each departure needs a new key. */

import { Failure, Refused } from "../errors.js";
import { plain } from "../protocol/json.js";
import { type Kept, withGroup } from "../storage/home.js";
import { checkedName } from "../text/naming.js";
import { openOwn } from "../trust/points.js";
import type { GroupState } from "../trust/state.js";
import { notice } from "../trust/values.js";
import * as words from "../trust/words.js";
import type { Context } from "./context.js";
import { iso } from "./look.js";
import { rotate } from "./rotate.js";
import { holdsKey, people, update } from "./sync.js";

/** Return the groups that this person is in. */
export function mine(context: Context): string[] {
  return Object.entries(context.home.kept.groups)
    .filter(([, group]) => group.isMember)
    .map(([groupId]) => groupId);
}

/** Do something that may be done already, where its answer was lost. */
async function unlessDone(act: Promise<void>, ...codes: readonly string[]): Promise<void> {
  try {
    await act;
  } catch (error) {
    if (!(error instanceof Refused) || !codes.includes(error.code)) throw error;
  }
}

/** Leave a group, and forget it; not its versions: no old key returns. */
export async function leave(context: Context, groupId: string): Promise<void> {
  await unlessDone(context.api.leave(groupId), "group_not_found");
  await context.home.change((kept) => [forgotten(context, kept, groupId), null]);
}

function forgotten(context: Context, kept: Kept, groupId: string): Kept {
  const group = context.home.group(groupId, kept);
  const left: GroupState = {
    ...group,
    trust: words.left(group.trust),
    isMember: false,
    isFounding: false,
    outbox: [],
    lastShared: null,
    pause: null,
    seen: {},
  };
  const { [groupId]: _view, ...views } = kept.views;
  const { [groupId]: _package, ...packages } = kept.packages;
  return { ...withGroup(kept, left), views, packages };
}

/** Remove a person from a group, and change the key if they may know it. */
export async function remove(context: Context, groupId: string, userId: string): Promise<void> {
  if (userId === context.home.me.userId) throw new Failure("yourself");
  const directory = await people(context, groupId);
  await unlessDone(context.api.remove(groupId, userId), "member_not_found");
  await context.home.changeTrust(groupId, (trust) => {
    // Those that are not trusted yet are known from now on, so that no statement brings them in.
    const known = Object.values(trust.records).map((record) => record.device);
    const ids = new Set(known.map((device) => device.deviceId));
    const listed = directory.listing().devices.map((one) => one.device);
    const all = [...known, ...listed.filter((device) => !ids.has(device.deviceId))];
    return words.removed(
      trust,
      all.filter((device) => device.userId === userId),
    );
  });
  await rotateIfDue(context, groupId);
}

async function rotateIfDue(context: Context, groupId: string): Promise<void> {
  const view = await update(context, groupId);
  if (view.decision.rotate && holdsKey(view)) await rotate(context, groupId);
}

/** Revoke another device of this person, and change the keys that it may know. */
export async function revokeDevice(context: Context, deviceId: string): Promise<void> {
  if (deviceId === context.home.me.deviceId) throw new Failure("this_device");
  const found = (await context.api.devices()).find((device) => device.id === deviceId);
  if (found === undefined) throw new Failure("device_unknown");
  await context.api.revokeDevice(deviceId);
  for (const groupId of mine(context)) {
    await context.home.changeTrust(groupId, (trust) => {
      const exposed = found.groupId === groupId ? words.exposed(trust) : trust;
      return words.revoked(exposed, deviceId);
    });
  }
  for (const groupId of mine(context)) await rotateIfDue(context, groupId);
}

/** Change this person's name. Others see it at their next update. */
export async function rename(context: Context, name: string): Promise<void> {
  const checked = checkedName(name);
  const { home } = context;
  for (const groupId of mine(context)) {
    await home.changeTrust(groupId, (trust) => words.renamed(trust, checked));
  }
  for (const groupId of mine(context)) {
    // Which puts the card.
    if (home.group(groupId).trust.highest > 0) await update(context, groupId);
  }
  await context.api.rename(checked);
  await home.change((kept) => [
    { ...kept, me: kept.me && { ...kept.me, name: checked } },
    null,
  ]);
}

/** Pause sharing here at once, and tell the service. */
export async function pause(
  context: Context,
  groupId: string,
  until: number | null,
): Promise<void> {
  if (until !== null && until <= context.now()) throw new Failure("time_past");
  await context.home.changeGroup(groupId, (group) => ({ ...group, pause: { until } }));
  await context.api.setSharing(groupId, true, until);
}

export async function resumeSharing(context: Context, groupId: string): Promise<void> {
  await context.home.changeGroup(groupId, (group) => ({ ...group, pause: null }));
  await context.api.setSharing(groupId, false, null);
}

// One's own data

/** Delete this person's points of a group: one, or those in [since, until). How many there were. */
export async function deletePoints(
  context: Context,
  groupId: string,
  which: { readonly id: string } | { readonly since: number | null; readonly until: number | null },
): Promise<number> {
  const isMeant = (id: string): boolean => {
    if ("id" in which) return id === which.id;
    const at = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
    return (which.since === null || at >= which.since) && (which.until === null || at < which.until);
  };
  let waiting = 0;
  await context.home.changeGroup(groupId, (group) => {
    const outbox = group.outbox.filter((one) => !isMeant(one.id));
    waiting = group.outbox.length - outbox.length;
    // It is not to be shared again for a newcomer.
    return { ...group, outbox, lastShared: null };
  });
  const query: Record<string, string> = { groupId };
  if ("id" in which) {
    query["id"] = which.id;
  } else {
    if (which.since !== null) query["from"] = iso(which.since);
    if (which.until !== null) query["to"] = iso(which.until);
  }
  const deleted = await context.api.deletePoints(query);
  // One that waited may have been sent, and the answer lost.
  return "id" in which ? Math.max(waiting, deleted) : waiting + deleted;
}

/** Return all that is stored about this person, with points opened; what is not theirs stays sealed. */
export async function exported(context: Context): Promise<Record<string, unknown>> {
  const { home, api } = context;
  let everything: Record<string, unknown> | null = null;
  const locations: unknown[] = [];
  let strange = 0;
  let cursor: string | null = null;
  const met = new Set<string>();
  do {
    const found = await api.export(cursor);
    everything ??= found.page;
    const raw = found.page["locations"] as Record<string, unknown>[];
    found.points.forEach((point, at) => {
      const group = home.kept.groups[point.groupId];
      const isReadable =
        point.sealed !== null && group?.trust.held[point.keyVersion] !== undefined;
      const opened = isReadable ? openOwn(home.group(point.groupId), point) : null;
      if (isReadable && opened === null) strange += 1;
      locations.push(opened === null ? raw[at] : { ...raw[at], opened: plain(opened) });
    });
    cursor = found.cursor;
    if (cursor !== null && met.has(cursor)) throw new Failure("answer_not_understood");
    if (cursor !== null) met.add(cursor);
  } while (cursor !== null);
  const [groupId] = mine(context);
  if (strange > 0 && groupId !== undefined) {
    const parameters = { count: strange, total: locations.length };
    await context.tell(groupId, [notice("export_unverified", parameters)], null);
  }
  return { ...everything, locations, nextCursor: null };
}

/** Make this browser's token void, and forget everything here. */
export async function signOut(context: Context): Promise<void> {
  await unlessSignedOut(context.api.logout());
  await context.home.clear();
}

/** Delete the person, and forget everything here. */
export async function deleteAccount(context: Context): Promise<void> {
  await context.api.devices(); // who is signed out before deletes nothing
  await unlessSignedOut(context.api.deleteAccount());
  await context.home.clear();
}

async function unlessSignedOut(act: Promise<void>): Promise<void> {
  try {
    await act;
  } catch (error) {
    if (!(error instanceof Refused && error.status === 401)) throw error;
  }
}

/**
 * Sharing: points are queued in the home, and each is sent until the service has it.
 *
 * A point gets its id and its counter when it is queued, before it is sent. The service keeps one
 * point of an id, so that whatever happens, and however many tabs send at once, it is there once. It
 * is sealed when it is sent, under the key of that moment.
 */

import { Failure } from "../errors.js";
import type { Fix, Shared } from "../models.js";
import { fromBase64url, toBase64url } from "../protocol/bytes.js";
import type { Verdict } from "../service/api.js";
import { nextId, withGroup } from "../storage/home.js";
import { CLOCKS_DIFFER, check, sealPoint } from "../trust/points.js";
import type { GroupState, Queued } from "../trust/state.js";
import { notice } from "../trust/values.js";
import type { Context } from "./context.js";
import { OUTDATED, isPaused } from "./greet.js";
import { current } from "./rotate.js";

const LARGEST_BATCH = 500;
const ATTEMPTS = 6;
/** For a point to be sent before the group's retention ends. */
const MARGIN = 3_600_000;
const DAY = 86_400_000;
const JUST_NOW = 5000;
const FOR_GOOD: ReadonlySet<string> = new Set([
  "sharing_paused",
  "out_of_range",
  "id_time_mismatch",
  "invalid_point",
  "group_not_found",
]);

/** Queue fixes, all or none. Throws `point_not_possible`, `sharing_paused`. */
export async function put(
  context: Context,
  groupId: string,
  fixes: readonly Fix[],
): Promise<void> {
  const { home } = context;
  const now = context.now();
  for (const fix of fixes) check(fix, now);
  await home.change((kept) => {
    const group = home.group(groupId, kept);
    // Not even queued: they must not go once the pause is over.
    if (isPaused(group.pause, now)) throw new Failure("sharing_paused");
    const retention = (kept.views[groupId]?.group.retentionDays ?? 1) * DAY;
    let { counter } = group;
    let lastId = kept.lastId;
    const queued = fixes.map((fix): Queued => {
      const isKept = fix.at >= now - retention + MARGIN && fix.at <= now + CLOCKS_DIFFER;
      counter += 1;
      lastId = nextId(lastId, isKept ? moment(fix.at, now) : now);
      return { id: lastId, counter, fix };
    });
    const outbox = [...group.outbox, ...queued];
    return [{ ...withGroup(kept, { ...group, counter, outbox }), lastId }, null];
  });
}

/**
 * Return when a fix was taken, to the millisecond. Of one that was just taken and has whole seconds
 * the last possible moment of that second counts: it is after what happened earlier in it.
 */
function moment(at: number, now: number): number {
  return at % 1000 === 0 && at <= now && now - at < JUST_NOW ? Math.min(now, at + 999) : at;
}

/** Send what waits for a group. */
export async function flush(context: Context, groupId: string): Promise<Shared> {
  const { home } = context;
  let stored = 0;
  const refused = new Map<string, number>();
  let attempts = 0;
  let keyVersion: number | null = null;
  while (attempts < ATTEMPTS) {
    const batch = home.group(groupId).outbox.slice(0, LARGEST_BATCH);
    if (batch.length === 0 || isPaused(home.group(groupId).pause, context.now())) break;
    keyVersion ??= (await current(context, groupId)).keyVersion;
    const verdicts = await send(context, groupId, batch, keyVersion);
    const done = verdicts.filter(({ code }) => code === null || FOR_GOOD.has(code));
    const left = verdicts.map(({ code }) => code).filter((code) => code && !FOR_GOOD.has(code));
    stored += await settle(context, groupId, done);
    for (const { code } of done) if (code !== null) refused.set(code, (refused.get(code) ?? 0) + 1);
    if (left.length === 0) {
      attempts = 0;
    } else if (left.every((code) => OUTDATED.has(code!))) {
      attempts += 1;
      keyVersion = null;
    } else {
      break;
    }
  }
  const notices = [...refused].map(([refusal, count]) => notice("not_shared", { refusal, count }));
  await context.tell(groupId, notices, null);
  const dropped = [...refused.values()].reduce((sum, count) => sum + count, 0);
  return { stored, dropped, waiting: home.group(groupId).outbox.length };
}

function send(
  context: Context,
  groupId: string,
  batch: readonly Queued[],
  keyVersion: number,
): Promise<Verdict[]> {
  const { home } = context;
  const { userId, deviceId, name } = home.me;
  const held = home.group(groupId).trust.held[keyVersion];
  if (held === undefined) throw new Failure("key_pending");
  const key = fromBase64url(held.key);
  const author = { groupId, userId, deviceId, name };
  return context.api.store(
    batch.map(({ id, fix, counter }) => ({
      id,
      groupId,
      encryptedData: toBase64url(sealPoint(fix, author, counter, key)),
      keyVersion,
    })),
  );
}

/** Take from the queue what is stored or refused for good; return how many points are stored. */
function settle(context: Context, groupId: string, done: readonly Verdict[]): Promise<number> {
  const { home } = context;
  const codes = new Map(done.map(({ id, code }) => [id, code]));
  return home.change((kept) => {
    const group = home.group(groupId, kept);
    // Another tab may have sent the same point: then it counts there.
    const taken = group.outbox.filter(({ id }) => codes.has(id));
    if (taken.length === 0) return [null, 0] as const;
    const sent = taken.filter(({ id }) => codes.get(id) === null);
    const outbox = group.outbox.filter(({ id }) => !codes.has(id));
    const after: GroupState = { ...group, outbox, lastShared: latest(group.lastShared, sent) };
    return [withGroup(kept, after), sent.length] as const;
  });
}

function latest(known: Fix | null, sent: readonly Queued[]): Fix | null {
  let found = known;
  for (const { fix } of sent) if (found === null || fix.at >= found.at) found = fix;
  return found;
}

/** Greeting: a newcomer sees nothing from before joining, so the latest fix is shared again. */

import { Refused, ServiceAway } from "../errors.js";
import { fromBase64url, toBase64url } from "../protocol/bytes.js";
import { nextId, withGroup } from "../storage/home.js";
import { sealPoint } from "../trust/points.js";
import type { Context } from "./context.js";

const LONGEST = 60 * 60_000;
/** Why a point is refused that can be sealed anew, once the group has another key. */
export const OUTDATED: ReadonlySet<string> = new Set([
  "key_version_conflict",
  "rotation_required",
  "group_key_missing",
]);

/** Whether this person has paused sharing in a group. */
export function isPaused(
  pause: { readonly until: number | null } | null,
  now: number,
): boolean {
  return pause !== null && (pause.until === null || pause.until > now);
}

/**
 * Share once more what this device has shared last in a group, unless it is old or paused.
 *
 * `isMarked`: whether the point says so. Returns whether that is done: not where the service refuses
 * it for now.
 */
export async function greet(
  context: Context,
  groupId: string,
  keyVersion: number,
  isMarked: boolean,
): Promise<boolean> {
  const now = context.now();
  const { home } = context;
  // "the last fix that it has shared there, if that is at most 60 minutes old"
  const made = await home.change((kept) => {
    const group = home.group(groupId, kept);
    const fix = group.lastShared;
    const key = group.trust.held[keyVersion]?.key;
    if (isPaused(group.pause, now) || fix === null || key === undefined || now - fix.at > LONGEST) {
      return [null, null] as const;
    }
    // "a new point with the fix's own `tst`, the time of queueing in its id"
    const counter = group.counter + 1;
    const id = nextId(kept.lastId, now);
    const after = { ...withGroup(kept, { ...group, counter }), lastId: id };
    return [after, { fix, key, counter, id }] as const;
  });
  if (made === null) return true;
  const { userId, deviceId, name } = home.me;
  const author = { groupId, userId, deviceId, name };
  const sealed = sealPoint(made.fix, author, made.counter, fromBase64url(made.key), isMarked);
  const point = { id: made.id, groupId, encryptedData: toBase64url(sealed), keyVersion };
  try {
    const [verdict] = await context.api.store([point]);
    return verdict!.code === null || !OUTDATED.has(verdict!.code);
  } catch (error) {
    const isAsked = error instanceof ServiceAway && error.code === "too_many_requests";
    if (error instanceof Refused || isAsked) return false;
    throw error;
  }
}

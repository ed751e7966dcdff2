/** What a home knows of one group: whom this device trusts, and what it has seen there. */

import type { Fix } from "../models.js";
import type { State } from "./values.js";

/** The newest point that this device has seen of another, by the time of its fix. */
export interface Seen {
  readonly deviceId: string;
  readonly keyVersion: number;
  readonly counter: number;
  /** Whether any of its points had a counter. */
  readonly isCounted: boolean;
  readonly pointId: string;
  /** The time in its id, as the service said it; this and the next in milliseconds. */
  readonly recordedAt: number;
  readonly fixAt: number;
}

/** Return the newer of two of one device. The same point is taken as it was read now. */
export function merged(now: Seen, before: Seen | undefined): Seen {
  if (before === undefined) return now;
  const isNewer = now.pointId === before.pointId || isAfter(now, before.fixAt, before.pointId);
  return { ...(isNewer ? now : before), isCounted: now.isCounted || before.isCounted };
}

/** Whether a point comes after another one of its person, by the time of its fix and its id. */
export function isAfter(seen: Seen, fixAt: number, pointId: string): boolean {
  return seen.fixAt > fixAt || (seen.fixAt === fixAt && seen.pointId > pointId);
}

/** A point that waits to be sent. It gets its id and its counter when it is queued. */
export interface Queued {
  readonly id: string;
  readonly counter: number;
  readonly fix: Fix;
}

/** One group as this device knows it. */
export interface GroupState {
  readonly trust: State;
  /** What the group is called. */
  readonly title: string;
  /** Whether this person is in it; of a group that was left its versions stay known. */
  readonly isMember: boolean;
  /** Whether its first key is to be made, should this person be alone in it. */
  readonly isFounding: boolean;
  /** Whether the group has a key by a member's word, before any was accepted. */
  readonly hasKey: boolean;
  /** The greatest counter that was given to a point of this device. */
  readonly counter: number;
  /** The newest point of each device. */
  readonly seen: Readonly<Record<string, Seen>>;
  readonly outbox: readonly Queued[];
  /** The last fix that was shared here. */
  readonly lastShared: Fix | null;
  /** Whether this person has paused sharing here, and until when in milliseconds. */
  readonly pause: { readonly until: number | null } | null;
}

export function newGroup(trust: State, title: string): GroupState {
  return {
    trust,
    title,
    isMember: true,
    isFounding: false,
    hasKey: false,
    counter: 0,
    seen: {},
    outbox: [],
    lastShared: null,
    pause: null,
  };
}

/** Whether the group has a key, whatever the service says. */
export function isKeyed(group: GroupState): boolean {
  return group.trust.highest > 0 || group.hasKey;
}

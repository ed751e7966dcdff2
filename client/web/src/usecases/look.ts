/** Looking: groups, where all are and were. */

import { Failure, ServiceAway, answerNotUnderstood } from "../errors.js";
import type { Group, GroupView, Position } from "../models.js";
import type { Api, ListedGroup } from "../service/api.js";
import { PAGE } from "../service/api.js";
import type { DeviceDirectory } from "../trust/directory.js";
import { CLOCKS_DIFFER, type StoredPoint } from "../trust/points.js";
import { type Seen, isAfter, isKeyed } from "../trust/state.js";
import { notice } from "../trust/values.js";
import type { Context } from "./context.js";
import { Reader } from "./receive.js";
import { current } from "./rotate.js";
import { type Snapshot, obstacleOf, update } from "./sync.js";

const MOST_PAGES = 2000;
const MOST_POINTS_BACK = 3000;
const LONGEST_BACK = 10_000;
const DAY = 86_400_000;
const STALE_AFTER = 300_000;

/** Whose points, and of when: milliseconds of Unix time; the end is exclusive. */
export interface Wanted {
  readonly userId: string;
  readonly since: number;
  readonly until: number;
}

/** List this person's groups; offline, those known last. */
export async function groups(context: Context): Promise<Group[]> {
  const { home } = context;
  let listed: ListedGroup[];
  try {
    listed = await context.api.groups();
  } catch (error) {
    if (!(error instanceof ServiceAway)) throw error;
    return Object.values(home.kept.groups)
      .filter((group) => group.isMember)
      .map(({ trust: { groupId }, title }) => home.kept.views[groupId]?.group ?? unknown(groupId, title));
  }
  return listed.map((one) => shown(context, one));
}

function unknown(id: string, name: string): Group {
  return {
    id,
    name,
    role: "member",
    retentionDays: 1,
    browsers: "accepted",
    isPaused: false,
    resumesAt: null,
    keyState: "pending",
  };
}

/** Present a group, with what this device can do in it. */
export function shown(context: Context, listed: ListedGroup): Group {
  const { id, name, role, retentionDays, browsers, isPaused, resumesAt, keyVersion } = listed;
  const highest = context.home.kept.groups[id]?.trust.highest ?? 0;
  const keyState =
    highest === 0 && keyVersion === 0 ? "missing" : highest === keyVersion ? "ready" : "pending";
  return { id, name, role, retentionDays, browsers, isPaused, resumesAt, keyState };
}

/** Update one group and show it. Offline: what was known last. */
export async function look(context: Context, groupId: string): Promise<GroupView> {
  const { home } = context;
  try {
    let view = await update(context, groupId);
    if (view.decision.rotate) view = await current(context, groupId);
    const listed = (await context.api.groups()).find((one) => one.id === groupId);
    if (listed === undefined) throw new Failure("group_unknown");
    const obstacle =
      view.keyVersion > 0 || isKeyed(home.group(groupId)) ? obstacleOf(view) : null;
    const positions = obstacle === null ? await where(context, view) : [];
    const found: GroupView = {
      group: shown(context, listed),
      people: view.directory.shown(),
      positions,
      at: context.now(),
      isOffline: false,
      obstacle,
    };
    await home.change((kept) => [
      { ...kept, views: { ...kept.views, [groupId]: found } },
      null,
    ]);
    return found;
  } catch (error) {
    const before = home.kept.views[groupId];
    const isKnown = error instanceof ServiceAway || STOPS.has((error as Failure).code);
    if (before === undefined || !isKnown) throw error;
    const isOffline = error instanceof ServiceAway;
    return { ...before, isOffline, obstacle: isOffline ? null : (error as Failure).code };
  }
}

/** Whether `look` may show something else than it did. */
export async function hasNews(context: Context, groupId: string): Promise<boolean> {
  const shownAt = context.home.kept.views[groupId]?.at ?? 0;
  // Who is there, and under which key, is not in what the service compares.
  return context.now() - shownAt > STALE_AFTER || context.api.hasNews(groupId);
}

/** What changes nothing of what is known: it is shown on, with the reason. */
const STOPS: ReadonlySet<string> = new Set(["version_went_back", "not_listed", "newer_form"]);

/** Return the present position of each member, the newest first. */
async function where(context: Context, view: Snapshot): Promise<Position[]> {
  const { api } = context;
  const { groupId, directory } = view;
  const stored = await api.latest(groupId);
  const reader = new Reader(context, groupId, directory);
  const present = newest(reader.believe(stored));
  const search = new Search(api, reader, groupId, context.now());
  const due = dueForASearch(stored, present, search.seen, directory);
  const age = (userId: string): number => present.get(userId)?.fix.at ?? Number.NEGATIVE_INFINITY;
  for (const userId of [...due].sort((one, other) => age(other) - age(one))) {
    const found = await search.newestOf(userId, present.get(userId) ?? null);
    if (found !== null) present.set(userId, found);
  }
  const less = await fillIn(present, search, directory, context.now());
  await reader.finish();
  const ended = [...search.endedEarly].filter((userId) => !less.has(userId));
  await context.tell(
    groupId,
    [
      ...[...less].map((person) => notice("older_than_seen", { person })),
      ...ended.map((person) => notice("search_ended", { person, points: MOST_POINTS_BACK })),
    ],
    directory,
  );
  return [...present.values()].sort((one, other) => other.fix.at - one.fix.at);
}

/** Return the present position of each person: the newest by its own time. */
export function newest(positions: readonly Position[]): Map<string, Position> {
  const present = new Map<string, Position>();
  for (const position of positions) {
    const known = present.get(position.userId);
    if (known === undefined || comesAfter(position, known)) present.set(position.userId, position);
  }
  return present;
}

function comesAfter(one: Position, other: Position): boolean {
  return (
    one.fix.at > other.fix.at || (one.fix.at === other.fix.at && one.pointId > other.pointId)
  );
}

/**
 * Return of whom the service's newest point need not be the newest position.
 *
 * It goes by the time in the id. Of our own points that is the time of the fix. Of what a phone with
 * OwnTracks seals, and of what is older than the group keeps points, it is a later one.
 */
function dueForASearch(
  stored: readonly StoredPoint[],
  present: ReadonlyMap<string, Position>,
  seen: ReadonlyMap<string, Seen>,
  directory: DeviceDirectory,
): Set<string> {
  const shownUsers = new Set(stored.map((point) => point.userId));
  for (const id of seen.keys()) {
    const owner = directory.owners.get(id);
    if (owner !== undefined) shownUsers.add(owner.userId);
  }
  const carriers = new Set([...directory.phones.values()].map(({ person }) => person.userId));
  const due = new Set<string>();
  for (const { userId } of directory.people) {
    const known = present.get(userId);
    if (known === undefined) {
      if (shownUsers.has(userId)) due.add(userId);
    } else if (known.keyVersion !== null) {
      const isLate = recordedAt(known) - known.fix.at >= 1000;
      if (isLate || carriers.has(userId)) due.add(userId);
    }
  }
  return due;
}

/** Return the time in a point's id, or of its arrival where the id has none. */
function recordedAt({ pointId, receivedAt }: Position): number {
  return pointId[14] === "7"
    ? Number.parseInt(pointId.slice(0, 8) + pointId.slice(9, 13), 16)
    : receivedAt;
}

/** Looks behind the points that the service shows as the newest, within bounds for all. */
class Search {
  /** What this or an earlier read had seen when the search began. */
  readonly seen: ReadonlyMap<string, Seen>;
  /** Of whom there may be a newer position that was not looked for. */
  readonly endedEarly = new Set<string>();
  private pointsLeft = MOST_POINTS_BACK;
  private readonly endsAt = performance.now() + LONGEST_BACK;

  constructor(
    private readonly api: Api,
    private readonly reader: Reader,
    private readonly groupId: string,
    readonly startedAt: number,
  ) {
    this.seen = new Map(reader.seen);
  }

  /** Return a person's newest position, which `known` is unless a newer one is found. */
  async newestOf(userId: string, known: Position | null): Promise<Position | null> {
    const query: Record<string, string> = { groupId: this.groupId, userId };
    const met = new Set<string>();
    let best = known;
    while (this.pointsLeft > 0 && performance.now() < this.endsAt) {
      // What is newer than that by its fix is no older than this by its id.
      if (best !== null) query["from"] = iso(best.fix.at - CLOCKS_DIFFER);
      query["limit"] = `${Math.min(PAGE, this.pointsLeft)}`;
      const { points, cursor } = await this.api.history(query);
      this.pointsLeft -= Math.max(1, points.length);
      const found = this.reader.believe(points);
      best = newest(best === null ? found : [best, ...found]).get(userId) ?? best;
      if (cursor === null) return best;
      if (met.has(cursor)) break; // the same again: this service never ends
      met.add(cursor);
      query["cursor"] = cursor;
    }
    this.endedEarly.add(userId);
    return best;
  }

  /** Ask the service for one point that this device has seen, by the time in its id. */
  async find(userId: string, seen: Seen): Promise<Position | null> {
    const query: Record<string, string> = {
      groupId: this.groupId,
      userId,
      from: iso(seen.recordedAt),
      to: iso(seen.recordedAt + 1),
    };
    for (let page = 0; page < MOST_POINTS_BACK / PAGE; page++) {
      const { points, cursor } = await this.api.history(query);
      const found = this.reader
        .believe(points)
        .find((one) => one.pointId === seen.pointId && one.userId === userId);
      if (found !== undefined) return found;
      if (cursor === null) break;
      query["cursor"] = cursor;
    }
    return null;
  }
}

/**
 * Put in what this device has seen and the service shows when it is asked for just that. Return of
 * whom it shows less than this device has seen; their positions are marked as old.
 */
async function fillIn(
  present: Map<string, Position>,
  search: Search,
  directory: DeviceDirectory,
  now: number,
): Promise<Set<string>> {
  const less = new Set<string>();
  const all = [...search.seen.values()].sort((one, other) =>
    isAfter(one, other.fixAt, other.pointId) ? -1 : 1,
  );
  for (const seen of all) {
    const owner = directory.owners.get(seen.deviceId);
    if (owner === undefined) continue;
    const known = present.get(owner.userId);
    if (known !== undefined && !isAfter(seen, known.fix.at, known.pointId)) continue;
    const found = await search.find(owner.userId, seen);
    if (found !== null) {
      if (known === undefined || comesAfter(found, known)) present.set(owner.userId, found);
    } else if (!mayHaveExpired(seen, known, now)) {
      less.add(owner.userId);
    }
  }
  for (const userId of less) {
    const position = present.get(userId);
    if (position !== undefined) present.set(userId, { ...position, isOld: true });
  }
  return less;
}

/** Whether the group may keep a point no longer, by its retention, which is a day or more. */
function mayHaveExpired(seen: Seen, known: Position | undefined, now: number): boolean {
  const isFirstToGo = known === undefined || recordedAt(known) > seen.recordedAt;
  return isFirstToGo && seen.recordedAt < now - DAY;
}

/** Return a person's points whose fix lies in [since, until), oldest first. */
export async function history(
  context: Context,
  groupId: string,
  wanted: Wanted,
): Promise<Position[]> {
  const view = await current(context, groupId);
  const reader = new Reader(context, groupId, view.directory);
  const query: Record<string, string> = {
    groupId,
    userId: wanted.userId,
    // The service knows the time in a point's id. It is that of the fix, or later; a clock that is
    // ahead makes the fix later than that, by no more than this.
    from: iso(wanted.since - CLOCKS_DIFFER),
  };
  const found: Position[] = [];
  const met = new Set<string>();
  for (let page = 0; ; page++) {
    const { points, cursor } = await context.api.history(query);
    found.push(...reader.believe(points));
    if (cursor === null) break;
    if (met.has(cursor) || page >= MOST_PAGES) throw answerNotUnderstood(); // pages that never end
    met.add(cursor);
    query["cursor"] = cursor;
  }
  await reader.finish();
  const within = found.filter(
    ({ userId, fix: { at } }) =>
      userId === wanted.userId && at >= wanted.since && at < wanted.until,
  );
  return once(within).sort((one, other) => (comesAfter(one, other) ? 1 : -1));
}

/** Leave out fixes that were shared once more where there is another point of them. */
function once(positions: readonly Position[]): Position[] {
  const about = ({ deviceId, fix }: Position): string => `${deviceId} ${fix.at}`;
  const first = new Set(positions.filter((one) => !one.isRepeat).map(about));
  const found: Position[] = [];
  for (const position of positions) {
    if (position.isRepeat && first.has(about(position))) continue;
    first.add(about(position));
    found.push(position);
  }
  return found;
}

export function iso(at: number): string {
  return new Date(at).toISOString();
}

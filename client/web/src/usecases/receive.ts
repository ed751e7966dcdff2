/** Receiving: the points of one group, page by page, judged and remembered. */

import type { Position } from "../models.js";
import type { DeviceDirectory } from "../trust/directory.js";
import { type Reason, Receiver, type StoredPoint } from "../trust/points.js";
import { type Seen, merged } from "../trust/state.js";
import { notice } from "../trust/values.js";
import type { Context } from "./context.js";

const TOLD: Readonly<Partial<Record<Reason, string>>> = {
  misplaced: "points_dropped",
  unreadable: "points_unreadable",
  in_the_clear: "plaintext_refused",
};

/** Reads the points of one group. */
export class Reader {
  private readonly receiver: Receiver;
  private readonly dropped = new Map<string, Set<string>>();

  constructor(
    private readonly context: Context,
    private readonly groupId: string,
    private readonly directory: DeviceDirectory,
  ) {
    this.receiver = new Receiver(context.home.group(groupId), directory);
  }

  /** The newest of each device, of this and of earlier reads. */
  get seen(): ReadonlyMap<string, Seen> {
    return this.receiver.seen;
  }

  /** Return those that are positions. */
  believe(points: readonly StoredPoint[]): Position[] {
    const believed: Position[] = [];
    for (const point of points) {
      const judged = this.receiver.judge(point);
      if (typeof judged !== "string") {
        believed.push(judged);
        continue;
      }
      const code = TOLD[judged];
      if (code === undefined) continue;
      const about = `${code} ${point.userId}`;
      this.dropped.set(about, (this.dropped.get(about) ?? new Set()).add(point.id));
    }
    return believed;
  }

  /** Remember the newest of each device, and tell what was dropped. */
  async finish(): Promise<void> {
    const { home } = this.context;
    const known = home.group(this.groupId).seen;
    if ([...this.seen].some(([id, seen]) => !isSame(seen, known[id]))) {
      await home.changeGroup(this.groupId, (group) => {
        const found = { ...group.seen }; // another tab may read, too
        for (const [id, seen] of this.seen) found[id] = merged(seen, found[id]);
        return { ...group, seen: found };
      });
    }
    const notices = [...this.dropped].map(([about, ids]) => {
      const [code, person] = about.split(" ") as [string, string];
      return notice(code, { person, count: ids.size });
    });
    this.dropped.clear();
    await this.context.tell(this.groupId, notices, this.directory);
  }
}

function isSame(one: Seen, other: Seen | undefined): boolean {
  return (
    other !== undefined &&
    one.pointId === other.pointId &&
    one.counter === other.counter &&
    one.isCounted === other.isCounted
  );
}

/**
 * The home of one device: its person, its keys, and what it knows of each group.
 *
 * Every change reads what is kept, under a lock that all tabs take, and writes all of it back: two
 * tabs never give one counter to two points.
 */

import { Failure } from "../errors.js";
import type { GroupView, Notice } from "../models.js";
import { randomBytes, toHex } from "../protocol/bytes.js";
import { type GroupState, newGroup } from "../trust/state.js";
import { type OwnDevice, type State, newState } from "../trust/values.js";
import { SealedRecord } from "./sealed.js";

/** The number of what is kept. Another shape has another number, and an upgrade in UPGRADES. */
const SCHEMA = 1;
/** Each makes of a record of its number one of the next. */
const UPGRADES: Readonly<Record<number, (before: any) => any>> = {};
const MOST_NOTICES = 200;

/** Whose home it is. */
export interface Me {
  readonly url: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly name: string;
  readonly token: string;
  /** The secret key of this device, and its public half. */
  readonly deviceKey: string;
  readonly publicKey: string;
  /** Whether this device came as a further one of its person. */
  readonly isFurther: boolean;
}

/** What is to be sent to come in, written before it is sent: the same again is the same join. */
export interface Plan {
  readonly url: string;
  readonly code: string;
  readonly secret: string | null;
  readonly forMe: boolean;
  readonly name: string;
  readonly device: string;
  /** Of the group that it founds. */
  readonly group: string | null;
  readonly deviceKey: string;
  readonly idempotencyKey: string;
}

/** A key package that came, until it is judged: it comes once only. */
export interface KeptPackage {
  readonly sealed: string;
  readonly wrap: string;
  readonly proof: string;
  readonly version: number | null;
  readonly forMe: boolean;
  readonly newHome: boolean;
}

/** All that is kept. */
export interface Kept {
  readonly schema: number;
  /** Rises with every change. */
  readonly revision: number;
  readonly me: Me | null;
  readonly plan: Plan | null;
  readonly packages: Readonly<Record<string, KeptPackage>>;
  readonly groups: Readonly<Record<string, GroupState>>;
  /** This person's other devices, of all groups. */
  readonly own: Readonly<Record<string, OwnDevice>>;
  /** What was shown last of each group. */
  readonly views: Readonly<Record<string, GroupView>>;
  readonly notices: readonly Notice[];
  /** The greatest id that was given to a point. */
  readonly lastId: string;
}

const NOTHING: Kept = {
  schema: SCHEMA,
  revision: 0,
  me: null,
  plan: null,
  packages: {},
  groups: {},
  own: {},
  views: {},
  notices: [],
  lastId: "",
};

/** What this browser keeps, as it was read last. */
export class Home {
  private readonly channel: BroadcastChannel;
  private listeners: (() => void)[] = [];

  private constructor(
    private readonly record: SealedRecord,
    private latest: Kept,
    name: string,
  ) {
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = () => void this.refresh();
  }

  /** Open it. Rejects with the Failures `storage_refused`, `storage_lost`, `storage_newer`. */
  static async open(name: string): Promise<Home> {
    const record = await SealedRecord.open(name);
    const kept = await record.locked(async () => upgraded(await record.read()));
    return new Home(record, kept, name);
  }

  /** What is kept, as this tab knows it. */
  get kept(): Kept {
    return this.latest;
  }

  /** Whose home this is. Throws the Failure `not_joined`. */
  get me(): Me {
    if (this.latest.me === null) throw new Failure("not_joined");
    return this.latest.me;
  }

  /**
   * Change what is kept. `change` is given what is kept now, and returns what is to be kept, and a
   * result; null in the place of the first: nothing changes.
   */
  async change<T>(change: (kept: Kept) => readonly [Kept | null, T]): Promise<T> {
    const [isChanged, result] = await this.record.locked(async () => {
      const before = upgraded(await this.record.read());
      const [after, found] = change(before);
      this.latest = before;
      if (after === null) return [false, found] as const;
      const written = { ...after, schema: SCHEMA, revision: before.revision + 1 };
      await this.record.write(written);
      this.latest = written;
      return [true, found] as const;
    });
    if (isChanged) {
      this.channel.postMessage(null);
      this.heard();
    }
    return result;
  }

  /** Return one group as this device knows it. Throws the Failure `group_unknown`. */
  group(groupId: string, kept: Kept = this.latest): GroupState {
    const found = kept.groups[groupId];
    if (found === undefined) throw new Failure("group_unknown");
    return whole(kept, found);
  }

  /** Change what is known of one group. */
  async changeGroup(
    groupId: string,
    change: (group: GroupState) => GroupState,
  ): Promise<GroupState> {
    return this.change((kept) => {
      const group = change(this.group(groupId, kept));
      return [withGroup(kept, group), group] as const;
    });
  }

  /** Change whom one group's devices trust. */
  changeTrust(groupId: string, change: (trust: State) => State): Promise<GroupState> {
    return this.changeGroup(groupId, (group) => ({ ...group, trust: change(group.trust) }));
  }

  /** Forget everything. */
  async clear(): Promise<void> {
    await this.record.locked(() => this.record.clear());
    this.latest = NOTHING;
    this.channel.postMessage(null);
    this.heard();
  }

  /** Hear that something has changed, here or in another tab. Returns what ends it. */
  onChange(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => {
      this.listeners = this.listeners.filter((one) => one !== listener);
    };
  }

  close(): void {
    this.channel.close();
    this.listeners = [];
    this.record.close();
  }

  private async refresh(): Promise<void> {
    try {
      this.latest = await this.record.locked(async () => upgraded(await this.record.read()));
    } catch {
      return; // the next use says why
    }
    this.heard();
  }

  private heard(): void {
    for (const listener of this.listeners) listener();
  }
}

/** Return what was read as what it is today. Throws the Failure `storage_newer`. */
function upgraded(read: unknown): Kept {
  if (read === null) return NOTHING;
  let kept = read as Kept;
  if (!(kept.schema <= SCHEMA)) throw new Failure("storage_newer");
  while (kept.schema < SCHEMA) kept = UPGRADES[kept.schema]!(kept);
  return kept;
}

/** Return a group with what all groups share: this person's devices, and the keys of the others. */
function whole(kept: Kept, group: GroupState): GroupState {
  const { groupId } = group.trust;
  const elsewhere = Object.values(kept.groups)
    .filter((other) => other.trust.groupId !== groupId)
    .flatMap((other) => Object.values(other.trust.held).map((held) => held.key));
  return { ...group, trust: { ...group.trust, own: kept.own, elsewhere } };
}

/** Return what is kept with a group as it is now. */
export function withGroup(kept: Kept, group: GroupState): Kept {
  const { groupId, own } = group.trust;
  const stored = { ...group, trust: { ...group.trust, own: {}, elsewhere: [] } };
  return { ...kept, own, groups: { ...kept.groups, [groupId]: stored } };
}

/** Return what is kept with a group that this person has come into, known or not. */
export function entered(kept: Kept, me: Me, groupId: string, title: string): Kept {
  const { userId, deviceId, publicKey } = me;
  const device = { userId, deviceId, publicKey, kind: "web" } as const;
  const known = kept.groups[groupId];
  const group = known ?? newGroup(newState(device, me.deviceKey, groupId), title);
  return withGroup(kept, { ...whole(kept, group), title, isMember: true });
}

export function withNotices(kept: Kept, notices: readonly Notice[]): Kept {
  return notices.length === 0
    ? kept
    : { ...kept, notices: [...kept.notices, ...notices].slice(-MOST_NOTICES) };
}

const RANDOM_BITS = 74n; // of a UUID of version 7 beside time, version and variant

/**
 * Return a further id of a point: a UUID of version 7 with a time in milliseconds.
 *
 * Of one millisecond, what is made next is greater (RFC 9562, 6.2, method 2). Otherwise it says
 * nothing of the order in which ids were made.
 */
export function nextId(lastId: string, at: number): string {
  const time = BigInt(Math.max(0, Math.trunc(at)));
  const random = BigInt(`0x${toHex(randomBytes(10))}`);
  const last = lastId === "" ? null : numberOf(lastId);
  const made =
    last !== null && last >> RANDOM_BITS === time
      ? last + 1n + (random & 0xffff_ffffn)
      : (time << RANDOM_BITS) | (random & ((1n << (RANDOM_BITS - 1n)) - 1n));
  const head = made >> 62n;
  const text = (
    ((head >> 12n) << 80n) |
    (7n << 76n) |
    ((head & 0xfffn) << 64n) |
    (0b10n << 62n) |
    (made & ((1n << 62n) - 1n))
  )
    .toString(16)
    .padStart(32, "0");
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function numberOf(id: string): bigint {
  const all = BigInt(`0x${id.replaceAll("-", "")}`);
  const head = ((all >> 80n) << 12n) | ((all >> 64n) & 0xfffn);
  return (head << 62n) | (all & ((1n << 62n) - 1n));
}

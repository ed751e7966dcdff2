/**
 * Points: sealing a fix, and judging whether one that comes back can be believed.
 *
 * A receiver drops, and tells its person of, what is not from whom the service says, what it has seen
 * before, what is sealed under a key that was replaced by then, and whatever is unsealed in a group
 * that ever had a key. What opens and belongs where it is shown, and is no position, is passed over.
 */

import { Failure } from "../errors.js";
import type { Fix, Position } from "../models.js";
import { fromBase64url } from "../protocol/bytes.js";
import { NotALocation, NotAuthentic } from "../protocol/errors.js";
import { type Json, type JsonObject, isObject, member, real } from "../protocol/json.js";
import { LARGEST_MESSAGE, LOCATION_BYTES, openLocation, sealLocation } from "../protocol/locations.js";
import type { DeviceDirectory } from "./directory.js";
import { type GroupState, type Seen, isKeyed, merged } from "./state.js";
import { isTrusted, supersededAt, trustedIn } from "./values.js";

/** By which the clocks of devices and service may differ; milliseconds. */
export const CLOCKS_DIFFER = 600_000;
/** Before 2000 there was no phone to take a fix: its clock was not set. */
const EARLIEST = Date.UTC(2000, 0, 1);
/** Metres, half of the Earth's circumference. The service takes no more either. */
const LARGEST_ACCURACY = 20_037_508;
const LARGEST = 10_000_000;
/** A number above this is no time in seconds. */
const MILLISECONDS = 1e11;
const LAST_COUNTER = 2 ** 53;
const ID = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}";
const TOPIC = new RegExp(`^owntracks/(${ID})/([^/]+)(?:/.*)?$`, "s");
const WHOLE_ID = new RegExp(`^${ID}$`);

/** A point as the service has it: sealed, or else with a place in the clear. Milliseconds. */
export interface StoredPoint {
  readonly id: string;
  readonly groupId: string;
  readonly userId: string;
  readonly deviceId: string;
  /** The time in its id, as the service says. */
  readonly recordedAt: number;
  readonly receivedAt: number;
  readonly sealed: string | null;
  readonly keyVersion: number;
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly accuracy: number | null;
}

/** Who shares a point: by these a receiver finds out whether it is where it should be. */
export interface Author {
  readonly groupId: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly name: string;
}

/** Return a fix as an OwnTracks location, sealed; `isRepeat` marks one that was shared before. */
export function sealPoint(
  fix: Fix,
  author: Author,
  counter: number,
  key: Uint8Array,
  isRepeat = false,
): Uint8Array {
  const location: Record<string, unknown> = {
    _type: "location",
    lat: fix.latitude,
    lon: fix.longitude,
    tst: Math.trunc(fix.at / 1000),
    tid: author.name,
    draugar: {
      g: author.groupId,
      u: author.userId,
      d: author.deviceId,
      n: counter,
      ...(isRepeat ? { r: true } : {}),
    },
  };
  const further = {
    // A reader takes 0 for unknown.
    acc: fix.accuracy ? Math.max(1, fix.accuracy) : null,
    alt: fix.altitude,
    vel: fix.velocity,
    cog: fix.course,
    batt: fix.battery,
  };
  for (const [name, value] of Object.entries(further)) {
    if (value !== null) location[name] = Math.round(value);
  }
  return sealLocation(location, key);
}

/** See that a fix can be shared now. Throws a Failure. */
export function check(fix: Fix, now: number): void {
  const further = [fix.altitude, fix.velocity, fix.course, fix.battery];
  if (
    !further.every((number) => number === null || Math.abs(number) <= LARGEST) ||
    !isBelievable(fix, now)
  ) {
    throw new Failure("point_not_possible");
  }
}

/** Whether a device can have been there then, if that arrived at the service at a time. */
export function isBelievable(fix: Fix, arrivedAt: number): boolean {
  return (
    Math.abs(fix.latitude) <= 90 &&
    Math.abs(fix.longitude) <= 180 &&
    (fix.accuracy === null || (fix.accuracy >= 0 && fix.accuracy <= LARGEST_ACCURACY)) &&
    fix.at >= EARLIEST &&
    fix.at <= arrivedAt + CLOCKS_DIFFER
  );
}

/**
 * Why a point is rejected: it holds no position that can be believed; it is not from where the
 * service says, was seen before or is newer than its key; this device has not its key; it is not
 * sealed, though the group has a key.
 */
export type Reason = "no_position" | "misplaced" | "unreadable" | "in_the_clear";

class Unbelievable extends Error {
  constructor(readonly reason: Reason = "misplaced") {
    super(reason);
  }
}

/**
 * Judges the points of one group, in the order in which one command reads them.
 *
 * It remembers what it has met: a counter that comes again under another id is a repeat.
 */
export class Receiver {
  /** The newest of each device, of this and of earlier commands. */
  readonly seen: Map<string, Seen>;
  private readonly met = new Map<string, string>();
  private readonly trustedUsers: ReadonlySet<string>;

  constructor(
    private readonly group: GroupState,
    private readonly directory: DeviceDirectory,
  ) {
    this.seen = new Map(Object.entries(group.seen));
    const trusted = [...trustedIn(group.trust).values()];
    this.trustedUsers = new Set([
      group.trust.me.userId,
      ...trusted.map((record) => record.device.userId),
    ]);
  }

  /** Return a position that can be believed, or why there is none. */
  judge(point: StoredPoint): Position | Reason {
    try {
      return this.read(point);
    } catch (error) {
      if (error instanceof Unbelievable) return error.reason;
      throw error;
    }
  }

  private read(point: StoredPoint): Position {
    const { trust } = this.group;
    if (point.groupId !== trust.groupId || !this.directory.names.has(point.userId)) {
      throw new Unbelievable();
    }
    if (point.sealed === null) return this.readPlain(point);
    const key = trust.held[point.keyVersion]?.key;
    if (key === undefined) throw new Unbelievable("unreadable");
    const isPhone = this.directory.phones.has(point.deviceId);
    const content = opened(point.sealed, key, isPhone ? LARGEST_MESSAGE : LOCATION_BYTES);
    const counter = counterOf(content, point);
    const fix = counter === null ? this.foreignFix(content, point) : fixOf(content);
    this.checkCounter(point, counter);
    this.checkAge(point, fix);
    if (!isBelievable(fix, point.receivedAt)) throw new Unbelievable("no_position");
    this.see(point, fix, counter);
    const position = this.position(point, fix);
    if (counter !== null) {
      const said = member(content, "draugar");
      return { ...position, isRepeat: isObject(said) && member(said, "r") === true };
    }
    const [phoneId, userId] = namedIn(content);
    const isNamed = phoneId === point.deviceId && userId === point.userId;
    return isNamed ? { ...position, isConfirmed: true } : position;
  }

  private readPlain(point: StoredPoint): Position {
    // "A point without `encryptedData`, in a group of which this client has ever held a key, is
    // refused."
    const { latitude, longitude, accuracy } = point;
    if (isKeyed(this.group) || latitude === null || longitude === null) {
      throw new Unbelievable("in_the_clear");
    }
    const fix = { ...NOTHING, latitude, longitude, accuracy: accuracy || null, at: point.recordedAt };
    if (!isBelievable(fix, point.receivedAt)) throw new Unbelievable("no_position");
    return this.position(point, fix);
  }

  /**
   * Read what an OwnTracks phone or the first Draugar app has sealed. It says less of where it
   * belongs, so its sender has to be trusted.
   */
  private foreignFix(content: JsonObject, point: StoredPoint): Fix {
    if (!this.trustedUsers.has(point.userId)) throw new Unbelievable();
    if (Object.hasOwn(content, "userId")) {
      if (member(content, "userId") !== point.userId) throw new Unbelievable();
      return firstAppFix(content);
    }
    this.checkPhone(content, point);
    return fixOf(content);
  }

  /**
   * See that a point is of the phone that the service says it is of.
   *
   * The `tid` is inside the seal, so that the service cannot choose it: it only says which phone has
   * which tid, and whose that phone is. A phone that a client has set up names itself and its person
   * in the topic, inside the seal too: then the service's word is not needed, and must not
   * contradict it.
   */
  private checkPhone(content: JsonObject, point: StoredPoint): void {
    const found = this.directory.phones.get(point.deviceId);
    if (found === undefined || found.person.userId !== point.userId) throw new Unbelievable();
    const [phoneId, userId] = namedIn(content);
    if (phoneId !== null && phoneId !== point.deviceId) throw new Unbelievable();
    if (userId !== null && userId !== point.userId && this.directory.names.has(userId)) {
      throw new Unbelievable();
    }
    if (member(content, "_type") !== "location") throw new Unbelievable("no_position");
    if (member(content, "tid") !== found.phone.tid) throw new Unbelievable();
  }

  /** Refuse what is newer than its key: a former member may know that key. */
  private checkAge(point: StoredPoint, fix: Fix): void {
    // "its key is a former one, and `tst`, the time in its `id` or `receivedAt` is more than ten
    // minutes later than when this client first held a higher version"
    const superseded = supersededAt(this.group.trust, point.keyVersion);
    const newest = Math.max(fix.at, point.recordedAt, point.receivedAt);
    if (superseded !== null && newest > superseded * 1000 + CLOCKS_DIFFER) {
      throw new Unbelievable();
    }
  }

  /** Refuse the same point under another id, and a counter that was left out. */
  private checkCounter(point: StoredPoint, counter: number | null): void {
    // "its counter is one that this client has seen from that device in another point (another id)";
    // "it comes without a counter from a device whose points have had one"
    const seen = this.seen.get(point.deviceId);
    if (counter === null) {
      if (seen?.isCounted === true) throw new Unbelievable();
      return;
    }
    const about = `${point.deviceId} ${point.keyVersion} ${counter}`;
    const first = this.met.get(about) ?? point.id;
    this.met.set(about, first);
    const isSeen = seen?.keyVersion === point.keyVersion && seen.counter === counter;
    if (first !== point.id || (isSeen && seen.pointId !== point.id)) throw new Unbelievable();
  }

  private see(point: StoredPoint, fix: Fix, counter: number | null): void {
    const seen: Seen = {
      deviceId: point.deviceId,
      keyVersion: point.keyVersion,
      counter: counter ?? 0,
      isCounted: counter !== null,
      pointId: point.id,
      recordedAt: point.recordedAt,
      fixAt: fix.at,
    };
    this.seen.set(point.deviceId, merged(seen, this.seen.get(point.deviceId)));
  }

  private position(point: StoredPoint, fix: Fix): Position {
    const { me, records } = this.group.trust;
    const record = records[point.deviceId];
    const isKnown =
      record !== undefined && isTrusted(record) && record.device.userId === point.userId;
    return {
      pointId: point.id,
      groupId: point.groupId,
      userId: point.userId,
      deviceId: point.deviceId,
      name: this.directory.names.get(point.userId)!,
      mark: this.directory.marks.get(point.userId) ?? "",
      fix,
      receivedAt: point.receivedAt,
      keyVersion: point.sealed === null ? null : point.keyVersion,
      isConfirmed: point.deviceId === me.deviceId || isKnown,
      isMine: point.userId === me.userId,
      isOld: false,
      isRepeat: false,
      phone: this.directory.phones.get(point.deviceId)?.phone ?? null,
    };
  }
}

const NOTHING = { altitude: null, velocity: null, course: null, battery: null } as const;

function opened(sealed: string, key: string, largest: number): JsonObject {
  try {
    return openLocation(fromBase64url(sealed), fromBase64url(key), largest);
  } catch (error) {
    if (error instanceof NotALocation) throw new Unbelievable("no_position");
    if (error instanceof NotAuthentic) throw new Unbelievable();
    throw error;
  }
}

/** Return what a point of one's own says, if it belongs where it is shown; null if it does not. */
export function openOwn(group: GroupState, point: StoredPoint): JsonObject | null {
  const { trust } = group;
  const key = trust.held[point.keyVersion]?.key;
  if (key === undefined || point.sealed === null || point.userId !== trust.me.userId) return null;
  try {
    const content = opened(point.sealed, key, LARGEST_MESSAGE);
    return belongs(content, point) ? content : null;
  } catch (error) {
    if (error instanceof Unbelievable) return null;
    throw error;
  }
}

/** Whether a point is, as far as it says itself, of whom the service says it is. */
function belongs(content: JsonObject, point: StoredPoint): boolean {
  if (Object.hasOwn(content, "draugar")) return counterOf(content, point) !== null;
  const [phoneId, userId] = namedIn(content);
  return (
    (member(content, "userId") ?? point.userId) === point.userId &&
    (phoneId === null || phoneId === point.deviceId) &&
    (userId === null || userId === point.userId)
  );
}

/** Return a point's counter, when it belongs where the service shows it; null: it has none. */
function counterOf(content: JsonObject, point: StoredPoint): number | null {
  const said = member(content, "draugar");
  if (said === undefined) return null;
  if (!isObject(said)) throw new Unbelievable();
  const { groupId: g, userId: u, deviceId: d } = point;
  const belonging: Readonly<Record<string, unknown>> = { g, u, d };
  const names = Object.keys(said).filter((name) => name !== "n" && name !== "r");
  const counter = member(said, "n");
  if (
    names.length !== 3 ||
    !names.every((name) => Object.hasOwn(belonging, name) && said[name] === belonging[name]) ||
    (Object.hasOwn(said, "r") && said["r"] !== true) ||
    typeof counter !== "number" ||
    !(counter > 0 && counter < LAST_COUNTER)
  ) {
    throw new Unbelievable();
  }
  return counter;
}

/** Return the phone and the person that an OwnTracks message says it is of, where it does. */
function namedIn(content: JsonObject): [string | null, string | null] {
  const topic = member(content, "topic");
  const said = typeof topic === "string" ? TOPIC.exec(topic) : null;
  if (said === null) return [null, null];
  const person = said[2]!;
  return [said[1]!.toLowerCase(), WHOLE_ID.test(person) ? person.toLowerCase() : null];
}

function fixOf(content: JsonObject): Fix {
  if (member(content, "_type") !== "location") throw new Unbelievable("no_position");
  // The app for Android leaves out a zero.
  const isPlaced = Object.hasOwn(content, "lat") || Object.hasOwn(content, "lon");
  const place = (name: string): number =>
    isPlaced && !Object.hasOwn(content, name) ? 0 : number(content, name);
  const battery = further(content, "batt", 0, 100);
  return {
    latitude: place("lat"),
    longitude: place("lon"),
    accuracy: accuracy(content, "acc"),
    at: time(number(content, "tst") * 1000),
    altitude: further(content, "alt", -LARGEST, LARGEST),
    velocity: further(content, "vel", 0, LARGEST),
    course: further(content, "cog", 0, 360),
    battery: battery === null ? null : Math.round(battery),
  };
}

const ISO =
  /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(Z|[+-]\d{2}(?::?\d{2})?)?$/;

function firstAppFix(content: JsonObject): Fix {
  const said = member(content, "timestamp");
  let at: number;
  if (typeof said === "string") {
    const zone = ISO.exec(said);
    if (zone === null) throw new Unbelievable("no_position");
    const text = said.replace(" ", "T").replace(",", ".");
    at = time(Date.parse(zone[1] === undefined ? `${text}Z` : text));
  } else {
    const value = number(content, "timestamp");
    at = time(value > MILLISECONDS ? value : value * 1000);
  }
  return {
    ...NOTHING,
    latitude: number(content, "latitude"),
    longitude: number(content, "longitude"),
    accuracy: accuracy(content, "accuracy"),
    at,
  };
}

/** Return a time that every language can show. */
function time(at: number): number {
  if (Math.abs(at) <= 253_402_300_799_000) return at;
  throw new Unbelievable("no_position");
}

/** Read a radius. The apps write 0, or nothing, where they do not know it. */
function accuracy(content: JsonObject, name: string): number | null {
  const value: Json = member(content, name) ?? null;
  return value === null ? null : number(content, name) || null;
}

function number(content: JsonObject, name: string): number {
  const value = real(member(content, name));
  if (value === null) throw new Unbelievable("no_position");
  return value;
}

/** Read what a position may go without. */
function further(content: JsonObject, name: string, least: number, most: number): number | null {
  const value = real(member(content, name));
  return value !== null && value >= least && value <= most ? value : null;
}

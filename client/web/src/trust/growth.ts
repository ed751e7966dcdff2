/**
 * Who becomes trusted by one update, and which keys are taken: section "Updating" of the protocol.
 *
 * The saved state is grown until nothing changes. What trusted devices then state to have gone ends,
 * and it is grown again from the saved state, so that nothing counts that rests on what has ended.
 */

import { compareBytes, fromBase64url, toBase64url } from "../protocol/bytes.js";
import { unwrap } from "../protocol/envelopes.js";
import { orNull } from "../protocol/errors.js";
import { proofHolds } from "../protocol/invites.js";
import { commitmentOf } from "../protocol/secrets.js";
import { isDeviceKey } from "../protocol/signing.js";
import type { Device, Introduction, Roster } from "../protocol/statements.js";
import { type Believed, type Evidence, introductionsOf } from "./evidence.js";
import {
  type Ends as Said,
  type Envelope,
  type Held,
  type Keys,
  type Link,
  type Listed,
  type Listing,
  NEVER,
  type OwnDevice,
  type DeviceRecord,
  type Source,
  type State,
  contradicts,
  endedOf,
  isOpen,
  isOwnIn,
  isSame,
  isTrusted,
  newRecord,
  taken,
  withAll,
} from "./values.js";

/** What a further device of one's own proves in the place of a name. */
export const OWN_NAME = "me";
const MOST_UNKNOWN_GONE = 256;

/**
 * Return the listed devices that share neither an id nor a key, and whose key is one.
 *
 * "Listed devices that share an id or a public key are ignored, and so is a device with a public key
 * that no device can have." "a device that this client knows by exactly that id, person, key and
 * kind counts as listed even where another one has its key": else any stranger who registers a copy
 * of a member's public key would end all trust in that member.
 */
export function usable(state: State, listing: Listing): Map<string, Listed> {
  const ids = counted(listing.devices.map((one) => one.device.deviceId));
  const keys = counted(listing.devices.map((one) => one.device.publicKey));
  const isKnown = (device: Device): boolean => {
    const record = state.records[device.deviceId];
    return isSame(device, state.me) || (record !== undefined && isSame(record.device, device));
  };
  return new Map(
    listing.devices
      .filter(
        ({ device }) =>
          ids.get(device.deviceId) === 1 &&
          (keys.get(device.publicKey) === 1 || isKnown(device)) &&
          isDeviceKey(fromBase64url(device.publicKey)),
      )
      .map((one) => [one.device.deviceId, one]),
  );
}

export function counted(values: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const value of values) found.set(value, (found.get(value) ?? 0) + 1);
  return found;
}

/** One update: what was saved, and what the service answers. */
export interface Update {
  readonly state: State;
  readonly keys: Keys;
  /** Without devices that share an id or a key. */
  readonly listed: ReadonlyMap<string, Listed>;
  readonly listedIds: ReadonlySet<string>;
  readonly evidence: Evidence;
  /** Seconds of Unix time. */
  readonly at: number;
}

/** Whether a device is listed with just this owner, key and kind. */
export function lists(update: Update, device: Device): boolean {
  const found = update.listed.get(device.deviceId);
  return found !== undefined && isSame(found.device, device);
}

/** What has ended: by the list, and by whose word. */
export interface Ends {
  readonly observed: ReadonlyMap<string, number>;
  readonly said: ReadonlyMap<string, Said>;
  /** Whether all open links are closed. */
  readonly departure: boolean;
}

/** What is trusted and held once nothing changes any more. */
export class Growth {
  readonly records: Map<string, DeviceRecord>;
  readonly unknownGone: Map<string, Said>;
  readonly own: Map<string, OwnDevice>;
  readonly held: Map<number, Held>;
  readonly links: Link[];
  highest: number;
  /** Versions and wrappers, by a text of both. */
  readonly refused = new Map<string, readonly [number, string]>();
  /** Devices that proved a link, with its id. */
  readonly joined = new Map<string, string>();
  /** Links and devices, by a text of both. */
  readonly usedTwice = new Map<string, readonly [string, string]>();
  private readonly me: Device;
  private readonly unwrapped = new Map<Envelope, Uint8Array | null>();

  constructor(
    private readonly update: Update,
    private readonly ends: Ends,
  ) {
    const { state } = update;
    this.me = state.me;
    this.records = new Map(Object.entries(state.records));
    this.unknownGone = new Map(Object.entries(state.unknownGone));
    this.own = new Map();
    for (const [id, one] of Object.entries(state.own)) {
      const groups = this.groupsOf(id, one);
      if (groups.length > 0) this.own.set(id, { publicKey: one.publicKey, groups });
    }
    this.held = new Map(Object.entries(state.held).map(([version, held]) => [+version, held]));
    this.highest = state.highest;
    this.note(ends);
    this.links = this.closeLinks();
    this.prove();
    while (this.grow());
  }

  // Ends

  private groupsOf(id: string, one: OwnDevice): readonly string[] {
    // "A home forgets one when its person says so, or when no group lists it."
    const here = this.update.state.groupId;
    const device = this.update.listed.get(id)?.device;
    const isListed =
      device !== undefined &&
      device.publicKey === one.publicKey &&
      device.userId === this.me.userId;
    return isListed
      ? withAll(one.groups, [here])
      : one.groups.filter((group) => group !== here);
  }

  private note(ends: Ends): void {
    for (const [id, end] of ends.observed) {
      const record = this.records.get(id)!;
      this.records.set(id, { ...record, observed: Math.max(record.observed, end) });
    }
    for (const [id, said] of ends.said) this.noteSaid(id, said);
  }

  private noteSaid(id: string, said: Said): void {
    // "Each signer's number is kept by itself."
    const record = this.records.get(id);
    if (record !== undefined) {
      this.records.set(id, { ...record, said: greatest(record.said, said) });
    } else {
      this.unknownGone.set(id, greatest(this.unknownGone.get(id) ?? {}, said));
    }
  }

  /** Return the greatest end of a device, known or not. */
  ended(id: string): number {
    const record = this.records.get(id);
    if (record !== undefined) return endedOf(record);
    return Math.max(NEVER, ...Object.values(this.unknownGone.get(id) ?? {}));
  }

  private closeLinks(): Link[] {
    // "If there is a departure, all links of the group that no device has used are closed." "The end
    // of another one closes the links that were made under a version up to that end." A link that is
    // over is none.
    const ends = [...this.ends.said.values()].flatMap((said) => Object.values(said));
    const reach = Math.max(NEVER, ...ends);
    return this.update.state.links.filter(
      (link) =>
        !isOpen(link) ||
        (!this.ends.departure && link.version > reach && link.expiresAt > this.update.at),
    );
  }

  // Proofs

  private prove(): void {
    // "A device that alone proves an open link becomes a root, and the link is bound to it. Where
    // two or more prove it, none is trusted, and the link is closed. Another device that proves a
    // bound link is told of."
    this.links.forEach((link, place) => {
      const provers = [...this.update.listed]
        .filter(([, listed]) => this.proves(listed, link))
        .map(([id]) => id)
        .sort();
      const twice = (ids: readonly string[]): void => {
        for (const id of ids) this.usedTwice.set(`${link.id} ${id}`, [link.id, id]);
      };
      const [first] = provers;
      if (!isOpen(link)) {
        twice(provers.filter((id) => id !== link.usedBy));
      } else if (provers.length > 1) {
        this.links[place] = { ...link, closed: true };
        twice(provers);
      } else if (first !== undefined && this.trustProven(this.update.listed.get(first)!.device)) {
        this.links[place] = { ...link, usedBy: first };
        this.joined.set(first, link.id);
      }
    });
  }

  private proves(listed: Listed, link: Link): boolean {
    const { device } = listed;
    if (listed.joinProof === null) return false;
    if ((device.userId === this.me.userId) !== link.forMe) return false;
    return proofHolds(
      fromBase64url(listed.joinProof),
      fromBase64url(link.proofKey),
      fromBase64url(device.publicKey),
      link.forMe ? OWN_NAME : listed.name,
      link.code,
      device.kind,
    );
  }

  private trustProven(device: Device): boolean {
    if (contradicts(this.me, this.records, device)) return false;
    const record = this.records.get(device.deviceId);
    // "A comparison or a proof makes `since` the greater of highest and `ended` + 1"
    const since = Math.max(
      this.update.state.highest,
      this.ended(device.deviceId) + 1,
      record?.since ?? 0,
    );
    this.keep(device, since, "proof", null);
    if (device.userId === this.me.userId) this.takeAsOwn(device);
    return true;
  }

  // Growth

  private grow(): boolean {
    // Each step is taken from one and the same set of trusted devices, so that no order counts.
    const authors = this.authors();
    const believed = [
      ...this.update.evidence.believed(this.held, authors),
      ...this.unsignedBy(authors),
    ];
    const steps = [this.trustOwn(), this.introduce(believed), this.openEnvelopes(authors)];
    return steps.includes(true);
  }

  /** Return the devices whose statements and envelopes count: the trusted, and this one. */
  authors(): Map<string, Device> {
    const found = new Map<string, Device>();
    for (const [id, record] of this.records) {
      if (isTrusted(record) && lists(this.update, record.device)) found.set(id, record.device);
    }
    return found.set(this.me.deviceId, this.me);
  }

  /** Whether a device is this one or another one of its person. */
  isOwn(device: Device): boolean {
    return isOwnIn(this.me, (id) => this.own.get(id), device);
  }

  /** Return what trusted devices have signed. */
  signed(): Believed[] {
    return this.update.evidence.believed(this.held, this.authors());
  }

  /** Return what form 1 states. */
  unsigned(): Believed[] {
    return this.unsignedBy(this.authors());
  }

  private unsignedBy(authors: ReadonlyMap<string, Device>): Believed[] {
    const { evidence, state, at } = this.update;
    return evidence.unsigned(state, this.held, authors, at);
  }

  private trustOwn(): boolean {
    // Growth begins with "own devices that never ended;" wherever they are listed.
    let grown = false;
    for (const id of [...this.own.keys()].sort()) {
      const device = this.update.listed.get(id)?.device;
      if (
        device !== undefined &&
        this.isOwn(device) &&
        !isSame(device, this.me) &&
        !this.records.has(id) &&
        this.ended(id) === NEVER
      ) {
        const since = Math.max(this.update.state.highest, 1);
        grown = this.accept(device, since, "own", null) || grown;
      }
    }
    return grown;
  }

  private introduce(believed: readonly Believed[]): boolean {
    // "The voucher that is shown is, of all whose word counts, an own device first, then the one
    // with the greatest `since`, then the least id."
    const candidates = new Map<string, { device: Device; words: Word[] }>();
    for (const one of believed) {
      const isOwn = this.isOwn(one.author);
      for (const { device, since } of introductionsOf(one.statement)) {
        if (!this.counts(one, { device, since })) continue;
        const about = JSON.stringify([
          device.deviceId,
          device.userId,
          device.publicKey,
          device.kind,
        ]);
        const found = candidates.get(about) ?? { device, words: [] };
        found.words.push({ isOwn, since, by: one.author.deviceId });
        candidates.set(about, found);
      }
    }
    let grown = false;
    for (const { device, words } of candidates.values()) {
      // A word that has ended does not hide another one that still counts.
      const valid = words.filter((word) => word.since > this.ended(device.deviceId));
      if (valid.length === 0) continue;
      const since = Math.max(...valid.map((word) => word.since));
      grown = this.accept(device, since, "member", bestWord(valid).by) || grown;
      const record = this.records.get(device.deviceId);
      if (
        device.userId === this.me.userId &&
        !this.own.has(device.deviceId) &&
        record !== undefined &&
        isTrusted(record)
      ) {
        this.takeAsOwn(device); // "the devices in `own` of cards that own devices signed"
        grown = true;
      }
    }
    return grown;
  }

  /** Whether an introduction counts. */
  counts(one: Believed, { device, since }: Introduction): boolean {
    // "An introduction by a statement of version v counts only if": "its signer is trusted;" "the
    // device is listed with **identical** person, key and kind;" "it is not about the signer, nor
    // about this device;" "a device of this client's own person is introduced by a card of an own
    // device, and by nothing else;" "its `since` is at most v + 1." A card names devices of its
    // author's person only, so no card of others introduces.
    const isOfWhomItMayBe =
      one.statement.is === "card" ? this.isOwn(one.author) : device.userId !== this.me.userId;
    return (
      isOfWhomItMayBe &&
      lists(this.update, device) &&
      device.deviceId !== this.me.deviceId &&
      device.deviceId !== one.author.deviceId &&
      since <= one.version + 1
    );
  }

  /** Trust a device from a version on; return whether that changed anything. */
  private accept(device: Device, since: number, source: Source, by: string | null): boolean {
    const record = this.records.get(device.deviceId);
    if (contradicts(this.me, this.records, device)) return false;
    if (record !== undefined) {
      // removed: "no statement brings it back"
      if (record.removed || (isTrusted(record) && record.since >= since)) return false;
      if (isTrusted(record)) {
        this.records.set(device.deviceId, { ...record, since });
        return true;
      }
    }
    this.keep(device, since, source, by);
    return true;
  }

  private keep(device: Device, since: number, source: Source, by: string | null): void {
    const id = device.deviceId;
    let known = this.records.get(id);
    if (known === undefined) {
      known = newRecord(device, since, source, this.unknownGone.get(id) ?? {});
      this.unknownGone.delete(id);
    }
    this.records.set(id, { ...known, since, source, by, removed: false });
  }

  private takeAsOwn(device: Device): void {
    const groups = [this.update.state.groupId];
    this.own.set(device.deviceId, { publicKey: device.publicKey, groups });
  }

  // Envelopes

  private openEnvelopes(authors: ReadonlyMap<string, Device>): boolean {
    // "envelopes of trusted devices and of this one (Envelopes), by ascending versions." What does
    // not open, match the commitment, or is a key that was held before is refused.
    const wrappers = new Map([...authors].map(([id, device]) => [device.publicKey, id]));
    const commitments = this.commitments();
    let grown = false;
    const sorted = [...this.update.keys.envelopes].sort(
      (one, other) =>
        one.version - other.version ||
        compareBytes(fromBase64url(one.wrapped), fromBase64url(other.wrapped)),
    );
    for (const envelope of sorted) {
      const { version } = envelope;
      const wrapper = wrappers.get(envelope.wrapperKey);
      if (wrapper === undefined || this.held.has(version) || version > this.update.keys.version) {
        continue;
      }
      const key = this.unwrap(envelope);
      if (key === null || !this.isNew(key, version, commitments.get(version))) {
        this.refused.set(`${version} ${wrapper}`, [version, wrapper]);
        continue;
      }
      const moment = { present: this.update.keys.version, now: this.update.at };
      this.held.set(version, taken(this.held, version, toBase64url(key), moment));
      this.highest = Math.max(this.highest, version);
      grown = true;
    }
    return grown;
  }

  private commitments(): Map<number, string> {
    const shown = new Map<number, Set<string>>();
    for (const { version, commitment } of this.update.keys.versions) {
      shown.set(version, (shown.get(version) ?? new Set()).add(commitment));
    }
    const found = new Map<number, string>();
    for (const [version, [first, second]] of [...shown].map(([v, set]) => [v, [...set]] as const)) {
      if (first !== undefined && second === undefined) found.set(version, first);
    }
    return found;
  }

  private unwrap(envelope: Envelope): Uint8Array | null {
    let found = this.unwrapped.get(envelope);
    if (found === undefined) {
      found = orNull(() =>
        unwrap(
          fromBase64url(envelope.wrapped),
          fromBase64url(envelope.wrapperKey),
          fromBase64url(this.update.state.key),
        ),
      );
      this.unwrapped.set(envelope, found);
    }
    return found;
  }

  private isNew(key: Uint8Array, version: number, commitment: string | undefined): boolean {
    const { groupId, elsewhere } = this.update.state;
    const written = toBase64url(key);
    return (
      commitment === toBase64url(commitmentOf(key, groupId, version)) &&
      !elsewhere.includes(written) &&
      [...this.held.values()].every((held) => held.key !== written)
    );
  }

  // What trusted devices state to have gone

  /** Return of each device the ends that trusted devices state, and that count. */
  saidGone(): Map<string, Said> {
    const found = new Map<string, Said>();
    for (const one of this.signed()) {
      if (one.statement.is !== "roster") continue;
      const gone = new Map(one.statement.gone);
      if (!one.statement.complete) {
        // "Being left out of a roster ends nothing, unless `complete` is false: then each trusted
        // device that is in neither `people` nor `gone` ends at v - 1."
        for (const id of this.leftOut(one.statement).keys()) {
          if (!gone.has(id)) gone.set(id, one.version - 1);
        }
      }
      this.noteGone(found, one, gone);
    }
    // "A device that the roster leaves out ends at v - 1 when the version is first met, unless it is
    // a browser, which form 1 cannot name, or the version is the first that this device meets."
    const saved = this.update.state;
    if (saved.highest > 0 && saved.held[this.update.keys.version] === undefined) {
      for (const one of this.unsigned()) {
        if (one.statement.is !== "roster") continue;
        const apps = [...this.leftOut(one.statement)].filter(([, kind]) => kind === "app");
        this.noteGone(found, one, new Map(apps.map(([id]) => [id, one.version - 1])));
      }
    }
    return found;
  }

  private leftOut(roster: Roster): Map<string, string> {
    const named = new Set(roster.introductions.map((one) => one.device.deviceId));
    return new Map(
      [...this.authors()].filter(([id]) => !named.has(id)).map(([id, { kind }]) => [id, kind]),
    );
  }

  private noteGone(
    found: Map<string, Said>,
    one: Believed,
    gone: ReadonlyMap<string, number>,
  ): void {
    // "each number in `gone` counts if `since` <= the number <= v. It never counts for the signer or
    // for this device, and for own devices only by an own device."
    const signer = one.author.deviceId;
    for (const [id, end] of gone) {
      const record = this.records.get(id);
      const isMine = record?.device.userId === this.me.userId;
      if (
        id !== signer &&
        id !== this.me.deviceId &&
        end <= one.version &&
        (record === undefined || record.since <= end) &&
        (!isMine || this.isOwn(one.author))
      ) {
        found.set(id, greatest(found.get(id) ?? {}, { [signer]: end }));
      }
    }
  }

  // The new state

  /** Return what is known now; `news` are the ends that change nothing yet. */
  state(news: ReadonlyMap<string, Said>): State {
    for (const [id, said] of news) this.noteSaid(id, said);
    const { state, keys } = this.update;
    const signed = this.signed();
    this.noteCards(signed);
    this.noteVersions(signed);
    let stated = state.statedBrowsers;
    for (const { version, statement } of signed) {
      if (
        statement.is === "roster" &&
        (version > stated[0] || (version === stated[0] && statement.browsers > stated[1]))
      ) {
        stated = [version, statement.browsers];
      }
    }
    return {
      ...state,
      held: Object.fromEntries(this.held),
      highest: this.highest,
      records: Object.fromEntries(this.records),
      unknownGone: this.keptUnknown(),
      links: [...this.links],
      own: Object.fromEntries(this.own),
      browsers: keys.browsers,
      statedBrowsers: stated,
      signers: withAll(
        state.signers,
        signed.map((one) => one.author.deviceId),
      ),
    };
  }

  private noteCards(signed: readonly Believed[]): void {
    for (const { statement, author } of signed) {
      const record = this.records.get(author.deviceId);
      if (statement.is !== "card" || record === undefined) continue;
      const { n, name } = statement;
      const before = record.card;
      const isLess =
        before !== null && (before.n > n || (before.n === n && isAfter(before.name, name)));
      this.records.set(author.deviceId, { ...record, card: isLess ? before : { n, name } });
    }
  }

  private noteVersions(signed: readonly Believed[]): void {
    const present = this.update.keys.version;
    const times = new Map<number, number>();
    for (const { version, statement, author } of signed) {
      const held = this.held.get(version)!;
      if (statement.is === "roster") {
        // The earliest, if a service shows several.
        const made = Math.min(statement.made, times.get(version) ?? statement.made);
        times.set(version, made);
        this.held.set(version, { ...held, made });
      }
      if (statement.is === "former" && this.isOwn(author)) {
        const until = Math.min(statement.until, held.until ?? statement.until);
        this.held.set(version, { ...held, until });
      }
    }
    const held = this.held.get(present);
    if (held !== undefined) {
      const lastCurrent = Math.max(held.lastCurrent, this.update.at);
      this.held.set(present, { ...held, lastCurrent });
    }
  }

  private keptUnknown(): Record<string, Said> {
    // "Numbers about unknown devices are kept, the 256 greatest that own devices state and the 256
    // greatest of others" -- more than one roster states, so that none is news twice.
    const isByOwn = ([, said]: readonly [string, Said]): boolean =>
      Object.keys(said).some((signer) => signer === this.me.deviceId || this.own.has(signer));
    const ranked = [...this.unknownGone].sort(
      ([one, said], [other, otherSaid]) =>
        Math.max(...Object.values(otherSaid)) - Math.max(...Object.values(said)) ||
        (one < other ? -1 : 1),
    );
    const mine = ranked.filter(isByOwn).slice(0, MOST_UNKNOWN_GONE);
    const others = ranked.filter((one) => !isByOwn(one)).slice(0, MOST_UNKNOWN_GONE);
    return Object.fromEntries([...mine, ...others]);
  }
}

/** What a device says of another one: `isOwn` where it is of this person. */
export interface Word {
  readonly isOwn: boolean;
  readonly since: number;
  readonly by: string;
}

/** Return the word that is shown, of several. */
export function bestWord(words: readonly Word[]): Word {
  return [...words].sort(
    (one, other) =>
      Number(other.isOwn) - Number(one.isOwn) ||
      other.since - one.since ||
      (one.by < other.by ? -1 : 1),
  )[0]!;
}

/** Return the greater number of each signer. */
export function greatest(one: Said, other: Said): Said {
  const found: Record<string, number> = { ...one };
  for (const [id, end] of Object.entries(other)) found[id] = Math.max(found[id] ?? NEVER, end);
  return found;
}

/** Whether a text comes after another one by its code points, in every language alike. */
function isAfter(one: string, other: string): boolean {
  const points = [...one].map((sign) => sign.codePointAt(0)!);
  const others = [...other].map((sign) => sign.codePointAt(0)!);
  for (let at = 0; at < Math.min(points.length, others.length); at++) {
    if (points[at] !== others[at]) return points[at]! > others[at]!;
  }
  return points.length > others.length;
}

/** What the member is told of an update, each exactly once for the same parameters. */

import { fromBase64url, toBase64url } from "../protocol/bytes.js";
import { commitmentOf } from "../protocol/secrets.js";
import { isDeviceKey } from "../protocol/signing.js";
import { introductionsOf } from "./evidence.js";
import { type Growth, type Update, counted, lists } from "./growth.js";
import {
  type DeviceRecord,
  type Listed,
  type Listing,
  type Notice,
  type State,
  bestCard,
  endedOf,
  isOpen,
  isOwn,
  isSame,
  isTrusted,
  nameOf,
  notice,
  refusesBrowsers,
  trustedIn,
} from "./values.js";

/** Told at every update, as long as it is so. */
const EVERY_TIME: ReadonlySet<string> = new Set(["waiting_for"]);
const REMINDED_DAYS = 7;
const DAY = 86_400;

/** What notices are made from: the state before and after, and what was seen. */
export interface Told {
  readonly saved: State;
  readonly state: State;
  readonly update: Update;
  readonly growth: Growth;
  readonly listing: Listing;
  readonly holds: boolean;
}

/** Return the new state, with what is told now and was not told before. */
export function told(about: Told): [State, Notice[]] {
  const found = new Map<string, Notice>();
  for (const part of PARTS) for (const one of part(about)) found.set(textOf(one), one);
  const before = new Set(about.state.told.map(textOf));
  const fresh = [...found].filter(([text, one]) => EVERY_TIME.has(one.code) || !before.has(text));
  const ordered = fresh
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, one]) => one);
  const kept = ordered.filter((one) => !EVERY_TIME.has(one.code));
  const state = { ...withCovered(about), told: [...about.state.told, ...kept] };
  return [state, ordered];
}

function textOf({ code, parameters }: Notice): string {
  return JSON.stringify([code, Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

// Devices of others

function* standing(about: Told): Iterable<Notice> {
  const before = trustedIn(about.saved);
  for (const [id, record] of Object.entries(about.state.records)) {
    if (before.has(id) && !isTrusted(record)) {
      yield endOf(about, id, record);
    } else if (isTrusted(record) && !before.has(id)) {
      const link = about.growth.joined.get(id);
      if (link !== undefined) {
        yield notice("joined", { device: id, link });
      } else {
        const by = record.by ?? about.state.me.deviceId;
        yield notice("device_added", { device: id, by, since: record.since });
      }
    }
  }
}

function endOf(about: Told, id: string, record: DeviceRecord): Notice {
  const ended = endedOf(record);
  let why = about.update.listedIds.has(id) ? "changed" : "gone";
  let by = "";
  if (record.observed !== ended) {
    why = "said";
    const signers = Object.entries(record.said).filter(([, end]) => end === ended);
    by = signers.map(([signer]) => signer).sort()[0]!;
  }
  return notice("trust_ended", { device: id, why, by, ended });
}

function* vouchers(about: Told): Iterable<Notice> {
  // "a device is trusted only by the word of a person who has no trusted device left"
  const trusted = trustedIn(about.state);
  const people = new Set([...trusted.values()].map((record) => record.device.userId));
  people.add(about.state.me.userId);
  for (const [id, record] of trusted) {
    const voucher = record.by === null ? undefined : about.state.records[record.by];
    if (
      record.source === "member" &&
      voucher !== undefined &&
      !people.has(voucher.device.userId)
    ) {
      yield notice("voucher_gone", { device: id, person: voucher.device.userId });
    }
  }
}

function* listedOnes(about: Told): Iterable<Notice> {
  for (const [id, listed] of about.update.listed) {
    if (isSame(listed.device, about.state.me)) continue;
    const record = about.state.records[id];
    if (record !== undefined && !isSame(record.device, listed.device)) {
      yield notice("key_changed", { device: id });
    }
    if (listed.device.userId === about.state.me.userId) {
      if (!isOwn(about.state, listed.device)) yield notice("own_unknown", { device: id });
    } else if (record === undefined || !isTrusted(record)) {
      yield* untrusted(about, listed, record);
    }
    if (listed.device.kind === "web") {
      yield notice(refusesBrowsers(about.state) ? "browser_refused" : "browser", { device: id });
    }
  }
}

function* untrusted(
  about: Told,
  listed: Listed,
  record: DeviceRecord | undefined,
): Iterable<Notice> {
  const { device } = listed;
  const parameters = { device: device.deviceId, person: device.userId };
  if (about.holds && listed.confirmed) {
    yield notice("unconfirmed_device", parameters);
  } else if (about.holds && record?.removed !== true) {
    yield notice("waiting", parameters);
  }
}

function* shared(about: Told): Iterable<Notice> {
  const { devices } = about.listing;
  const ids = counted(devices.map((one) => one.device.deviceId));
  const keys = counted(devices.map((one) => one.device.publicKey));
  for (const { device } of devices) {
    if (!isDeviceKey(fromBase64url(device.publicKey))) {
      yield notice("unusable_key", { device: device.deviceId });
    } else if (
      Math.max(ids.get(device.deviceId)!, keys.get(device.publicKey)!) > 1 &&
      !lists(about.update, device)
    ) {
      yield notice("duplicate_key", { device: device.deviceId });
    }
  }
}

// One's own

function* ownOnes(about: Told): Iterable<Notice> {
  const today = Math.floor(about.update.at / DAY);
  for (const [id, day] of Object.entries(about.state.met)) {
    if (about.update.listed.has(id) && today > day && today - day <= REMINDED_DAYS) {
      yield notice("new_own_device", { device: id, day: today });
    }
  }
}

// Names

function* names(about: Told): Iterable<Notice> {
  for (const [person, name] of peopleOf(about)) {
    const before = nameOf(about.saved, person);
    const shown = nameOf(about.state, person);
    if (before !== null && shown !== null && before !== shown) {
      const n = bestCard(about.state, person)?.n ?? 0; // a name that comes back is told again
      yield notice("renamed", { person, before, now: shown, n });
    }
    if (person !== about.state.me.userId && shown !== null && name !== shown) {
      yield notice("service_name_differs", { person, shown, listed: name });
    }
  }
}

function peopleOf(about: Told): Map<string, string> {
  const sorted = [...about.update.listed].sort(([one], [other]) => (one < other ? -1 : 1));
  return new Map(sorted.map(([, { device, name }]) => [device.userId, name]));
}

// Safety numbers

function* numbers(about: Told): Iterable<Notice> {
  for (const [person, before] of Object.entries(about.saved.compared)) {
    const covered = coveredBy(about, before);
    for (const [id, { device }] of about.update.listed) {
      if (device.userId !== person || before.includes(id)) continue;
      const code = covered.has(id) ? "person_device_added" : "number_void";
      yield notice(code, { person, device: id });
    }
  }
}

function coveredBy(about: Told, before: readonly string[]): Set<string> {
  // "A device that comes later and that the card of a compared and still trusted device names is
  // covered by the comparison." So is one that the card of a covered device names.
  const cards = about.growth.signed().filter((one) => one.statement.is === "card");
  const covered = new Set(before);
  for (;;) {
    const named = cards
      .filter((one) => covered.has(one.author.deviceId))
      .flatMap((one) => introductionsOf(one.statement))
      .filter(({ device }) => lists(about.update, device) && !covered.has(device.deviceId));
    if (named.length === 0) return covered;
    for (const { device } of named) covered.add(device.deviceId);
  }
}

function withCovered(about: Told): State {
  const compared = Object.fromEntries(
    Object.entries(about.saved.compared).map(([person, covered]) => [
      person,
      [...coveredBy(about, covered)],
    ]),
  );
  return { ...about.state, compared };
}

// Links

function* links(about: Told): Iterable<Notice> {
  for (const [link, device] of about.growth.usedTwice.values()) {
    yield notice("link_used_twice", { link, device });
  }
  const left = new Set(about.state.links.map((link) => link.id));
  for (const { id, expiresAt } of about.saved.links) {
    if (!left.has(id) && expiresAt > about.update.at) yield notice("link_closed", { link: id });
  }
  for (const link of about.state.links) {
    // "the service calls a link used, and no listed device proves it"
    if (isOpen(link) && about.listing.usedLinks.includes(link.id)) {
      yield notice("link_used_unproved", { link: link.id });
    }
  }
}

// Keys and statements

function* keyOnes(about: Told): Iterable<Notice> {
  const { state } = about;
  const { keys } = about.update;
  for (const { version, commitment } of keys.versions) {
    const held = state.held[version];
    if (
      held !== undefined &&
      toBase64url(commitmentOf(fromBase64url(held.key), state.groupId, version)) !== commitment
    ) {
      yield notice("keys_differ", { version });
    }
  }
  for (const [version, device] of about.growth.refused.values()) {
    if (state.held[version] === undefined) yield notice("envelope_refused", { version, device });
  }
  if (!about.holds && keys.version > 0) yield* waitsFor(about);
}

/** Return the listed devices that have wrapped the present version and are not trusted. */
export function untrustedWrappers(update: Update, growth: Growth): string[] {
  const ids = new Map([...update.listed].map(([id, { device }]) => [device.publicKey, id]));
  const authors = growth.authors();
  const wrappers = update.keys.envelopes
    .filter((one) => one.version === update.keys.version)
    .map((one) => ids.get(one.wrapperKey))
    .filter((id) => id !== undefined && !authors.has(id));
  return [...new Set(wrappers as string[])];
}

function* waitsFor(about: Told): Iterable<Notice> {
  // "this device has no key: no device has wrapped it; or X has, who is not trusted; or the author
  // left it out"
  const wrappers = untrustedWrappers(about.update, about.growth);
  for (const wrapper of wrappers) yield notice("waiting_for", { wrapper });
  if (wrappers.length === 0) {
    yield notice("waiting_for", { left_out: about.state.highest > 0 ? 1 : 0 });
  }
}

function* statements(about: Told): Iterable<Notice> {
  const { update, growth, state } = about;
  for (const one of update.evidence.unbelieved(growth.held, growth.authors())) {
    const { what, version, author } = one;
    yield notice("statement_refused", { what, version, device: author ?? "" });
  }
  for (const said of growth.signed()) {
    if (said.version !== update.keys.version || isSame(said.author, state.me)) continue;
    if (said.statement.is !== "roster" && said.statement.is !== "entry") continue;
    for (const { device } of introductionsOf(said.statement)) {
      if (!update.listedIds.has(device.deviceId) && device.deviceId !== state.me.deviceId) {
        yield notice("version_names_gone", {
          author: said.author.deviceId,
          device: device.deviceId,
        });
      }
    }
  }
}

const PARTS = [
  standing,
  vouchers,
  listedOnes,
  shared,
  ownOnes,
  names,
  numbers,
  links,
  keyOnes,
  statements,
];

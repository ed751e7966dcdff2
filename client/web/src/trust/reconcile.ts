/**
 * The decision on one update of a group: `reconcile`.
 *
 * It does all that needs no word of the member. The service says what there is; whom to trust, which
 * keys to take and what to do follow from proofs, signatures and the member's own words.
 */

import { type Card, type Introduction, MOST_OWN } from "../protocol/statements.js";
import { isName } from "../text/naming.js";
import { type Believed, Evidence, introductionsOf } from "./evidence.js";
import {
  type Ends,
  Growth,
  type Update,
  type Word,
  bestWord,
  greatest,
  lists,
  usable,
} from "./growth.js";
import { told } from "./notices.js";
import {
  type Decision,
  type Ends as Said,
  type Gift,
  type Keys,
  type Listed,
  type Listing,
  NEVER,
  ROOTS,
  type State,
  type Stop,
  atRisk,
  endedOf,
  hasGiven,
  heldVersions,
  introduced,
  isOwn,
  isSame,
  isTrusted,
  nameOf,
  notice,
  ownName,
  refusesBrowsers,
  supersededAt,
  trustedIn,
} from "./values.js";

/**
 * Decide on what the service answers: the keys, and the people, who are fetched afterwards.
 *
 * `seen` are the devices that were trusted before that was fetched; null: all that are trusted.
 * `now` is in seconds of Unix time.
 */
export function reconcile(
  state: State,
  listing: Listing,
  keys: Keys,
  now: number,
  seen: ReadonlySet<string> | null = null,
): Decision | Stop {
  const listed = usable(state, listing);
  const stop = gate(state, listed, keys);
  if (stop !== null) return stop;
  const update: Update = {
    state,
    keys,
    listed,
    listedIds: new Set(listing.devices.map((one) => one.device.deviceId)),
    evidence: new Evidence(state, keys, listed),
    at: now,
  };
  let ends = endsByTheList(update, seen);
  for (;;) {
    const growth = new Growth(update, ends);
    const said = growth.saidGone();
    const risen = [...said].filter(
      ([id, theirs]) => Math.max(...Object.values(theirs)) > growth.ended(id),
    );
    if (risen.length === 0) {
      return newerForm(update, growth) ?? decide(update, listing, growth, said);
    }
    // "If there are new ones, the client repeats step 3 with them from the saved state, so that
    // nothing counts that rests on what has ended. The end of a device that it trusted is a
    // departure." "An end only rises, to the highest version at most, so the repeats end."
    const authors = growth.authors();
    const all = new Map(ends.said);
    for (const [id, theirs] of risen) all.set(id, greatest(all.get(id) ?? {}, theirs));
    const departure = ends.departure || risen.some(([id]) => authors.has(id));
    ends = { observed: ends.observed, said: all, departure };
  }
}

function gate(state: State, listed: ReadonlyMap<string, Listed>, keys: Keys): Stop | null {
  // "If the version is below the highest, or this device is not listed, it stops, and changes
  // nothing."
  if (keys.version < state.highest) {
    return { is: "stop", notices: [notice("version_went_back", { version: keys.version })] };
  }
  const me = listed.get(state.me.deviceId);
  return me !== undefined && isSame(me.device, state.me)
    ? null
    : { is: "stop", notices: [notice("not_listed")] };
}

function endsByTheList(update: Update, seen: ReadonlySet<string> | null): Ends {
  // "There is a *departure* if there was such an end, or the service requires a new key." "A trusted
  // device that is not listed any more ends at the greatest of highest, attempted and `since`."
  const observed = new Map<string, number>();
  for (const [id, record] of trustedIn(update.state)) {
    if ((seen === null || seen.has(id)) && !lists(update, record.device)) {
      observed.set(id, Math.max(atRisk(update.state), record.since));
    }
  }
  const departure = observed.size > 0 || update.keys.rotationRequired;
  return { observed, said: new Map(), departure };
}

function newerForm(update: Update, growth: Growth): Stop | null {
  // "When a trusted device has signed it, the client keeps its state as it was, asks its person to
  // update Draugar, and neither makes a key nor ends any trust."
  const found = new Map(
    update.evidence
      .unbelieved(growth.held, growth.authors())
      .filter((one) => one.newer > 0)
      .map((one) => [
        `${one.author} ${one.newer}`,
        notice("newer_form", { device: one.author ?? "", form: one.newer }),
      ]),
  );
  if (found.size === 0) return null;
  return { is: "stop", notices: [...found.keys()].sort().map((text) => found.get(text)!) };
}

function decide(
  update: Update,
  listing: Listing,
  growth: Growth,
  said: ReadonlyMap<string, Said>,
): Decision {
  const { state: saved, keys } = update;
  let state = withVouchers(growth.state(said), growth);
  state = withNames(state, update, growth);
  state = { ...state, compromised: compromised(update, growth, state), met: met(update, state) };
  const holds = state.held[keys.version] !== undefined;
  // "It **rotates** if it holds it, and the service requires a new key or the version is
  // compromised."
  const rotate = holds && (keys.rotationRequired || state.compromised >= keys.version);
  const recipients = recipientsOf(update, state);
  const [known, notices] = told({ saved, state, update, growth, listing, holds });
  state = known;
  const decision: Decision = {
    is: "decision",
    state,
    holds,
    rotate,
    recipients,
    give: [],
    vouch: [],
    card: null,
    greet: [],
    giveBack: givenBack(update, growth),
    needsForm1: [...update.listed].some(
      ([id, { card, device }]) =>
        card === null && device.kind === "app" && id !== saved.me.deviceId,
    ),
    notices,
  };
  if (!holds || rotate) return decision;
  const acknowledged = acknowledgedBy(growth, keys.version);
  return {
    ...decision,
    give: [...gifts(state, keys.version, recipients, acknowledged)],
    vouch: [...vouched(state, keys.version, recipients, growth)],
    greet: recipients.filter((id) => !state.greeted.includes(id)),
    card: newCard(state, keys.version, growth),
  };
}

function compromised(update: Update, growth: Growth, state: State): number {
  // "When a trusted device has ended, it rises to highest and attempted as they were before the
  // update. It rises to the present version when a roster or entry of that version, by a trusted
  // device, names a device whose id is not listed at all, or one that has ended with its `since` not
  // above that end."
  const { state: saved, keys } = update;
  let found = saved.compromised;
  const hasEnded = (id: string): boolean => !isTrusted(state.records[id]!);
  if ([...trustedIn(saved).keys()].some(hasEnded)) found = Math.max(found, atRisk(saved));
  for (const { version, statement } of [...growth.signed(), ...growth.unsigned()]) {
    if (version !== keys.version || (statement.is !== "roster" && statement.is !== "entry")) {
      continue;
    }
    if (introductionsOf(statement).some((one) => knowsTooMuch(update, state, one))) {
      found = Math.max(found, version);
    }
  }
  return found;
}

function knowsTooMuch(update: Update, state: State, { device, since }: Introduction): boolean {
  if (!update.listedIds.has(device.deviceId)) return true;
  const record = state.records[device.deviceId];
  return (
    record !== undefined &&
    isSame(record.device, device) &&
    !isTrusted(record) &&
    since <= endedOf(record)
  );
}

function recipientsOf(update: Update, state: State): string[] {
  // "Recipients are the trusted devices that are listed, without browsers where they are refused."
  const refused = refusesBrowsers(state);
  return [...trustedIn(state)]
    .filter(([, { device }]) => lists(update, device) && !(device.kind === "web" && refused))
    .map(([id]) => id)
    .sort();
}

function acknowledgedBy(growth: Growth, version: number): Set<string> {
  // "A card of version v acknowledges that its device holds v."
  return new Set(
    growth
      .signed()
      .filter((one) => one.statement.is === "card" && one.version === version)
      .map((one) => one.author.deviceId),
  );
}

function* gifts(
  state: State,
  version: number,
  recipients: readonly string[],
  acknowledged: ReadonlySet<string>,
): Iterable<Gift> {
  // "it gives the key, once, to each recipient whose card is not of this version, and to own devices
  // also the former versions from before they came, each with `former`;"
  for (const deviceId of recipients) {
    if (!acknowledged.has(deviceId) && !hasGiven(state.gave, deviceId, version)) {
      yield { deviceId, version, until: null };
    }
    const record = state.records[deviceId]!;
    if (!isOwn(state, record.device)) continue;
    // What was made since it came it was given at the time.
    for (const former of heldVersions(state)) {
      if (former < Math.min(version, record.since) && !hasGiven(state.gave, deviceId, former)) {
        const ended = supersededAt(state, former);
        yield { deviceId, version: former, until: ended === null ? null : Math.trunc(ended) };
      }
    }
  }
}

function* vouched(
  state: State,
  version: number,
  recipients: readonly string[],
  growth: Growth,
): Iterable<Introduction> {
  // "it vouches, by an entry, for each root that no roster of this version by a trusted device
  // names, where a roster does not count for its own author;"
  const named = new Set<string>();
  for (const one of growth.signed()) {
    if (one.version !== version || !namesForAll(one, state)) continue;
    for (const { device } of introductionsOf(one.statement)) {
      if (device.deviceId !== one.author.deviceId) named.add(device.deviceId);
    }
  }
  for (const id of recipients) {
    const record = state.records[id]!;
    if (
      ROOTS.includes(record.source) &&
      !named.has(id) &&
      !hasGiven(state.vouched, id, version)
    ) {
      const name = nameOf(state, record.device.userId);
      const since = Math.min(record.since, version + 1);
      yield { device: record.device, since, ...(name === null ? {} : { name }) };
    }
  }
}

function namesForAll(one: Believed, state: State): boolean {
  return (
    one.statement.is === "roster" ||
    (one.statement.is === "entry" && isSame(one.author, state.me))
  );
}

/** Return this device's card as it should be under a version; null while it has no name. */
export function cardOf(state: State, version: number): Card | null {
  const name = state.introduced[state.me.userId];
  const stated = state.card ?? (name === undefined ? null : { n: 0, name });
  if (stated === null || !isName(stated.name)) return null;
  const own = [...trustedIn(state).values()]
    .filter((record) => isOwn(state, record.device))
    .map(({ device, since }) => ({ device, since: Math.min(since, version + 1) }))
    .sort((one, other) => (one.device.deviceId < other.device.deviceId ? -1 : 1))
    .slice(0, MOST_OWN);
  const { deviceId: by, userId, kind } = state.me;
  return { is: "card", by, userId, n: stated.n, name: stated.name, kind, own };
}

function newCard(state: State, version: number, growth: Growth): Card | null {
  // "it puts its card where that is absent, of another version, or different."
  const wanted = cardOf(state, version);
  const shown = growth
    .signed()
    .filter((one) => one.statement.is === "card" && isSame(one.author, state.me))
    .find((one) => one.version === version)?.statement;
  return shown !== undefined && wanted !== null && isSameCard(shown as Card, wanted)
    ? null
    : wanted;
}

function isSameCard(one: Card, other: Card): boolean {
  const text = ({ by, userId, n, name, kind, own }: Card): string =>
    JSON.stringify([
      [by, userId, n, name, kind],
      own.map(({ device: d, since }) => [d.deviceId, d.userId, d.publicKey, d.kind, since]),
    ]);
  return text(one) === text(other);
}

function givenBack(update: Update, growth: Growth): number[] {
  // "At a service of form 1 it also gives back envelopes of unknown wrappers as soon as it trusts
  // any listed device."
  const { keys } = update;
  if (keys.form > 1) return [];
  const authors = growth.authors();
  const known = new Set([...authors.values()].map((device) => device.publicKey));
  const versions = new Set([...growth.refused.values()].map(([version]) => version));
  if (authors.size > 1) {
    for (const { version, wrapperKey } of keys.envelopes) {
      if (!known.has(wrapperKey)) versions.add(version);
    }
  }
  return [...versions]
    .filter((version) => !growth.held.has(version))
    .sort((one, other) => one - other);
}

/** Name another voucher for a device whose voucher's person has no trusted device left. */
function withVouchers(state: State, growth: Growth): State {
  const trusted = trustedIn(state);
  const people = new Set([...trusted.values()].map((record) => record.device.userId));
  people.add(state.me.userId);
  const words = new Map<string, Word[]>();
  for (const one of growth.signed()) {
    for (const introduction of introductionsOf(one.statement)) {
      const id = introduction.device.deviceId;
      const record = state.records[id];
      const ended = record === undefined ? NEVER : endedOf(record);
      if (growth.counts(one, introduction) && introduction.since > ended) {
        const word = {
          isOwn: growth.isOwn(one.author),
          since: introduction.since,
          by: one.author.deviceId,
        };
        words.set(id, [...(words.get(id) ?? []), word]);
      }
    }
  }
  const records = { ...state.records };
  for (const [id, record] of trusted) {
    const voucher = record.by === null ? undefined : state.records[record.by];
    const theirs = words.get(id);
    if (voucher !== undefined && !people.has(voucher.device.userId) && theirs !== undefined) {
      records[id] = { ...record, by: bestWord(theirs).by };
    }
  }
  return { ...state, records };
}

function withNames(state: State, update: Update, growth: Growth): State {
  // "it is shown while no card of that person was ever seen, the first one stays, and of several in
  // one update the one with the least (v, signer id)."
  const first = new Map<string, { version: number; by: string; name: string }>();
  for (const { version, author, statement } of [...growth.signed(), ...growth.unsigned()]) {
    for (const { device, name } of introductionsOf(statement)) {
      const record = state.records[device.deviceId];
      if (
        name === undefined ||
        device.userId === state.me.userId ||
        record === undefined ||
        !isSame(record.device, device) ||
        !isTrusted(record)
      ) {
        continue;
      }
      const before = first.get(device.userId);
      const by = author.deviceId;
      const isFirst =
        before === undefined ||
        version < before.version ||
        (version === before.version && by < before.by);
      if (isFirst) first.set(device.userId, { version, by, name });
    }
  }
  // Of a device that came by a link the proof holds for the name, too.
  const proven = [...growth.joined.keys()]
    .sort()
    .map((id) => update.listed.get(id)!)
    .filter(({ device }) => device.userId !== state.me.userId)
    .map(({ device, name }) => [device.userId, name] as const);
  const others = [...first].map(([userId, { name }]) => [userId, name] as const);
  return {
    ...state,
    introduced: introduced(state.introduced, [...proven, ...others]),
    card: ownName(state),
  };
}

function met(update: Update, state: State): Record<string, number> {
  const today = Math.floor(update.at / 86_400);
  const mine = [...update.listed.values()]
    .map(({ device }) => device)
    .filter(({ userId, deviceId }) => userId === state.me.userId && deviceId !== state.me.deviceId)
    .map(({ deviceId }) => deviceId);
  const ids = [...new Set([...mine, ...Object.keys(state.met)])].sort();
  return Object.fromEntries(ids.map((id) => [id, state.met[id] ?? today]));
}

/**
 * Statements as evidence: opened under held keys, verified, and attributed to trusted devices.
 *
 * What is not opened, not verified or not of a trusted device is no evidence. It changes no standing.
 */

import { fromBase64url, toBase64url } from "../protocol/bytes.js";
import { orNull } from "../protocol/errors.js";
import { type RosterEntry, openRoster } from "../protocol/rosters.js";
import { commitmentOf } from "../protocol/secrets.js";
import {
  type Device,
  type Entry,
  type Introduction,
  type Opened,
  type Statement,
  isSignedBy,
  openStatement,
} from "../protocol/statements.js";
import { type Held, type Keys, type Listed, type State, isSame } from "./values.js";

/** When unsigned statements of form 1 end to be believed: 1 December 2027, a year after form 2. */
export const UNSIGNED_UNTIL = 1_827_619_200;

/** A statement of a trusted device, or of this one. */
export interface Believed {
  readonly version: number;
  readonly author: Device;
  readonly statement: Statement;
}

/** Return the devices that a statement introduces. */
export function introductionsOf(statement: Statement): readonly Introduction[] {
  switch (statement.is) {
    case "roster":
      return statement.introductions;
    case "entry":
      return [statement.introduction];
    case "card":
      return statement.own;
    case "former":
      return [];
  }
}

/** What a holder of the key sealed and no reader can use. */
export interface Unbelieved {
  readonly what: string;
  readonly version: number;
  /** Who signed it; else who put it there, as the service says. */
  readonly author: string | null;
  /** Its form, where that is newer than this client's. */
  readonly newer: number;
}

/** A statement where it was found; `about` is the device beside which it stands. */
interface Sealed {
  readonly what: Statement["is"];
  readonly version: number;
  readonly sealed: string;
  readonly about: Device | string | null;
  readonly saidBy: string | null;
}

type Authors = ReadonlyMap<string, Device>;
type HeldKeys = ReadonlyMap<number, Held>;

/** All statements of one update. Each is opened once, and verified once for each key. */
export class Evidence {
  private readonly groupId: string;
  private readonly sealed: readonly Sealed[];
  private readonly opened = new Map<string, Opened>();
  private readonly verified = new Map<string, boolean>();
  private readonly openedUnsigned = new Map<string, readonly RosterEntry[]>();

  constructor(
    state: State,
    private readonly keys: Keys,
    devices: ReadonlyMap<string, Listed>,
  ) {
    this.groupId = state.groupId;
    this.sealed = [...found(keys, [...devices.values()])];
  }

  /** Return what trusted devices state, in any order. */
  believed(held: HeldKeys, authors: Authors): Believed[] {
    const believed: Believed[] = [];
    for (const one of this.sealed) {
      const opened = this.open(one, held);
      if (opened === null) continue;
      const { statement } = opened;
      if (statement.is === "newer" || statement.is === "unreadable") continue;
      const author = authors.get(statement.by);
      if (
        author !== undefined &&
        this.isInPlace(one, statement, author, held) &&
        this.isSigned(one, opened, author)
      ) {
        believed.push({ version: one.version, author, statement });
      }
    }
    return believed;
  }

  /** Return what a trusted device signed and no reader can use, and what no device signed. */
  unbelieved(held: HeldKeys, authors: Authors): Unbelieved[] {
    const unbelieved: Unbelieved[] = [];
    for (const one of this.sealed) {
      const opened = this.open(one, held);
      if (opened === null) continue;
      const { statement } = opened;
      const author = statement.by === null ? undefined : authors.get(statement.by);
      const isSigned = author !== undefined && this.isSigned(one, opened, author);
      const signer = isSigned ? author.deviceId : one.saidBy;
      const about = { what: one.what, version: one.version, author: signer };
      if (statement.is === "newer") {
        // "Of other devices it is unreadable."
        unbelieved.push({ ...about, newer: isSigned ? statement.form : 0 });
      } else if (
        statement.is === "unreadable" ||
        (author !== undefined && !(isSigned && this.isInPlace(one, statement, author, held)))
      ) {
        unbelieved.push({ ...about, newer: 0 });
      }
    }
    return unbelieved;
  }

  /**
   * Return statements of form 1 as those that they stand for: an entry for each device. A roster is
   * returned as a whole one, too, which may leave devices out.
   */
  unsigned(state: State, held: HeldKeys, authors: Authors, now: number): Believed[] {
    // "It believes unsigned rosters and entries of the present version, and only those of a trusted
    // device that it has never seen sign anything: an entry of the device that the service names, a
    // roster of a device that the roster itself names and that has wrapped this version for it." "A
    // roster beside a statement counts for nothing, and none counts from 1 December 2027 on."
    const { version } = this.keys;
    if (now >= UNSIGNED_UNTIL || !held.has(version)) return [];
    const signing = new Set(this.believed(held, authors).map((one) => one.author.deviceId));
    const silent = new Map(
      [...authors].filter(
        ([id, device]) =>
          !state.signers.includes(id) &&
          !signing.has(id) &&
          !isSame(device, state.me) &&
          device.kind === "app", // no browser was ever a client of form 1
      ),
    );
    const believed: Believed[] = [];
    for (const entry of this.keys.unsignedEntries) {
      const author = entry.authorId === null ? undefined : silent.get(entry.authorId);
      if (author === undefined || entry.version !== version) continue;
      for (const one of this.openUnsigned(version, entry.sealed, held)) {
        const statement: Entry = {
          is: "entry",
          by: author.deviceId,
          introduction: entryOf(one, version),
        };
        believed.push({ version, author, statement });
      }
    }
    const wrappers = new Set(
      this.keys.envelopes.filter((one) => one.version === version).map((one) => one.wrapperKey),
    );
    for (const shown of this.keys.versions) {
      if (shown.version !== version || shown.roster === null || shown.statement !== null) continue;
      const named = this.openUnsigned(version, shown.roster, held);
      // A roster of form 1 names its author's own device. Of several who may have written it, the
      // least id stands for them.
      const ids = new Set(named.map((one) => one.deviceId));
      const possible = [...silent.values()]
        .filter((device) => ids.has(device.deviceId) && wrappers.has(device.publicKey))
        .sort((one, other) => (one.deviceId < other.deviceId ? -1 : 1));
      const author = possible[0];
      if (author !== undefined) {
        believed.push({
          version,
          author,
          statement: {
            is: "roster",
            by: author.deviceId,
            commitment: shown.commitment,
            made: 0,
            browsers: state.statedBrowsers[1],
            complete: false,
            introductions: named.map((one) => entryOf(one, version)),
            gone: [],
          },
        });
      }
    }
    return believed;
  }

  private open(one: Sealed, held: HeldKeys): Opened | null {
    const key = held.get(one.version)?.key;
    if (key === undefined) return null;
    const about = `${one.version} ${one.sealed}`;
    let opened = this.opened.get(about);
    if (opened === undefined) {
      opened = openStatement(fromBase64url(one.sealed), fromBase64url(key));
      this.opened.set(about, opened);
    }
    return opened;
  }

  private isSigned(one: Sealed, opened: Opened, author: Device): boolean {
    // "A reader verifies with the public key that it trusts for `by`, whatever the service says of
    // who wrote it."
    const about = `${one.version} ${author.publicKey} ${one.sealed}`;
    let isSigned = this.verified.get(about);
    if (isSigned === undefined) {
      isSigned = isSignedBy(opened, fromBase64url(author.publicKey), this.groupId, one.version);
      this.verified.set(about, isSigned);
    }
    return isSigned;
  }

  private isInPlace(one: Sealed, statement: Statement, author: Device, held: HeldKeys): boolean {
    if (statement.is !== one.what) return false;
    switch (statement.is) {
      case "roster": {
        // "A roster whose `commitment` is not that of its version's key is ignored."
        const key = fromBase64url(held.get(one.version)!.key);
        return statement.commitment === toBase64url(commitmentOf(key, this.groupId, one.version));
      }
      case "entry":
        // "It counts only beside the device that it names."
        return statement.introduction.device.deviceId === one.about;
      case "card":
        // "It counts only at the device that signed it, and where `userId` and `kind` are those of
        // that device."
        return (
          typeof one.about === "object" &&
          one.about !== null &&
          isSame(one.about, author) &&
          statement.userId === author.userId &&
          statement.kind === author.kind
        );
      case "former":
        return one.about === author.deviceId;
    }
  }

  private openUnsigned(version: number, sealed: string, held: HeldKeys): readonly RosterEntry[] {
    const about = `${version} ${sealed}`;
    let opened = this.openedUnsigned.get(about);
    if (opened === undefined) {
      const key = fromBase64url(held.get(version)!.key);
      opened = orNull(() => openRoster(fromBase64url(sealed), key)) ?? [];
      this.openedUnsigned.set(about, opened);
    }
    return opened;
  }
}

function* found(keys: Keys, devices: readonly Listed[]): Iterable<Sealed> {
  for (const { version, statement } of keys.versions) {
    if (statement !== null) {
      yield { what: "roster", version, sealed: statement, about: null, saidBy: null };
    }
  }
  for (const { sealed, about, voucherId } of keys.vouches) {
    yield { what: "entry", version: keys.version, sealed, about, saidBy: voucherId };
  }
  for (const { card, device } of devices) {
    if (card !== null) {
      const { version, sealed } = card;
      yield { what: "card", version, sealed, about: device, saidBy: device.deviceId };
    }
  }
  const byKey = new Map(devices.map(({ device }) => [device.publicKey, device.deviceId]));
  for (const { version, former, wrapperKey } of keys.envelopes) {
    const wrapper = byKey.get(wrapperKey);
    if (former !== null && version < keys.version && wrapper !== undefined) {
      yield { what: "former", version, sealed: former, about: wrapper, saidBy: wrapper };
    }
  }
}

function entryOf(one: RosterEntry, version: number): Introduction {
  const { userId, deviceId, publicKey, kind, name } = one;
  return { device: { userId, deviceId, publicKey, kind }, since: version, name };
}

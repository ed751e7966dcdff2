/** The service's routes, each a method that sends and reads. Every one rejects with a Failure. */

import { answerNotUnderstood } from "../errors.js";
import type { OpenInvite, OwnDevice } from "../models.js";
import { ENVELOPE_BYTES } from "../protocol/envelopes.js";
import { PACKAGE_BYTES } from "../protocol/invites.js";
import { type JsonObject, LAST_VERSION, plain } from "../protocol/json.js";
import { LARGEST_MESSAGE } from "../protocol/locations.js";
import { ROSTER_BYTES } from "../protocol/rosters.js";
import { type Browsers, MOST_BYTES } from "../protocol/statements.js";
import type { ListedPerson } from "../trust/directory.js";
import type { StoredPoint } from "../trust/points.js";
import type { Keys } from "../trust/values.js";
import * as r from "./reading.js";
import { at } from "./reading.js";
import { type Request, Transport } from "./transport.js";

export const PAGE = 500;
const LATEST_PAGES = 100;
/** Of a hundred versions each. */
const KEY_PAGES = 50;
const LEAST_SEALED = 41;
const ENTRY_BYTES = 4096;
const MOST_VOUCHES = 600;
const FORM_2 = { form: "2" } as const;
const KEY = r.opaque(32, 32);
const sealed = (most: number) => r.opaque(LEAST_SEALED, most);

/** Who came in, and the key package, which comes once only. */
export interface Joined {
  readonly token: string;
  readonly userId: string;
  readonly name: string;
  readonly deviceId: string;
  readonly groupId: string;
  readonly groupName: string;
  readonly keyPackage: string | null;
  /** Of the package. */
  readonly keyVersion: number | null;
}

/** A group, and what the caller is in it. */
export interface ListedGroup {
  readonly id: string;
  readonly name: string;
  readonly role: "admin" | "member";
  readonly encryption: "required" | "optional";
  readonly keyVersion: number;
  readonly rotationRequired: boolean;
  readonly retentionDays: number;
  readonly joinedAt: number;
  readonly isPaused: boolean;
  readonly resumesAt: number | null;
  readonly browsers: Browsers;
  readonly keyPackage: string | null;
}

/** A new key, as it is sent; bytes as base64url. */
export interface NewKey {
  readonly expectedVersion: number;
  readonly commitment: string;
  readonly envelopes: ReadonlyMap<string, string>;
  readonly statement: string | null;
  /** Of form 1. */
  readonly roster: string | null;
}

/** What became of a point that was sent; null: it is stored. */
export interface Verdict {
  readonly id: string;
  readonly code: string | null;
}

export class Api {
  private readonly transport: Transport;

  constructor(url: string, token: string | null = null) {
    this.transport = new Transport(url);
    this.transport.token = token;
  }

  private call(method: string, path: string, request?: Request): Promise<JsonObject> {
    return this.transport.call(method, path, request);
  }

  // Coming and going

  /** Spend a code; the same key again is answered again, without the package. */
  async join(body: unknown, idempotencyKey: string): Promise<Joined> {
    const headers = { "Idempotency-Key": idempotencyKey };
    const answer = await this.call("POST", "/auth/join", { body, headers });
    const user = at(answer, "user", r.object);
    const group = at(answer, "group", r.object);
    return {
      token: at(answer, "token", r.token),
      userId: at(user, "id", r.id),
      name: at(user, "name", r.name),
      deviceId: at(at(answer, "device", r.object), "id", r.id),
      groupId: at(group, "id", r.id),
      groupName: at(group, "name", r.name),
      keyPackage: at(answer, "keyPackage", r.optional(sealed(PACKAGE_BYTES))),
      keyVersion: at(answer, "keyVersion", r.optional(r.version)),
    };
  }

  /** Whether a code founds a group; it is not spent. */
  async foundsGroup(code: string): Promise<boolean> {
    const answer = await this.call("POST", "/invites/validate", { body: { code } });
    return at(answer, "foundsGroup", r.or(false, r.bool));
  }

  async logout(): Promise<void> {
    await this.call("POST", "/auth/logout");
  }

  async rename(name: string): Promise<void> {
    await this.call("PATCH", "/users/me", { body: { name } });
  }

  async deleteAccount(): Promise<void> {
    await this.call("DELETE", "/users/me");
  }

  // Groups

  async groups(): Promise<ListedGroup[]> {
    const answer = await this.call("GET", "/groups", { query: FORM_2 });
    return at(answer, "groups", r.list(group));
  }

  async joinGroup(body: unknown): Promise<ListedGroup> {
    return group(await this.call("POST", "/groups/join", { body, query: FORM_2 }));
  }

  async foundGroup(name: string): Promise<ListedGroup> {
    const body = { name, encryption: "required" };
    const request = { body, query: FORM_2, isRepeatable: false };
    return group(await this.call("POST", "/groups", request));
  }

  async changeGroup(
    groupId: string,
    body: { readonly name?: string; readonly browsers?: Browsers },
  ): Promise<ListedGroup> {
    return group(await this.call("PATCH", `/groups/${groupId}`, { body, query: FORM_2 }));
  }

  async leave(groupId: string): Promise<void> {
    await this.call("POST", `/groups/${groupId}/leave`);
  }

  async remove(groupId: string, userId: string): Promise<void> {
    await this.call("DELETE", `/groups/${groupId}/members/${userId}`);
  }

  async setSharing(groupId: string, paused: boolean, until: number | null): Promise<void> {
    const body = { paused, until: until === null ? null : new Date(until).toISOString() };
    await this.call("PUT", `/groups/${groupId}/sharing`, { body });
  }

  // Invites

  /** Make an invite; its id, code and end. */
  async invite(
    body: Readonly<Record<string, unknown>>,
  ): Promise<{ id: string; code: string; expiresAt: number | null }> {
    // Only with a code of the client's own is a repeat the same invite.
    const isRepeatable = "code" in body;
    const answer = await this.call("POST", "/invites", { body, isRepeatable });
    return {
      id: at(answer, "id", r.id),
      code: at(answer, "code", r.text),
      expiresAt: at(answer, "expiresAt", r.optional(r.moment)),
    };
  }

  async invites(): Promise<OpenInvite[]> {
    const answer = await this.call("GET", "/invites");
    return at(answer, "invites", r.list(invite));
  }

  async revokeInvite(inviteId: string): Promise<void> {
    await this.call("DELETE", `/invites/${inviteId}`);
  }

  // Keys

  /** Show a group's versions and this device's envelopes, of all pages that there are. */
  async keys(groupId: string): Promise<Keys> {
    let [keys, below] = await this.pageOfKeys(groupId, null);
    for (let page = 1; page < KEY_PAGES && below !== null; page++) {
      const [older, next] = await this.pageOfKeys(groupId, below);
      keys = {
        ...keys,
        versions: [...older.versions, ...keys.versions],
        envelopes: [...older.envelopes, ...keys.envelopes],
        unsignedEntries: [...older.unsignedEntries, ...keys.unsignedEntries],
      };
      below = next;
    }
    return keys;
  }

  private async pageOfKeys(
    groupId: string,
    before: number | null,
  ): Promise<[Keys, number | null]> {
    const query = before === null ? FORM_2 : { ...FORM_2, before: `${before}` };
    const answer = await this.call("GET", `/groups/${groupId}/keys`, { query });
    const [page, next] = keysOf(answer);
    const numbers = [
      ...page.versions.map((one) => one.version),
      ...page.envelopes.map((one) => one.version),
      ...page.unsignedEntries.map((one) => one.version),
      next ?? 0,
    ];
    if (before !== null && Math.max(0, ...numbers) >= before) throw answerNotUnderstood();
    return [page, next];
  }

  /** Give a group its next key; the version that it has then. */
  async rotate(groupId: string, key: NewKey): Promise<number> {
    const body = {
      expectedVersion: key.expectedVersion,
      commitment: key.commitment,
      ...present({ statement: key.statement, roster: key.roster }),
      envelopes: [...key.envelopes].map(([deviceId, wrappedKey]) => ({ deviceId, wrappedKey })),
    };
    const answer = await this.call("POST", `/groups/${groupId}/keys`, { body });
    return at(answer, "keyVersion", r.version);
  }

  /** Give a device a version of the key. `rosterEntry` is of form 1. */
  async putEnvelope(
    groupId: string,
    version: number,
    deviceId: string,
    parts: { wrappedKey: string; former?: string | null; rosterEntry?: string | null },
  ): Promise<void> {
    const path = `/groups/${groupId}/keys/${version}/envelopes/${deviceId}`;
    await this.call("PUT", path, { body: present(parts), query: FORM_2 });
  }

  async deleteEnvelope(groupId: string, version: number, deviceId: string): Promise<void> {
    await this.call("DELETE", `/groups/${groupId}/keys/${version}/envelopes/${deviceId}`);
  }

  /** Vouch for a device, under the present version; this replaces an earlier vouch. */
  async putVouch(groupId: string, version: number, deviceId: string, entry: string): Promise<void> {
    const path = `/groups/${groupId}/keys/${version}/vouches/${deviceId}`;
    await this.call("PUT", path, { body: { entry } });
  }

  /** Put this device's card, sealed under the present version; it replaces an earlier one. */
  async putCard(groupId: string, keyVersion: number, card: string): Promise<void> {
    await this.call("PUT", `/groups/${groupId}/card`, { body: { keyVersion, sealed: card } });
  }

  // People and devices

  async people(groupId: string): Promise<ListedPerson[]> {
    const answer = await this.call("GET", "/users", { query: { ...FORM_2, groupId } });
    const people = at(answer, "users", r.list(person(groupId))).filter((one) => one !== null);
    const ids = people.flatMap((one) => [
      ...one.devices.map(({ device }) => device.deviceId),
      ...one.phones.map((phone) => phone.id),
    ]);
    const users = people.map((one) => one.userId);
    // Whose device it is would be a guess.
    if (new Set(ids).size < ids.length || new Set(users).size < users.length) {
      throw answerNotUnderstood();
    }
    return people;
  }

  async devices(): Promise<OwnDevice[]> {
    const answer = await this.call("GET", "/devices", { query: FORM_2 });
    return at(answer, "devices", r.list(ownDevice));
  }

  async revokeDevice(deviceId: string): Promise<void> {
    await this.call("DELETE", `/devices/${deviceId}`);
  }

  // Points

  /** Store points that carry their ids; in the order in which they were sent. */
  async store(points: readonly { readonly id: string }[]): Promise<Verdict[]> {
    const answer = await this.call("POST", "/locations", { body: { locations: points } });
    const verdicts = at(answer, "results", r.list(verdict));
    if (verdicts.map(({ id }) => id).join() !== points.map(({ id }) => id).join()) {
      throw answerNotUnderstood();
    }
    return verdicts;
  }

  /** Show the newest point of each member of a group, of all pages that there are. */
  async latest(groupId: string): Promise<StoredPoint[]> {
    const found: StoredPoint[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < LATEST_PAGES; page++) {
      const query: Record<string, string> = cursor === null ? { groupId } : { groupId, cursor };
      const answer = await this.call("GET", "/locations/latest", { query });
      found.push(...at(answer, "locations", r.list(point)));
      cursor = at(answer, "nextCursor", r.optional(r.text));
      if (cursor === null) return found;
    }
    throw answerNotUnderstood(); // pages that do not end
  }

  /** Whether `latest` would show something else than it did. */
  hasNews(groupId: string): Promise<boolean> {
    return this.transport.isChanged("/locations/latest", { groupId });
  }

  /** Show a page of points, newest first, and the cursor of the next. */
  async history(
    query: Readonly<Record<string, string>>,
  ): Promise<{ points: StoredPoint[]; cursor: string | null }> {
    const answer = await this.call("GET", "/locations", { query: { limit: `${PAGE}`, ...query } });
    return {
      points: at(answer, "locations", r.list(point)),
      cursor: at(answer, "nextCursor", r.optional(r.text)),
    };
  }

  /** Delete one's own points; how many there were. */
  async deletePoints(query: Readonly<Record<string, string>>): Promise<number> {
    const answer = await this.call("DELETE", "/locations", { query });
    return at(answer, "deleted", r.whole(0, Number.MAX_SAFE_INTEGER));
  }

  /** Show a page of all that is stored about the caller, its points also as values. */
  async export(cursor: string | null): Promise<{
    page: Record<string, unknown>;
    points: StoredPoint[];
    cursor: string | null;
  }> {
    const answer = await this.call("GET", "/export", { query: cursor === null ? {} : { cursor } });
    return {
      page: plain(answer) as Record<string, unknown>,
      points: at(answer, "locations", r.list(point)),
      cursor: at(answer, "nextCursor", r.optional(r.text)),
    };
  }
}

/** Return members of a body; what is null is left out. */
function present(members: Readonly<Record<string, string | null | undefined>>) {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value != null));
}

const browsers = r.oneOf<Browsers>("accepted", "refused");
const role = r.oneOf("admin", "member");

function group(value: Parameters<typeof r.object>[0]): ListedGroup {
  const found = r.object(value);
  const sharing = at(found, "sharing", r.object);
  return {
    id: at(found, "id", r.id),
    name: at(found, "name", r.name),
    role: at(found, "role", role),
    encryption: at(found, "encryption", r.oneOf("required", "optional")),
    keyVersion: at(found, "keyVersion", r.whole(0, LAST_VERSION)),
    rotationRequired: at(found, "rotationRequired", r.bool),
    retentionDays: at(found, "retentionDays", r.whole(1, LAST_VERSION)),
    joinedAt: at(found, "joinedAt", r.moment),
    isPaused: at(sharing, "paused", r.bool),
    resumesAt: at(sharing, "resumesAt", r.optional(r.moment)),
    browsers: at(found, "browsers", r.or<Browsers>("accepted", browsers)),
    keyPackage: at(found, "keyPackage", r.optional(sealed(PACKAGE_BYTES))),
  };
}

const invite: r.Reader<OpenInvite> = (value) => {
  const found = r.object(value);
  return {
    id: at(found, "id", r.id),
    groupId: at(found, "groupId", r.id),
    createdBy: at(found, "createdBy", r.id),
    createdAt: at(found, "createdAt", r.moment),
    expiresAt: at(found, "expiresAt", r.optional(r.moment)),
    usedAt: at(found, "usedAt", r.optional(r.moment)),
    revokedAt: at(found, "revokedAt", r.optional(r.moment)),
    forMe: at(found, "forMe", r.or(false, r.bool)),
  };
};

function keysOf(answer: JsonObject): [Keys, number | null] {
  const stated = at(answer, "browsers", r.optional(browsers));
  const versions = at(
    answer,
    "versions",
    r.list((value) => {
      const one = r.object(value);
      return {
        version: at(one, "keyVersion", r.version),
        commitment: at(one, "commitment", KEY),
        statement: at(one, "statement", r.optional(sealed(MOST_BYTES.roster))),
        roster: at(one, "roster", r.optional(sealed(ROSTER_BYTES))),
      };
    }),
  );
  const envelopes = at(
    answer,
    "envelopes",
    r.list((value) => {
      const one = r.object(value);
      return {
        version: at(one, "keyVersion", r.version),
        wrapped: at(one, "wrappedKey", r.opaque(ENVELOPE_BYTES, ENVELOPE_BYTES)),
        wrapperKey: at(one, "wrapperPublicKey", KEY),
        wrapperId: at(one, "wrapperDeviceId", r.optional(r.id)),
        former: at(one, "former", r.optional(sealed(MOST_BYTES.former))),
      };
    }),
  );
  const unsignedEntries = at(
    answer,
    "rosterEntries",
    r.list((value) => {
      const one = r.object(value);
      return {
        version: at(one, "keyVersion", r.version),
        sealed: at(one, "rosterEntry", sealed(ENTRY_BYTES)),
        authorId: at(one, "wrapperDeviceId", r.optional(r.id)),
      };
    }),
  );
  const vouch = (value: Parameters<typeof r.object>[0]) => {
    const one = r.object(value);
    return {
      about: at(one, "deviceId", r.id),
      sealed: at(one, "entry", sealed(MOST_BYTES.entry)),
      voucherId: at(one, "voucherDeviceId", r.optional(r.id)),
    };
  };
  const numbers = versions.map((one) => one.version);
  const next = at(answer, "nextBefore", r.optional(r.whole(2, LAST_VERSION)));
  // Which commitment holds would be a guess; or the next page would show one again.
  if (new Set(numbers).size < numbers.length || (next ?? 0) > Math.min(LAST_VERSION, ...numbers)) {
    throw answerNotUnderstood();
  }
  const keys: Keys = {
    form: stated === null ? 1 : 2,
    version: at(answer, "keyVersion", r.whole(0, LAST_VERSION - 1)), // so that there is a next
    rotationRequired: at(answer, "rotationRequired", r.bool),
    browsers: stated ?? "accepted",
    versions,
    envelopes: envelopes.sort((one, other) => one.version - other.version),
    vouches: at(answer, "vouches", r.or([], r.list(vouch, MOST_VOUCHES))),
    unsignedEntries,
  };
  return [keys, next];
}

/** Read a person, as they are in one group; null: they are not in it. */
function person(groupId: string): r.Reader<ListedPerson | null> {
  return (value) => {
    const found = r.object(value);
    const userId = at(found, "id", r.id);
    const name = at(found, "name", r.name);
    const memberships = at(found, "groups", r.list(r.object));
    const here = memberships.find((one) => at(one, "groupId", r.id) === groupId);
    if (here === undefined) return null;
    const device = (one: JsonObject) => {
      const card = at(one, "card", r.optional(r.object));
      return {
        device: {
          userId,
          deviceId: at(one, "id", r.id),
          publicKey: at(one, "publicKey", KEY),
          // Form 1 lists every device as an app.
          kind: at(one, "kind", r.or<"app" | "web">("app", r.oneOf("app", "web"))),
        },
        canAct: at(one, "confirmed", r.bool),
        joinProof: at(one, "joinProof", r.optional(KEY)),
        card:
          card === null
            ? null
            : {
                sealed: at(card, "sealed", sealed(MOST_BYTES.card)),
                version: at(card, "keyVersion", r.version),
              },
      };
    };
    const phone = (one: JsonObject) => ({
      id: at(one, "id", r.id),
      tid: at(one, "tid", r.text),
      needsSetup: at(one, "needsSetup", r.bool),
    });
    return {
      userId,
      name,
      role: at(here, "role", role),
      joinedAt: at(here, "joinedAt", r.moment),
      devices: at(here, "devices", r.list(r.object)).map(device),
      phones: at(here, "phones", r.or([], r.list(r.object))).map(phone),
    };
  };
}

const ownDevice: r.Reader<OwnDevice> = (value) => {
  const found = r.object(value);
  return {
    id: at(found, "id", r.id),
    name: at(found, "name", r.name),
    kind: at(found, "kind", r.text),
    createdAt: at(found, "createdAt", r.moment),
    lastUsedOn: at(found, "lastUsedOn", r.day),
    isThisOne: at(found, "isThisOne", r.bool),
    groupId: at(found, "groupId", r.optional(r.id)),
    tid: at(found, "tid", r.optional(r.text)),
    needsSetup: at(found, "needsSetup", r.or(false, r.bool)),
  };
};

const point: r.Reader<StoredPoint> = (value) => {
  const found = r.object(value);
  const sealedPoint = at(found, "encryptedData", r.optional(sealed(LARGEST_MESSAGE)));
  const keyVersion = at(found, "keyVersion", r.or(0, r.whole(0, LAST_VERSION)));
  const latitude = at(found, "latitude", r.optional(r.number(-90, 90)));
  const longitude = at(found, "longitude", r.optional(r.number(-180, 180)));
  const accuracy = at(found, "accuracy", r.optional(r.number(0, Number.MAX_VALUE)));
  const isPlaced = latitude !== null && longitude !== null && accuracy !== null;
  if ((sealedPoint === null) !== (keyVersion === 0) || (sealedPoint === null && !isPlaced)) {
    throw answerNotUnderstood();
  }
  return {
    id: at(found, "id", r.id),
    groupId: at(found, "groupId", r.id),
    userId: at(found, "userId", r.id),
    deviceId: at(found, "deviceId", r.id),
    recordedAt: at(found, "recordedAt", r.moment),
    receivedAt: at(found, "receivedAt", r.moment),
    sealed: sealedPoint,
    keyVersion,
    latitude,
    longitude,
    accuracy,
  };
};

const verdict: r.Reader<Verdict> = (value) => {
  const found = r.object(value);
  const status = at(found, "status", r.oneOf("stored", "rejected"));
  return {
    id: at(found, "id", r.id),
    code: status === "stored" ? null : at(found, "code", r.text),
  };
};

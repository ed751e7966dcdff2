/** Holds the browser client against docs/decisions.json: returns what is wrong, in words. */

import { toBase64url } from "../../../client/web/src/protocol/bytes.js";
import { judgePackage } from "../../../client/web/src/trust/joining.js";
import { halves } from "../../../client/web/src/trust/numbers.js";
import { reconcile } from "../../../client/web/src/trust/reconcile.js";
import { type State, newRecord, newState } from "../../../client/web/src/trust/values.js";
import { confirmed, removed } from "../../../client/web/src/trust/words.js";
import type { Outcome } from "./vectors.js";

// The file's own shape is what is checked here.
type Case = any;

/** Lists whose order means nothing: sets, and what is told at once. */
const SETS = new Set([
  "elsewhere",
  "gave",
  "vouched",
  "signers",
  "greeted",
  "told",
  "notices",
  "groups",
  "usedLinks",
  "mine",
  "theirs",
]);

export function checkDecisions({ cases }: { cases: readonly Case[] }): Outcome {
  const wrong: string[] = [];
  for (const one of cases) {
    const state = stateOf(one.state);
    const right = { ...one.decision };
    if (right.state !== undefined) right.state = { ...state, ...right.state };
    let found: unknown;
    try {
      found = decide(one.does, state, one.input);
    } catch (error) {
      found = String(error);
    }
    const differing = differences(plain(found), plain(right), "");
    if (differing.length > 0) wrong.push(`${one.name}: ${differing.slice(0, 3).join("; ")}`);
  }
  return { checked: cases.length, wrong };
}

function decide(does: string, state: State, input: Case): unknown {
  switch (does) {
    case "reconcile": {
      const seen = input.seen === undefined ? null : new Set<string>(input.seen);
      return reconcile(state, listingOf(input.listing), keysOf(input.keys), input.now, seen);
    }
    case "package": {
      const { joining, listing, keys, now } = input;
      const coming = { version: null, forMe: false, newHome: false, ...joining };
      const found = judgePackage(state, coming, listingOf(listing), keysOf(keys), now);
      return found.is === "state" ? found : { is: "notice", ...found.notice };
    }
    case "confirm":
      return { is: "state", state: confirmed(state, input.devices, input.name, input.covers) };
    case "remove":
      return { is: "state", state: removed(state, input.devices) };
    case "number": {
      const [mine, theirs] = halves(state, listingOf(input.listing), input.userId);
      return {
        is: "halves",
        mine: mine[1].map(toBase64url),
        theirs: theirs[1].map(toBase64url),
      };
    }
    default:
      throw new Error(`There is no decision of the kind ${does}.`);
  }
}

function stateOf(sparse: Case): State {
  const found = { ...newState(sparse.me, sparse.key, sparse.groupId), ...sparse };
  for (const [id, record] of Object.entries<Case>(found.records)) {
    found.records[id] = { ...newRecord(record.device, record.since, record.source), ...record };
  }
  for (const [version, held] of Object.entries<Case>(found.held)) {
    found.held[version] = { made: null, until: null, ...held };
  }
  found.links = found.links.map((link: Case) => ({ usedBy: null, closed: false, ...link }));
  for (const one of Object.values<Case>(found.own)) one.groups ??= [];
  found.told = found.told.map((one: Case) => ({ parameters: {}, ...one }));
  return found;
}

function listingOf(sparse: Case) {
  return {
    devices: (sparse.devices ?? []).map((one: Case) => ({
      confirmed: false,
      joinProof: null,
      card: null,
      ...one,
    })),
    usedLinks: sparse.usedLinks ?? [],
  };
}

function keysOf(sparse: Case) {
  const filled = (name: string, absent: object) =>
    (sparse[name] ?? []).map((one: Case) => ({ ...absent, ...one }));
  return {
    form: 2,
    rotationRequired: false,
    browsers: "accepted" as const,
    ...sparse,
    versions: filled("versions", { statement: null, roster: null }),
    envelopes: filled("envelopes", { wrapperId: null, former: null }),
    vouches: filled("vouches", { voucherId: null }),
    unsignedEntries: filled("unsignedEntries", { authorId: null }),
  };
}

/** Return a value without what is null or empty, with sets in one order. */
function plain(value: Case, name = ""): Case {
  if (Array.isArray(value)) {
    const all = value.map((one) => plain(one));
    return SETS.has(name) ? all.sort((a, b) => (text(a) < text(b) ? -1 : 1)) : all;
  }
  if (typeof value !== "object" || value === null) return value;
  const found: Record<string, Case> = {};
  for (const member of Object.keys(value).sort()) {
    const one = plain(value[member], name === "compared" ? "groups" : member);
    const isEmpty = one === null || (typeof one === "object" && Object.keys(one).length === 0);
    // A statement of a decision stands without its kind.
    if (!isEmpty && !(member === "is" && name === "card")) found[member] = one;
  }
  return found;
}

function text(value: Case): string {
  return JSON.stringify(value);
}

function differences(found: Case, right: Case, at: string): string[] {
  if (text(found) === text(right)) return [];
  const isObject = (value: Case) =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject(found) || !isObject(right)) {
    return [`${at} is ${text(found)?.slice(0, 300)} and not ${text(right)?.slice(0, 300)}`];
  }
  return [...new Set([...Object.keys(found), ...Object.keys(right)])].flatMap((name) =>
    differences(found[name], right[name], `${at}.${name}`),
  );
}

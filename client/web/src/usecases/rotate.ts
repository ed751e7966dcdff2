/** Making the next key of a group: for the devices that this one trusts, and no other. */

import { Failure, Refused, answerNotUnderstood } from "../errors.js";
import type { Rotation } from "../models.js";
import { fromBase64url, toBase64url } from "../protocol/bytes.js";
import { orNull } from "../protocol/errors.js";
import { cut, sealRoster } from "../protocol/rosters.js";
import { commitmentOf, makeGroupKey } from "../protocol/secrets.js";
import { type Roster, fitted } from "../protocol/statements.js";
import { notice } from "../trust/values.js";
import * as words from "../trust/words.js";
import type { Context } from "./context.js";
import {
  type Snapshot,
  entries,
  holdsKey,
  requireKey,
  sealed,
  update,
  wrapped,
} from "./sync.js";

const ATTEMPTS = 5;

/** A next key, before it is known whether the group has it; bytes as base64url. */
interface Proposal {
  readonly version: number;
  readonly key: string;
  readonly envelopes: ReadonlyMap<string, string>;
  /** What is stated, where that is within its bounds: a key change never fails. */
  readonly roster: Roster | null;
  readonly statement: string | null;
  /** A roster of form 1. */
  readonly unsigned: string | null;
}

/**
 * Make the next key for all who are trusted and, says the service, members still.
 *
 * Of several who do so at once one wins; the others take that key.
 */
export async function rotate(context: Context, groupId: string): Promise<Rotation> {
  const surplus = new Set<string>();
  const { home } = context;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const view = await update(context, groupId);
    const proposal = await propose(context, view, surplus);
    const { version, key, roster } = proposal;
    try {
      await send(context, groupId, proposal);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.code === "surplus_devices") {
        const ids = String(error.parameters["devices"] ?? "").split(" ").filter(Boolean);
        if (ids.length === 0 || ids.includes(home.me.deviceId)) throw error;
        for (const id of ids) surplus.add(id);
        continue;
      }
      if (error.code !== "key_version_conflict") throw error;
      const now = await update(context, groupId);
      // It may be this very key, whose answer was lost.
      if (home.group(groupId).trust.held[version]?.key === key) {
        return tell(context, now, proposal);
      }
      if (now.keyVersion >= version && holdsKey(now) && !now.decision.rotate) {
        return { groupId, keyVersion: now.keyVersion, isMine: false };
      }
      continue;
    }
    const at = context.now() / 1000;
    await home.changeTrust(groupId, (trust) => words.rotated(trust, version, key, roster, at));
    return tell(context, view, proposal);
  }
  throw new Failure("key_version_conflict");
}

/** Return a group with a key that no device knows that has gone, making one if that is due. */
export async function current(context: Context, groupId: string): Promise<Snapshot> {
  const view = await update(context, groupId);
  requireKey(view);
  if (!view.decision.rotate) return view;
  await rotate(context, groupId);
  const after = await update(context, groupId);
  requireKey(after);
  return after;
}

/** Make a next key, and note that before it is sent. */
async function propose(
  context: Context,
  view: Snapshot,
  surplus: ReadonlySet<string>,
): Promise<Proposal> {
  const { decision, groupId } = view;
  const version = view.keyVersion + 1;
  const { trust } = await context.home.changeTrust(groupId, (before) =>
    words.attempted(before, version),
  );
  const { state } = decision;
  const bytes = makeGroupKey();
  const key = toBase64url(bytes);
  const envelopes = new Map([
    [trust.me.deviceId, wrapped(trust, bytes, trust.me.publicKey)],
  ]);
  for (const id of decision.recipients) {
    const { publicKey } = state.records[id]!.device;
    // None can be made for a public key that agrees on the same secret with all devices.
    const envelope = surplus.has(id) ? null : orNull(() => wrapped(trust, bytes, publicKey));
    if (envelope !== null) envelopes.set(id, envelope);
  }
  const leftOut = decision.recipients.filter((id) => !envelopes.has(id));
  const now = context.now() / 1000;
  const roster = fitted(words.nextRoster(decision, key, version, now, leftOut));
  const records = decision.recipients.filter((id) => envelopes.has(id)).map((id) => state.records[id]!);
  return {
    version,
    key,
    envelopes,
    roster,
    statement: roster === null || view.form === 1 ? null : sealed(trust, roster, version, bytes),
    unsigned:
      view.form === 1 || decision.needsForm1
        ? toBase64url(sealRoster(cut(entries(view, records)), bytes))
        : null,
  };
}

async function send(context: Context, groupId: string, proposal: Proposal): Promise<void> {
  const { version, key, envelopes, statement, unsigned: roster } = proposal;
  const made = await context.api.rotate(groupId, {
    expectedVersion: version - 1,
    commitment: toBase64url(commitmentOf(fromBase64url(key), groupId, version)),
    envelopes,
    statement,
    roster,
  });
  if (made !== version) throw answerNotUnderstood();
}

async function tell(context: Context, view: Snapshot, proposal: Proposal): Promise<Rotation> {
  const { groupId } = view;
  const devices = view.directory.people.flatMap((person) => person.devices);
  const given = devices.filter(({ device }) => proposal.envelopes.has(device.deviceId));
  const parameters = {
    version: proposal.version,
    given: given.length,
    left_out: devices.length - given.length,
    phones: view.keyVersion > 0 ? view.directory.phones.size : 0,
  };
  await context.tell(groupId, [notice("rotated", parameters)], view.directory);
  return { groupId, keyVersion: proposal.version, isMine: true };
}

/**
 * Coming in: so that neither a crash nor a lost answer costs the invite.
 *
 *     plan      what is to be sent, written before it is sent: the same again is the same join
 *     answer    kept as it is, the key package included, which comes once only
 *     settling  the package is opened, or the first key made: at the next use if not at once
 */

import { Failure, Refused, ServiceAway } from "../errors.js";
import { fromBase64url, randomBytes, toBase64url } from "../protocol/bytes.js";
import { wrap } from "../protocol/envelopes.js";
import { inviteKeys, joinProof } from "../protocol/invites.js";
import { canonicalCode } from "../protocol/codes.js";
import { makeDeviceKey, publicKeyOf } from "../protocol/secrets.js";
import { Api, type Joined } from "../service/api.js";
import {
  type KeptPackage,
  type Kept,
  type Me,
  type Plan,
  entered,
  withGroup,
} from "../storage/home.js";
import { checkedName } from "../text/naming.js";
import { DeviceDirectory } from "../trust/directory.js";
import { OWN_NAME } from "../trust/growth.js";
import { founded, judgePackage } from "../trust/joining.js";
import { nameOf } from "../trust/values.js";
import type { Context } from "./context.js";
import { readInvite } from "./reading.js";
import { rotate } from "./rotate.js";
import { update } from "./sync.js";

/** What to come in by. */
export interface Invite {
  readonly code: string;
  readonly secret: Uint8Array | null;
  readonly forMe: boolean;
}

/** Read an invite to the service at `url`. Throws a Failure: `link_to_another_service`, ... */
export function inviteOf(text: string, url: string): Invite {
  const found = readInvite(text, url);
  if (found.is === "code") return { code: found.code, secret: null, forMe: false };
  if (found.url !== url) throw new Failure("link_to_another_service", { url: found.url });
  return found.link;
}

/** Make this browser a device of a person, who founds a group. Returns the group's id. */
export function found(
  context: Context,
  url: string,
  newcomer: { code: string; name: string; group: string; device: string },
): Promise<string> {
  const invite = { code: canonicalCode(newcomer.code), secret: null, forMe: false };
  return comeIn(context, url, invite, newcomer);
}

/** Make this browser a device of a person, who joins a group. Returns the group's id. */
export async function comeIn(
  context: Context,
  url: string,
  invite: Invite,
  newcomer: { name: string; group?: string; device: string },
): Promise<string> {
  const group = newcomer.group === undefined ? null : checkedName(newcomer.group);
  const name = invite.forMe ? OWN_NAME : checkedName(newcomer.name);
  const device = checkedName(newcomer.device);
  const [plan, isNew] = await context.home.change<readonly [Plan, boolean]>((kept) => {
    if (kept.me !== null) throw new Failure("already_joined");
    const before = kept.plan;
    if (before !== null && before.code !== invite.code) throw new Failure("join_unfinished");
    const made: Plan = {
      url,
      code: invite.code,
      secret: invite.secret === null ? null : toBase64url(invite.secret),
      forMe: invite.forMe,
      name,
      device,
      group,
      deviceKey: before?.deviceKey ?? toBase64url(makeDeviceKey()),
      idempotencyKey: before?.idempotencyKey ?? toBase64url(randomBytes(32)),
    };
    return [{ ...kept, plan: made }, [made, before === null]];
  });
  return carryOut(context, plan, isNew);
}

/** Finish a join that was begun, with the same keys. Returns the group's id. */
export function resume(context: Context): Promise<string> {
  const { plan } = context.home.kept;
  if (plan === null) throw new Failure("not_joined");
  return carryOut(context, plan, false);
}

/** Forget a join that was begun. */
export async function abandon(context: Context): Promise<void> {
  await context.home.change((kept) => [{ ...kept, plan: null }, null]);
}

async function carryOut(context: Context, plan: Plan, isNew: boolean): Promise<string> {
  const api = new Api(plan.url);
  let joined: Joined;
  try {
    if (isNew && plan.group === null && plan.secret === null) {
      await requireInvitation(api, plan.code);
    }
    joined = await api.join(bodyOf(plan), plan.idempotencyKey);
  } catch (error) {
    const isRefused = error instanceof Refused || isFounding(error);
    // Nothing of it has arrived, so that all of it may change.
    const isUnsent = isNew && error instanceof ServiceAway && !error.mayBeDone;
    if (isRefused || isUnsent) await abandon(context);
    throw error;
  }
  await context.home.change((kept) => [withJoined(kept, plan, joined), null]);
  return joined.groupId;
}

function isFounding(error: unknown): boolean {
  return error instanceof Failure && error.code === "founding_code";
}

/** See that a typed code leads to a group: else it would found one unasked. */
async function requireInvitation(api: Api, code: string): Promise<void> {
  if (await api.foundsGroup(code)) throw new Failure("founding_code");
}

function bodyOf(plan: Plan): Record<string, unknown> {
  const publicKey = publicKeyOf(fromBase64url(plan.deviceKey));
  const { code, name, device, group, secret } = plan;
  const body: Record<string, unknown> = {
    code,
    name,
    device: { name: device, publicKey: toBase64url(publicKey), kind: "web" },
  };
  if (group !== null) body["group"] = { name: group, encryption: "required" };
  if (secret !== null) {
    const { proof } = inviteKeys(fromBase64url(secret), code);
    body["proof"] = toBase64url(joinProof(proof, publicKey, name, code, "web"));
  }
  return body;
}

function withJoined(kept: Kept, plan: Plan, joined: Joined): Kept {
  const me: Me = {
    url: plan.url,
    userId: joined.userId,
    deviceId: joined.deviceId,
    // Of a further device it is the answered one, until the package says which.
    name: plan.forMe ? joined.name : plan.name,
    token: joined.token,
    deviceKey: plan.deviceKey,
    publicKey: toBase64url(publicKeyOf(fromBase64url(plan.deviceKey))),
    isFurther: plan.forMe,
  };
  const { groupId, groupName, keyPackage, keyVersion } = joined;
  const secret = plan.secret === null ? null : fromBase64url(plan.secret);
  const invite = { code: plan.code, secret, forMe: plan.forMe };
  const found = withEntered({ ...kept, me, plan: null }, me, invite, groupId, groupName);
  return withPackage(found, groupId, invite, keyPackage, keyVersion, true);
}

/** Join a further group. Returns its id. */
export async function joinGroup(context: Context, invite: Invite): Promise<string> {
  const { api, home } = context;
  const { me } = home;
  if (invite.secret === null) await requireInvitation(api, invite.code);
  const body: Record<string, unknown> = { code: invite.code };
  if (invite.secret !== null) {
    const { proof } = inviteKeys(invite.secret, invite.code);
    const publicKey = fromBase64url(me.publicKey);
    body["proof"] = toBase64url(joinProof(proof, publicKey, me.name, invite.code, "web"));
  }
  const group = await api.joinGroup(body);
  await home.change((kept) => {
    const found = withEntered(kept, me, invite, group.id, group.name);
    // The answer's version is that of the group, which may be newer than the package's.
    return [withPackage(found, group.id, invite, group.keyPackage, null, false), null];
  });
  return group.id;
}

/** Found a further group. Returns its id. */
export async function foundGroup(context: Context, name: string): Promise<string> {
  const group = await context.api.foundGroup(checkedName(name));
  const invite = { code: "", secret: null, forMe: false };
  const { me } = context.home;
  await context.home.change((kept) => [withEntered(kept, me, invite, group.id, group.name), null]);
  return group.id;
}

function withEntered(
  kept: Kept,
  me: Me,
  invite: Invite,
  groupId: string,
  title: string,
): Kept {
  const found = entered(kept, me, groupId, title);
  const group = found.groups[groupId]!;
  const isNamed = group.trust.card !== null || me.isFurther;
  return withGroup(found, {
    ...group,
    trust: { ...(isNamed ? group.trust : founded(group.trust, me.name)), own: found.own },
    // A link leads to a group that has a key; a code may be a founding one.
    isFounding: invite.secret === null,
    hasKey: group.hasKey || invite.secret !== null,
  });
}

function withPackage(
  kept: Kept,
  groupId: string,
  invite: Invite,
  sealed: string | null,
  version: number | null,
  newHome: boolean,
): Kept {
  if (invite.secret === null || sealed === null) return kept;
  const keys = inviteKeys(invite.secret, invite.code);
  const kept_: KeptPackage = {
    sealed,
    wrap: toBase64url(keys.wrap),
    proof: toBase64url(keys.proof),
    version,
    forMe: invite.forMe,
    newHome,
  };
  return { ...kept, packages: { ...kept.packages, [groupId]: kept_ } };
}

/** Finish what a join has begun: open a package, or make a group's first key. */
export async function settle(context: Context): Promise<void> {
  const { packages, groups } = context.home.kept;
  for (const [groupId, coming] of Object.entries(packages)) {
    await openPackage(context, groupId, coming);
  }
  for (const [groupId, group] of Object.entries(groups)) {
    if (!group.isFounding || !group.isMember) continue;
    const view = await update(context, groupId);
    const { userId } = context.home.me;
    const isAlone = view.directory.people.every((person) => person.userId === userId);
    if (view.keyVersion === 0 && isAlone) await rotate(context, groupId);
    await context.home.changeGroup(groupId, (known) => ({ ...known, isFounding: false }));
  }
}

async function openPackage(
  context: Context,
  groupId: string,
  coming: KeptPackage,
): Promise<void> {
  const { home, api } = context;
  const joining = { ...coming, keys: { wrap: coming.wrap, proof: coming.proof } };
  const keys = await api.keys(groupId);
  const people = await api.people(groupId);
  const listing = new DeviceDirectory(home.group(groupId).trust, people).listing();
  const now = context.now() / 1000;
  const first = judgePackage(home.group(groupId).trust, joining, listing, keys, now);
  if (first.is === "state") {
    const { state } = first;
    const version = state.highest;
    const key = fromBase64url(state.held[version]!.key);
    const own = fromBase64url(state.key);
    const wrappedKey = toBase64url(wrap(key, fromBase64url(state.me.publicKey), own));
    try {
      // Where the key was changed meanwhile, or this was done before a crash, it is as well.
      await api.putEnvelope(groupId, version, state.me.deviceId, { wrappedKey });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
  const refused = await home.change((kept) => {
    if (kept.packages[groupId]?.sealed !== coming.sealed) return [null, null] as const;
    const { [groupId]: _, ...packages } = kept.packages;
    const group = home.group(groupId, kept);
    const found = judgePackage(group.trust, joining, listing, keys, now);
    if (found.is === "notice") return [{ ...kept, packages }, found.notice] as const;
    const after = withGroup({ ...kept, packages }, { ...group, trust: found.state });
    const name = coming.forMe ? nameOf(found.state, after.me!.userId) : null;
    const me = { ...after.me!, name: name ?? after.me!.name };
    return [{ ...after, me }, null] as const;
  });
  if (refused !== null) await context.tell(groupId, [refused], null);
}

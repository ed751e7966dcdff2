/** Invites: a link that carries the key, or a code that carries nothing. */

import { Failure, answerNotUnderstood } from "../errors.js";
import type { Invitation } from "../models.js";
import { fromBase64url, randomBytes, toBase64url } from "../protocol/bytes.js";
import { canonicalCode, makeCode } from "../protocol/codes.js";
import { fittedPackage, inviteKeys, sealPackage } from "../protocol/invites.js";
import { webLinkText } from "../protocol/links.js";
import { INVITE_SECRET_BYTES, commitmentOf } from "../protocol/secrets.js";
import { type Link, isOwn, trustedIn } from "../trust/values.js";
import * as words from "../trust/words.js";
import type { Context } from "./context.js";
import { type Snapshot, entries } from "./sync.js";

const HOUR = 3_600_000;
/** Of a link, which opens the key to the first who has it: seven days. */
const MOST_HOURS = 168;

/** Make a link, and keep what proves who came in by it. */
export async function byLink(
  context: Context,
  view: Snapshot,
  hours: number,
  forMe: boolean,
): Promise<Invitation> {
  if (!(hours > 0 && hours <= MOST_HOURS)) throw new Failure("link_lives_too_long");
  const { home, api } = context;
  const { me } = home;
  const { groupId, keyVersion } = view;
  const { trust } = home.group(groupId);
  const held = trust.held[keyVersion];
  if (held === undefined) throw new Failure("key_pending");
  const key = fromBase64url(held.key);
  const secret = randomBytes(INVITE_SECRET_BYTES);
  const code = makeCode();
  const keys = inviteKeys(secret, code);
  // First those without whom the joiner could not go on.
  const known = [...trustedIn(trust)]
    .filter(([id]) => view.directory.owners.has(id))
    .map(([, record]) => record)
    .sort((one, other) => Number(isOwn(trust, other.device)) - Number(isOwn(trust, one.device)));
  const sealed = sealPackage(
    fittedPackage({
      groupKey: key,
      keyVersion,
      groupId,
      inviterUserId: me.userId,
      inviterPublicKey: me.publicKey,
      commitment: toBase64url(commitmentOf(key, groupId, keyVersion)),
      roster: entries(view, known),
    }),
    keys,
  );
  const made = await api.invite({
    groupId,
    expiresInHours: hours,
    code,
    keyPackage: toBase64url(sealed),
    keyVersion,
    forMe,
  });
  const link: Link = {
    id: made.id,
    forMe,
    proofKey: toBase64url(keys.proof),
    code,
    version: keyVersion,
    // By this device's own clock: the service has no say in how long a link is good.
    expiresAt: (context.now() + hours * HOUR) / 1000,
    usedBy: null,
    closed: false,
  };
  await home.changeTrust(groupId, (state) => words.linked(state, link));
  const text = webLinkText({ url: me.url, code, secret, forMe });
  return { id: made.id, groupId, link: text, code, expiresAt: made.expiresAt, forMe };
}

/** Make a code that is to be typed; it lives an hour. */
export async function byCode(context: Context, groupId: string): Promise<Invitation> {
  const made = await context.api.invite({ groupId, expiresInHours: 1 });
  try {
    const code = canonicalCode(made.code);
    return { id: made.id, groupId, link: null, code, expiresAt: made.expiresAt, forMe: false };
  } catch {
    throw answerNotUnderstood();
  }
}

/** Revoke an invite, and know no device by it any more. */
export async function revoke(context: Context, inviteId: string): Promise<void> {
  await context.api.revokeInvite(inviteId);
  for (const groupId of Object.keys(context.home.kept.groups)) {
    await context.home.changeTrust(groupId, (state) => words.unlinked(state, inviteId));
  }
}

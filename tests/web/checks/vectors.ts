/** Holds the browser client against docs/vectors.json: returns what is wrong, in words. */

import * as bytes from "../../../client/web/src/protocol/bytes.js";
import { canonicalCode } from "../../../client/web/src/protocol/codes.js";
import { unwrap, wrap } from "../../../client/web/src/protocol/envelopes.js";
import { NewerFormat, NotAuthentic } from "../../../client/web/src/protocol/errors.js";
import * as invites from "../../../client/web/src/protocol/invites.js";
import { read } from "../../../client/web/src/protocol/json.js";
import * as links from "../../../client/web/src/protocol/links.js";
import * as locations from "../../../client/web/src/protocol/locations.js";
import { openRoster, sealRoster } from "../../../client/web/src/protocol/rosters.js";
import { deviceToken, safetyNumber } from "../../../client/web/src/protocol/safety.js";
import { openSealed, seal } from "../../../client/web/src/protocol/sealing.js";
import * as secrets from "../../../client/web/src/protocol/secrets.js";
import * as signing from "../../../client/web/src/protocol/signing.js";
import * as statements from "../../../client/web/src/protocol/statements.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { Failure } from "../../../client/web/src/errors.js";

// biome-ignore lint: the file's own shape is what is checked here
type Vector = any;

const { fromHex: raw, toHex: hex, utf8 } = bytes;

export interface Outcome {
  readonly checked: number;
  readonly wrong: readonly string[];
}

export function checkVectors(vectors: Vector): Outcome {
  const wrong: string[] = [];
  let checked = 0;
  const is = (what: string, found: unknown, right: unknown): void => {
    checked += 1;
    if (JSON.stringify(found) !== JSON.stringify(right)) wrong.push(`${what}: ${JSON.stringify(found)?.slice(0, 200)}`);
  };
  const refuses = (what: string, act: () => unknown): void => {
    checked += 1;
    try {
      act();
    } catch (error) {
      if (error instanceof NotAuthentic || error instanceof Failure) return;
      wrong.push(`${what}: threw ${error}`);
      return;
    }
    wrong.push(`${what}: was not refused`);
  };
  const opens = (what: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      wrong.push(`${what}: ${error}`);
    }
  };
  const key = (vector: Vector) => secrets.groupKey(vector.groupKey);

  for (const one of vectors.deviceKeys) {
    is(`public key of ${one.of}`, hex(secrets.publicKeyOf(raw(one.secretKey))), one.publicKey);
  }
  is("group key", bytes.toBase64url(raw(vectors.groupKey.random)), vectors.groupKey.groupKey);
  for (const one of vectors.commitment.holds) {
    is("commitment", hex(secrets.commitmentOf(key(one), one.groupId, one.keyVersion)), one.commitment);
  }
  for (const one of vectors.commitment.differs) {
    is(
      `commitment differs: ${one.why}`,
      hex(secrets.commitmentOf(key(one), one.groupId, one.keyVersion)) === one.commitment,
      false,
    );
  }

  opens("envelope", () => {
    const one = vectors.envelope.opens;
    const made = wrap(key(one), raw(one.recipientPublicKey), raw(one.wrapperSecretKey), raw(one.nonce));
    is("envelope is made", hex(made), one.wrappedKey);
    const opened = unwrap(raw(one.wrappedKey), raw(one.wrapperPublicKey), raw(one.recipientSecretKey));
    is("envelope opens", bytes.fromUtf8(opened), one.groupKey);
    is("envelope on the wire", bytes.toBase64url(raw(one.wrappedKey)), one.wrappedKeyOnTheWire);
  });
  for (const one of vectors.envelope.refused) {
    refuses(`envelope: ${one.why}`, () =>
      unwrap(raw(one.wrappedKey), raw(one.wrapperPublicKey), raw(one.recipientSecretKey)),
    );
  }
  for (const one of vectors.envelope.notWrapped) {
    refuses(`wrap: ${one.why}`, () =>
      wrap(secrets.makeGroupKey(), raw(one.recipientPublicKey), raw(vectors.deviceKeys[0].secretKey)),
    );
  }

  for (const one of vectors.signing.signs) {
    const signature = signing.sign(raw(one.secretKey), raw(one.message), raw(one.random));
    is(`signature of ${one.what}`, hex(signature), one.signature);
    is(`verifies ${one.what}`, signing.verify(raw(one.publicKey), raw(one.message), raw(one.signature)), true);
    const another = signing.sign(raw(one.secretKey), raw(one.message));
    is(`another of ${one.what}`, signing.verify(raw(one.publicKey), raw(one.message), another), true);
    is(`each is another: ${one.what}`, hex(another) === one.signature, false);
    is(`device key of ${one.what}`, signing.isDeviceKey(raw(one.publicKey)), true);
  }
  for (const one of vectors.signing.refused) {
    is(`signature: ${one.why}`, signing.verify(raw(one.publicKey), raw(one.message), raw(one.signature)), false);
  }
  for (const one of vectors.signing.noDeviceKeys) {
    is(`no device key: ${one.why}`, signing.isDeviceKey(raw(one.publicKey)), false);
  }

  const { statement } = vectors;
  const opened = (one: Vector) => statements.openStatement(raw(one.sealed), key(one));
  const isSigned = (one: Vector) =>
    statements.isSignedBy(opened(one), raw(one.publicKey), one.groupId, one.keyVersion);
  for (const one of statement.opens) {
    const found = opened(one);
    is(`opens ${one.what}`, bytes.fromUtf8(found.signed), one.json);
    is(`is one: ${one.what}`, ["newer", "unreadable"].includes(found.statement.is), false);
    is(`signed: ${one.what}`, isSigned(one), true);
    const secret = vectors.deviceKeys.find((device: Vector) => device.publicKey === one.publicKey);
    if (secret !== undefined && found.statement.is !== "newer" && found.statement.is !== "unreadable") {
      const known = found.statement;
      opens(`sealed again: ${one.what}`, () => {
        const again = statements.sealStatement(known, {
          groupId: one.groupId,
          version: one.keyVersion,
          deviceKey: raw(secret.secretKey),
          key: key(one),
        });
        const once = statements.openStatement(again, key(one));
        is(`read again: ${one.what}`, once.statement, known);
      });
    }
  }
  for (const one of statement.unsigned) is(`unsigned: ${one.why}`, isSigned(one), false);
  for (const one of statement.newer) {
    is(`newer: ${one.what}`, opened(one).statement.is, "newer");
    is(`newer, signed: ${one.what}`, isSigned(one), true);
  }
  for (const one of statement.refused) is(`statement: ${one.why}`, opened(one).statement.is, "unreadable");
  for (const one of statement.sizes) {
    const text = utf8(one.json);
    const sealedOf = (size: number) =>
      seal(
        bytes.concat(text, new Uint8Array(size - 40 - 64 - text.length).fill(0x20), new Uint8Array(64)),
        key(one),
        1 << 20,
      );
    is(`size ${one.largest}`, opened1(sealedOf(one.largest), key(one)) === "unreadable", false);
    is(`size ${one.largest + 1}`, opened1(sealedOf(one.largest + 1), key(one)), "unreadable");
  }

  {
    const { secret, salt, info, first32Bytes } = vectors.hkdf;
    is("hkdf", hex(hkdf(sha256, raw(secret), raw(salt), raw(info), 32)), first32Bytes);
  }
  for (const one of vectors.codes.canonical) {
    opens(`code ${one.typed}`, () => is(`code ${one.typed}`, canonicalCode(one.typed), one.code));
  }
  for (const one of vectors.codes.refused) refuses(`code: ${one.why}`, () => canonicalCode(one.typed));
  {
    const one = vectors.inviteKeys;
    const keys = invites.inviteKeys(raw(one.secret), one.code);
    is("invite keys", [hex(keys.wrap), hex(keys.proof)], [one.wrap, one.proof]);
  }

  for (const one of vectors.links.reads) {
    opens(`link ${one.link}`, () => {
      for (const link of [links.parseLink(one.link), links.pasteLink(`(${one.link})`)]) {
        is(one.link, [link.url, link.code, hex(link.secret), link.forMe], [one.url, one.code, one.secret, one.forMe]);
        is(`written ${one.link}`, [links.linkText(link), links.webLinkText(link)], [one.written, one.web]);
      }
    });
  }
  for (const one of vectors.links.refused) refuses(`link: ${one.why}`, () => links.parseLink(one.link));

  for (const name of ["opens", "rosterEntryOpens"]) {
    const one = vectors.roster[name];
    opens(`roster ${name}`, () => {
      const entries = openRoster(raw(one.sealed), key(one));
      const again = openSealed(sealRoster(entries, key(one)), key(one), 1 << 20);
      is(`roster ${name}`, bytes.fromUtf8(again), one.json);
    });
  }
  for (const one of vectors.roster.refused) refuses(`roster: ${one.why}`, () => openRoster(raw(one.sealed), key(one)));

  for (const name of ["opens", "opensWithBrowser"]) {
    const one = vectors.package[name];
    opens(`package ${name}`, () => {
      const found = invites.openPackage(raw(one.sealed), raw(one.wrap));
      const again = invites.sealPackage(found, { wrap: raw(one.wrap), proof: new Uint8Array() });
      is(`package ${name}`, bytes.fromUtf8(openSealed(again, raw(one.wrap), 1 << 20)), one.json);
    });
  }
  for (const one of vectors.package.newer) {
    try {
      invites.openPackage(raw(one.sealed), raw(one.wrap));
      wrong.push(`package ${one.what}: opened`);
    } catch (error) {
      is(`package ${one.what}`, error instanceof NewerFormat, true);
    }
  }
  for (const one of vectors.package.refused) {
    refuses(`package: ${one.why}`, () => invites.openPackage(raw(one.sealed), raw(one.wrap)));
  }

  for (const one of vectors.joinProof.holds) {
    const proof = invites.joinProof(raw(one.proofKey), raw(one.publicKey), one.name, one.code, one.kind);
    is("join proof", hex(proof), one.proof);
    is("join proof holds", proofHolds(one), true);
  }
  for (const one of vectors.joinProof.refused) is(`join proof: ${one.why}`, proofHolds(one), false);

  for (const one of vectors.location.opens) {
    opens(`location ${one.what}`, () => {
      const largest = raw(one.sealed).length > locations.LOCATION_BYTES ? locations.LARGEST_MESSAGE : undefined;
      const content = locations.openLocation(raw(one.sealed), key(one), largest);
      is(`location ${one.what}`, content, read(utf8(one.json)));
    });
  }
  {
    const { firstApp, owntracks, draugar } = vectors.location.onTheWire;
    is("on the wire", bytes.toBase64url(raw(draugar.sealed)), draugar.encryptedData);
    is("on the wire, OwnTracks", bytes.toBase64(raw(owntracks.sealed)), owntracks.message.data);
    const { n, c } = firstApp.encryptedData;
    is("on the wire, first app", hex(bytes.concat(bytes.fromBase64url(n), bytes.fromBase64url(c))), firstApp.sealed);
  }
  {
    const { key: padded, data, text } = vectors.location.passphrase;
    const sealed = bytes.fromBase64url(data.replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_"));
    is("passphrase", bytes.fromUtf8(openSealed(sealed, raw(padded), 1 << 20)), text);
  }
  for (const one of vectors.location.refused) {
    refuses(`location: ${one.why}`, () => locations.openLocation(raw(one.sealed), key(one)));
  }

  for (const one of vectors.safetyNumber) {
    const half = ({ userId, devices }: Vector) =>
      [userId, devices.map((device: Vector) => deviceToken(raw(device.publicKey), device.kind))] as const;
    is(`safety number: ${one.what}`, safetyNumber(half(one.mine), half(one.theirs)), one.safetyNumber);
    is(`safety number, of them: ${one.what}`, safetyNumber(half(one.theirs), half(one.mine)), one.safetyNumber);
  }
  return { checked, wrong };
}

function opened1(sealed: Uint8Array, key: Uint8Array): string {
  return statements.openStatement(sealed, key).statement.is;
}

function proofHolds(one: Vector): boolean {
  return invites.proofHolds(raw(one.proof), raw(one.proofKey), raw(one.publicKey), one.name, one.code, one.kind);
}

// Opens docs/vectors.json by libsodium's own functions in another language than the client's:
// envelopes as the first Draugar app does, locations as it and the OwnTracks apps do.
//
//     node vectors.mjs docs/vectors.json
//
// Printed is, for each list, what every vector opens to; null when it does not open.

import { readFileSync } from "node:fs";
import sodium from "libsodium-wrappers";

await sodium.ready;
const { envelope, location } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { firstApp, owntracks } = location.onTheWire;
const fromBase64 = (text) => sodium.from_base64(text, sodium.base64_variants.ORIGINAL);

console.log(
  JSON.stringify({
    envelopes: [envelope.opens, ...envelope.refused].map(unwrap),
    onTheWire: unwrap({ ...envelope.opens, wrappedKey: hex(envelope.opens.wrappedKeyOnTheWire) }),
    locations: [...location.opens, ...location.refused].map(({ sealed, groupKey }) =>
      open(sodium.from_hex(sealed), sodium.from_string(groupKey)),
    ),
    firstApp: open(
      [firstApp.encryptedData.n, firstApp.encryptedData.c].map((text) => sodium.from_base64(text)),
      sodium.from_string(envelope.opens.groupKey),
    ),
    owntracks: open(
      fromBase64(owntracks.message.data),
      sodium.from_string(envelope.opens.groupKey),
    ),
    passphrase: open(fromBase64(location.passphrase.data), padded(location.passphrase.passphrase)),
  }),
);

function unwrap({ wrappedKey, wrapperPublicKey, recipientSecretKey }) {
  const [wrapped, from, to] = [wrappedKey, wrapperPublicKey, recipientSecretKey].map((text) =>
    sodium.from_hex(text),
  );
  return orNull(() =>
    sodium.crypto_box_open_easy(wrapped.slice(24), wrapped.slice(0, 24), from, to),
  );
}

function open(sealed, key) {
  const [nonce, ciphertext] = Array.isArray(sealed)
    ? sealed
    : [sealed.slice(0, 24), sealed.slice(24)];
  return orNull(() => sodium.crypto_secretbox_open_easy(ciphertext, nonce, key));
}

function orNull(opened) {
  try {
    return sodium.to_hex(opened());
  } catch {
    return null;
  }
}

function hex(base64url) {
  return sodium.to_hex(sodium.from_base64(base64url));
}

// The OwnTracks apps cut a passphrase to 32 bytes or put zeros after it.
function padded(passphrase) {
  const key = new Uint8Array(32);
  key.set(sodium.from_string(passphrase).slice(0, 32));
  return key;
}

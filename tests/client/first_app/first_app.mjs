// The calls of the first Draugar app, as its phone makes them, one a run:
//
//     node first_app.mjs STATE join SERVICE CODE NAME
//     node first_app.mjs STATE me | register-key | group-key
//     node first_app.mjs STATE post LATITUDE LONGITUDE ACCURACY
//
// STATE is a file with what the app keeps on the phone. Printed is what came of the call: the HTTP
// status, and the text that the app would show when it failed.

import { readFileSync, writeFileSync } from "node:fs";
import sodium from "libsodium-wrappers";

const [file, call, ...given] = process.argv.slice(2);
const calls = { join, me, "register-key": registerKey, "group-key": groupKey, post };

await sodium.ready;
const state = call === "join" ? {} : JSON.parse(readFileSync(file, "utf8"));
const printed = await calls[call](...given);
writeFileSync(file, JSON.stringify(state));
console.log(JSON.stringify(printed));

async function join(service, code, name) {
  state.service = service;
  const keys = sodium.crypto_box_keypair();
  // Libsodium's default is URL-safe base64 without padding.
  state.publicKey = sodium.to_base64(keys.publicKey);
  state.privateKey = sodium.to_base64(keys.privateKey);
  const answer = await send("POST", "/auth/join", {
    code: code.trim().toUpperCase(),
    name: name.trim(),
  });
  if (!answer.ok) return failed(answer);
  state.token = answer.body.token;
  state.user = answer.body.user;
  return { status: answer.status, user: state.user };
}

async function me() {
  const answer = await send("GET", "/auth/me");
  return answer.ok ? { status: answer.status, user: answer.body } : failed(answer);
}

async function registerKey() {
  return keep(await send("POST", "/crypto/register-key", { publicKey: state.publicKey }));
}

async function groupKey() {
  return keep(await send("GET", "/crypto/group-key"));
}

async function post(latitude, longitude, accuracy) {
  const location = {
    userId: state.user.id,
    latitude: Number(latitude),
    longitude: Number(longitude),
    accuracy: Number(accuracy),
    timestamp: new Date().toISOString(),
  };
  const nonce = sodium.randombytes_buf(sodium.crypto_secretbox_NONCEBYTES);
  const ciphertext = sodium.crypto_secretbox_easy(
    JSON.stringify(location),
    nonce,
    sodium.from_base64(state.groupKey),
  );
  const encryptedData = { v: 1, n: sodium.to_base64(nonce), c: sodium.to_base64(ciphertext) };
  const answer = await send("POST", "/locations", { encryptedData, keyVersion: state.keyVersion });
  return answer.ok ? { status: answer.status, location } : failed(answer);
}

async function send(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  if (state.token) headers.Authorization = `Bearer ${state.token}`;
  const response = await fetch(`${state.service}/api${path}`, {
    method,
    headers,
    body: body && JSON.stringify(body),
  });
  return { ok: response.ok, status: response.status, body: await response.json() };
}

// Whatever comes with a 2xx is taken for a key package.
function keep(answer) {
  if (!answer.ok) return failed(answer);
  const sealed = sodium.from_base64(answer.body.package);
  const opened = sodium.crypto_box_open_easy(
    sealed.slice(sodium.crypto_box_NONCEBYTES),
    sealed.slice(0, sodium.crypto_box_NONCEBYTES),
    sodium.from_base64(answer.body.adminPublicKey),
    sodium.from_base64(state.privateKey),
  );
  state.groupKey = sodium.to_base64(opened);
  state.keyVersion = answer.body.keyVersion;
  return { status: answer.status, keyBytes: opened.length, keyVersion: state.keyVersion };
}

function failed(answer) {
  return { status: answer.status, shown: answer.body.error || answer.body.message };
}

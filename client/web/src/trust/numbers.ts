/** Who stands in the safety number of two people. */

import { fromBase64url, toHex } from "../protocol/bytes.js";
import { deviceToken, type Half, safetyNumber } from "../protocol/safety.js";
import type { Device } from "../protocol/statements.js";
import { type Listing, type State, isOwn } from "./values.js";

/** Return both people with the tokens of their devices, this person first. */
export function halves(state: State, listing: Listing, userId: string): [Half, Half] {
  // "My half has this device and the own devices that are listed; the other half has all devices
  // that are listed for that person."
  const devices = listing.devices.map((one) => one.device);
  const mine = [...devices.filter((device) => isOwn(state, device)), state.me];
  const theirs = devices.filter((device) => device.userId === userId);
  return [
    [state.me.userId, tokens(mine)],
    [userId, tokens(theirs)],
  ];
}

function tokens(devices: readonly Device[]): Uint8Array[] {
  const found = new Map<string, Uint8Array>();
  for (const { publicKey, kind } of devices) {
    const token = deviceToken(fromBase64url(publicKey), kind);
    found.set(toHex(token), token);
  }
  return [...found.values()];
}

/** Return the safety number with a person. Throws NotAuthentic where there is none. */
export function numberWith(state: State, listing: Listing, userId: string): string {
  return safetyNumber(...halves(state, listing, userId));
}

/** Whether a person has devices that the number that was compared does not cover. */
export function isVoid(state: State, listing: Listing, userId: string): boolean {
  const covered = state.compared[userId];
  return (
    covered !== undefined &&
    listing.devices.some(
      ({ device }) => device.userId === userId && !covered.includes(device.deviceId),
    )
  );
}

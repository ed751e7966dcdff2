/** Safety numbers: what two people compare, and what is trusted on their word. */

import { Failure } from "../errors.js";
import type { Comparison } from "../models.js";
import { isOwn, isSame } from "../trust/values.js";
import { numberWith } from "../trust/numbers.js";
import * as words from "../trust/words.js";
import type { Device } from "../protocol/statements.js";
import type { Context } from "./context.js";
import { type Snapshot, holdsKey } from "./sync.js";

/** Return those who wait for this person's word, or whom this device waits for. */
export function pending(view: Snapshot): Comparison[] {
  const { directory, untrustedWrappers } = view;
  const devices = directory.shown().flatMap((person) => person.devices);
  const isAsked = (device: (typeof devices)[number]): boolean => {
    if (holdsKey(view)) return device.standing === "pending" || device.standing === "ended";
    return untrustedWrappers.length > 0 ? untrustedWrappers.includes(device.id) : device.canAct;
  };
  const users = new Set(devices.filter(isAsked).map((device) => device.userId));
  const { userId: me } = directory.state.me;
  if (!holdsKey(view)) users.delete(me); // one's own devices are not compared
  return [...users]
    .filter((userId) => userId !== me || devices.some((one) => one.userId === me && isAsked(one)))
    .map((userId) => compare(view, userId));
}

/** Return what to compare with one person. Throws `person_unknown`, `no_device_to_compare`. */
export function compare(view: Snapshot, userId: string): Comparison {
  const { directory, untrustedWrappers, groupId } = view;
  const { state } = directory;
  const person = directory.shown().find((one) => one.userId === userId);
  if (person === undefined) throw new Failure("person_unknown");
  const devices = person.devices.filter((device) => device.standing !== "this");
  if (devices.length === 0) throw new Failure("no_device_to_compare");
  const isMine = userId === state.me.userId;
  return {
    groupId,
    userId,
    name: person.name,
    mark: person.mark,
    devices,
    safetyNumber: isMine ? null : numberWith(state, directory.listing(), userId),
    isMine,
    givesKey: devices.some((device) => untrustedWrappers.includes(device.id)),
  };
}

/** Trust what was compared, and nothing that the service lists since. Throws a Failure. */
export async function confirm(
  context: Context,
  view: Snapshot,
  comparison: Comparison,
): Promise<void> {
  if (comparison.safetyNumber === null) throw new Failure("own_device_not_compared");
  const now = compare(view, comparison.userId);
  // The number stands for just these devices: with another number there are others.
  if (now.safetyNumber !== comparison.safetyNumber) throw new Failure("number_changed");
  const ids = comparison.devices.map((device) => device.id);
  const devices: Device[] = view.directory
    .listing()
    .devices.map((one) => one.device)
    .filter((device) => device.userId === comparison.userId && ids.includes(device.deviceId));
  await context.home.changeTrust(comparison.groupId, (trust) =>
    words.confirmed(
      trust,
      devices.filter((device) => !isOwn(trust, device) && !isSame(device, trust.me)),
      comparison.name,
      ids,
    ),
  );
}

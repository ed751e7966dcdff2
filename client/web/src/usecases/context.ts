/** What all use cases work with: the home, the service, the clock, and what is to be told. */

import type { Notice as ShownNotice } from "../models.js";
import { Api } from "../service/api.js";
import { type Home, withNotices } from "../storage/home.js";
import type { DeviceDirectory } from "../trust/directory.js";
import type { Notice } from "../trust/values.js";

/** Parameters that are ids of devices, or of a person. */
const DEVICES = ["device", "by", "author", "wrapper"];
const PERSON = "person";

export class Context {
  private listeners: ((notice: ShownNotice) => void)[] = [];
  private opened: { readonly token: string; readonly api: Api } | null = null;

  constructor(
    readonly home: Home,
    /** Milliseconds of Unix time. */
    readonly now: () => number = Date.now,
  ) {}

  /** The way to the service, as this person. Throws the Failure `not_joined`. */
  get api(): Api {
    const { url, token } = this.home.me;
    if (this.opened?.token !== token) this.opened = { token, api: new Api(url, token) };
    return this.opened.api;
  }

  /** Hear of notices, those that were kept first. Returns what ends it. */
  onNotice(listener: (notice: ShownNotice) => void): () => void {
    this.listeners.push(listener);
    for (const notice of this.home.kept.notices) listener(notice);
    return () => {
      this.listeners = this.listeners.filter((one) => one !== listener);
    };
  }

  /** Keep notices, and hand them on. */
  async tell(
    groupId: string,
    notices: readonly Notice[],
    directory: DeviceDirectory | null,
  ): Promise<void> {
    if (notices.length === 0) return;
    const at = this.now();
    const told = notices.map((one) => ({
      ...one,
      groupId,
      names: directory === null ? {} : namesOf(one, directory),
      at,
    }));
    // What is told at every update is not worth keeping.
    const kept = told.filter((one) => one.code !== "waiting_for");
    if (kept.length > 0) await this.home.change((all) => [withNotices(all, kept), null]);
    for (const one of told) for (const listener of this.listeners) listener(one);
  }
}

/** Return what the devices and people of a notice are called, by their ids. */
function namesOf(notice: Notice, directory: DeviceDirectory): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [parameter, value] of Object.entries(notice.parameters)) {
    if (typeof value !== "string") continue;
    if (parameter === PERSON) found[value] = directory.called(value);
    if (DEVICES.includes(parameter) && value !== "") {
      const { me, records } = directory.state;
      const userId =
        value === me.deviceId
          ? me.userId
          : (records[value]?.device.userId ?? directory.owners.get(value)?.userId);
      if (userId !== undefined) found[value] = directory.called(userId);
    }
  }
  return found;
}

/**
 * What a member can do in the browser: one method per use case. This is all that the views call.
 *
 *     const client = await Client.open({ url: "https://host/v1" });
 *     client.onNotice((notice) => ...);
 *     if (client.me === null) await client.join({ invite: location.href, name: "Ari" });
 *     const view = await client.look(groupId);
 *
 * Every method that asks the service rejects with a `Failure`; its `code` decides what is shown.
 * Several tabs may call at once: what is kept is read and written under one lock.
 */

export { Failure, Refused, ServiceAway } from "../errors.js";
export type * from "../models.js";
export { Client } from "./client.js";
export type { ClientOptions, Found, Join, Wanted } from "./client.js";
export { readInvite } from "./reading.js";
export type { ReadInvite } from "./reading.js";

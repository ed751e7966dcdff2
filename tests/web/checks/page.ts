/** What the tests call in a page: the client, the vectors and the decisions. */

import { Client, Failure, type Notice, readInvite } from "../../../client/web/src/usecases/index.js";
import type { Home } from "../../../client/web/src/storage/home.js";
import { SealedRecord } from "../../../client/web/src/storage/sealed.js";
import { checkDecisions } from "./decisions.js";
import { checkVectors } from "./vectors.js";

let client: Client | null = null;
const notices: Notice[] = [];

type Result = { value: unknown } | { failure: string; parameters: unknown };

/** Return what a promise gives, or the failure that it ends in. */
async function settled(act: () => unknown): Promise<Result> {
  try {
    return { value: (await act()) ?? null };
  } catch (error) {
    if (error instanceof Failure) return { failure: error.code, parameters: error.parameters };
    throw error;
  }
}

function homeOf(opened: Client): Home {
  return (opened as unknown as { home: Home }).home;
}

const draugar = {
  async open(): Promise<Result> {
    return settled(async () => {
      client = await Client.open({ url: location.origin });
      client.onNotice((notice) => notices.push(notice));
      return client.me;
    });
  },

  call(method: keyof Client, args: readonly unknown[]): Promise<Result> {
    return settled(() => (client![method] as (...given: unknown[]) => unknown)(...args));
  },

  me: () => client?.me ?? null,
  unfinished: () => client?.unfinished ?? null,
  notices: () => notices,
  readInvite: (text: string) => settled(() => readInvite(text)),

  async vectors() {
    return checkVectors(await (await fetch("/vectors.json")).json());
  },

  async decisions() {
    return checkDecisions(await (await fetch("/decisions.json")).json());
  },

  /** Keep something in the place of what the client keeps. */
  async keep(value: unknown): Promise<void> {
    const record = await SealedRecord.open(`draugar ${location.pathname.replace(/checks$/, "")}`);
    await record.write(value);
    record.close();
  },

  /** Change one byte of what is kept. */
  async damage(): Promise<void> {
    const database = await new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open("draugar /");
      request.onsuccess = () => resolve(request.result);
    });
    const store = database.transaction("home", "readwrite").objectStore("home");
    await new Promise<void>((resolve) => {
      const found = store.get("record");
      found.onsuccess = () => {
        found.result.sealed[20] ^= 1;
        store.put(found.result, "record").onsuccess = () => resolve();
      };
    });
    database.close();
  },

  /** Write so often, each time what was read and one more; return what is there then. */
  async count(times: number): Promise<number> {
    const record = await SealedRecord.open("counted");
    let last = 0;
    for (let time = 0; time < times; time++) {
      last = await record.locked(async () => {
        const next = ((await record.read()) as number | null ?? 0) + 1;
        await record.write(next);
        return next;
      });
    }
    return last;
  },

  /** Return the public key of this device. */
  publicKey: () => homeOf(client!).me.publicKey,

  /** Return of each group the versions whose keys are held. */
  held(): Record<string, string[]> {
    const { groups } = homeOf(client!).kept;
    return Object.fromEntries(
      Object.entries(groups).map(([id, group]) => [id, Object.keys(group.trust.held)]),
    );
  },

  /** Return the counters of all points of this person in a group, opened. */
  async counters(groupId: string): Promise<number[]> {
    const everything = (await client!.export()) as any;
    return everything.locations
      .filter((one: any) => one.groupId === groupId)
      .map((one: any) => one.opened.draugar.n);
  },

  /** Return everything that lies in the database, as it lies there. */
  async stored(): Promise<{ names: string[]; keyIsSecret: boolean; text: string }> {
    const names = (await indexedDB.databases()).map((one) => one.name!);
    const database = await new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open(names.find((name) => name.startsWith("draugar"))!);
      request.onsuccess = () => resolve(request.result);
    });
    const get = (name: string) =>
      new Promise<any>((resolve) => {
        const request = database.transaction("home").objectStore("home").get(name);
        request.onsuccess = () => resolve(request.result);
      });
    const key: CryptoKey = await get("key");
    const { sealed } = await get("record");
    database.close();
    return {
      names,
      keyIsSecret: !key.extractable,
      text: new TextDecoder("latin1").decode(sealed),
    };
  },
};

declare global {
  interface Window {
    draugar: typeof draugar;
  }
}

window.draugar = draugar;
document.title = "ready";

/**
 * One sealed record in IndexedDB, and the lock under which all tabs read and write it.
 *
 * The key is an AES-GCM CryptoKey that no script can read out. That protects what lies on the disk
 * and in a copy of it, not against a page of this origin: such a page can open the record as this
 * one does.
 */

import { areEqual, fromUtf8, randomBytes, utf8 } from "../protocol/bytes.js";
import { Failure } from "../errors.js";

const STORE = "home";
const KEY = "key";
const RECORD = "record";
const IV_BYTES = 12;
/** Of the database, whose one store never changes; what is in the record has a number of its own. */
const VERSION = 1;

interface Sealed {
  readonly iv: Uint8Array<ArrayBuffer>;
  readonly sealed: Uint8Array<ArrayBuffer>;
}

/** The place where this browser keeps one JSON value. */
export class SealedRecord {
  private constructor(
    private readonly name: string,
    private readonly database: IDBDatabase,
    private key: CryptoKey | null,
  ) {}

  /** Open it. Rejects with the Failure `storage_refused`: no secure context, or no storage. */
  static async open(name: string): Promise<SealedRecord> {
    if (!globalThis.isSecureContext || !globalThis.crypto?.subtle || !navigator.locks) {
      throw new Failure("storage_refused");
    }
    try {
      const request = indexedDB.open(name, VERSION);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      const database = await finished(request);
      const opened = new SealedRecord(name, database, null);
      opened.key = (await opened.get(KEY)) as CryptoKey | null;
      return opened;
    } catch {
      throw new Failure("storage_refused");
    }
  }

  /** Run something while no other tab does. */
  locked<T>(act: () => Promise<T>): Promise<T> {
    return navigator.locks.request(this.name, act) as Promise<T>;
  }

  /** Return the value; null where none is kept. Rejects with `storage_lost`. */
  async read(): Promise<unknown> {
    const found = (await this.get(RECORD)) as Sealed | null;
    if (found === null) return null;
    const key = await this.ownKey();
    try {
      const { iv, sealed } = found;
      const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, sealed);
      return JSON.parse(fromUtf8(new Uint8Array(plain)));
    } catch {
      throw new Failure("storage_lost");
    }
  }

  /** Keep a value, and see that it is there. Rejects with `storage_lost`. */
  async write(value: unknown): Promise<void> {
    const key = await this.ownKey();
    const iv = randomBytes(IV_BYTES) as Uint8Array<ArrayBuffer>;
    const plain = utf8(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, plain));
    await this.put(RECORD, { iv, sealed });
    const kept = (await this.get(RECORD)) as Sealed | null;
    if (kept === null || !areEqual(kept.iv, iv) || !areEqual(kept.sealed, sealed)) {
      throw new Failure("storage_lost");
    }
  }

  /** Forget the value, and the key with it. */
  async clear(): Promise<void> {
    this.key = null;
    await this.transaction((store) => store.clear());
  }

  close(): void {
    this.database.close();
  }

  private async ownKey(): Promise<CryptoKey> {
    this.key ??= (await this.get(KEY)) as CryptoKey | null;
    if (this.key === null) {
      const made = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, [
        "encrypt",
        "decrypt",
      ]);
      await this.put(KEY, made);
      this.key = (await this.get(KEY)) as CryptoKey | null;
    }
    if (this.key === null) throw new Failure("storage_refused");
    return this.key;
  }

  private async get(name: string): Promise<unknown> {
    const transaction = this.database.transaction(STORE, "readonly");
    const found: unknown = await finished(transaction.objectStore(STORE).get(name));
    return found ?? null;
  }

  private put(name: string, value: unknown): Promise<void> {
    return this.transaction((store) => store.put(value, name));
  }

  private transaction(act: (store: IDBObjectStore) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const refuse = (): void => reject(new Failure("storage_lost"));
      try {
        const transaction = this.database.transaction(STORE, "readwrite", {
          durability: "strict",
        });
        transaction.oncomplete = () => resolve();
        transaction.onerror = refuse;
        transaction.onabort = refuse;
        act(transaction.objectStore(STORE));
      } catch {
        refuse();
      }
    });
  }
}

function finished<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    if ("onblocked" in request) {
      (request as unknown as IDBOpenDBRequest).onblocked = () => reject(request.error);
    }
  });
}

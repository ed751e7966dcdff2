/**
 * HTTP, as far as a member's device trusts it.
 *
 * No redirect is followed, an answer has bounds in size and time, no cookie is sent or kept, and the
 * token is in no text. A busy service is asked again after a while that grows, or that it named.
 */

import { Refused, ServiceAway, answerNotUnderstood } from "../errors.js";
import { orNull } from "../protocol/errors.js";
import { type Json, type JsonObject, isObject, member, parse } from "../protocol/json.js";

const LARGEST_ANSWER = 16 * 1024 * 1024;
const SLOWEST_ANSWER = 60_000;
const BUSY = [429, 500, 502, 503, 504];
const CODES: Readonly<Record<number, string>> = {
  429: "too_many_requests",
  500: "internal_error",
};
const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 8000;

export interface Request {
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the same once more does no harm. */
  readonly isRepeatable?: boolean;
}

interface Reply {
  /** null: nothing came back. */
  readonly status: number | null;
  readonly content: Uint8Array;
  /** Milliseconds, as it asked. */
  readonly pause: number | null;
}

/** A way to one service. `patience` is how long a busy one is waited for, in all: milliseconds. */
export class Transport {
  token: string | null = null;
  /** What was read last of each address, for `If-None-Match`. */
  private readonly etags = new Map<string, string>();

  constructor(
    readonly url: string,
    private readonly patience = 10_000,
  ) {}

  /** Send a request, and once more while the service is busy, if a repeat does no harm. */
  async call(method: string, path: string, request: Request = {}): Promise<JsonObject> {
    const deadline = performance.now() + this.patience;
    let pause = FIRST_PAUSE;
    let mayBeDone = false;
    for (;;) {
      const { status, content, pause: asked } = await this.send(method, path, request);
      if (status !== null && !BUSY.includes(status)) return read(status, content);
      // Reading changes nothing, and what is refused for haste was not begun.
      mayBeDone ||= method !== "GET" && status !== 429;
      const wait = asked ?? pause * (0.5 + Math.random() / 2);
      const isSafe = (request.isRepeatable ?? true) || status === 429 || status === 503;
      if (!isSafe || performance.now() + wait > deadline) {
        throw away(status, asked, mayBeDone);
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
  }

  /** Whether an address that was read before would give something else now. */
  async isChanged(path: string, query: Readonly<Record<string, string>>): Promise<boolean> {
    const known = this.etags.get(addressOf(path, query));
    if (known === undefined) return true;
    const headers = { "If-None-Match": known };
    const { status, content, pause } = await this.send("GET", path, { query, headers });
    if (status === 304) return false;
    if (status === null || BUSY.includes(status)) throw away(status, pause, false);
    read(status, content);
    return true;
  }

  private async send(method: string, path: string, request: Request): Promise<Reply> {
    const address = addressOf(path, request.query ?? {});
    const headers: Record<string, string> = { Accept: "application/json", ...request.headers };
    if (request.body !== undefined) headers["Content-Type"] = "application/json";
    if (this.token !== null) headers["Authorization"] = `Bearer ${this.token}`;
    try {
      const response = await fetch(`${this.url}/api${address}`, {
        method,
        headers,
        body: request.body === undefined ? null : JSON.stringify(request.body),
        cache: "no-store",
        credentials: "omit",
        redirect: "manual",
        referrerPolicy: "no-referrer",
        signal: AbortSignal.timeout(SLOWEST_ANSWER),
      });
      // A redirect, above all: no client is led elsewhere.
      if (response.type === "opaqueredirect") throw answerNotUnderstood();
      const etag = response.headers.get("ETag");
      if (method === "GET" && response.ok && etag !== null) this.etags.set(address, etag);
      const asked = /^[0-9]{1,6}$/.exec(response.headers.get("Retry-After") ?? "");
      return {
        status: response.status,
        content: await contentOf(response),
        pause: asked === null ? null : Math.max(50, Number(asked[0]) * 1000),
      };
    } catch (error) {
      if (error instanceof TypeError || error instanceof DOMException) {
        return { status: null, content: new Uint8Array(), pause: null };
      }
      throw error;
    }
  }
}

function addressOf(path: string, query: Readonly<Record<string, string>>): string {
  const text = new URLSearchParams(query).toString();
  return text === "" ? path : `${path}?${text}`;
}

/** Return the failure of a service that gave no answer, or "not now". */
function away(status: number | null, pause: number | null, mayBeDone: boolean): ServiceAway {
  const code = status === null ? "service_away" : (CODES[status] ?? "temporarily_unavailable");
  return new ServiceAway(mayBeDone, code, pause === null ? null : Math.ceil(pause / 1000));
}

async function contentOf(response: Response): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  const pieces: Uint8Array[] = [];
  let size = 0;
  while (reader !== undefined) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > LARGEST_ANSWER) {
      await reader.cancel();
      throw answerNotUnderstood();
    }
    pieces.push(value);
  }
  const found = new Uint8Array(size);
  let place = 0;
  for (const piece of pieces) {
    found.set(piece, place);
    place += piece.length;
  }
  return found;
}

function read(status: number, content: Uint8Array): JsonObject {
  if (status >= 200 && status < 300) {
    const value = content.length === 0 ? null : parsed(content);
    return value === null ? {} : isObject(value) ? value : fail();
  }
  if (status < 400) return fail();
  const problem = parsed(content);
  const code = isObject(problem) ? member(problem, "code") : undefined;
  if (!isObject(problem) || typeof code !== "string" || !/^[a-z0-9_]{1,64}$/.test(code)) {
    return fail();
  }
  const detail = member(problem, "detail");
  // The ids of devices that may not be given the key, and nothing else of a text of the service.
  const ids =
    code === "surplus_devices" && typeof detail === "string"
      ? (detail.match(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ?? [])
      : [];
  throw new Refused(status, code, ids.length > 0 ? { devices: ids.join(" ") } : {});
}

function parsed(content: Uint8Array): Json {
  const found = orNull(() => ({ value: parse(content) }));
  return found === null ? fail() : found.value;
}

function fail(): never {
  throw answerNotUnderstood();
}

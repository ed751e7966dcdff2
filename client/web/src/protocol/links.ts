/**
 * What people pass to each other so that another one can join: a link that holds a code and a
 * secret.
 *
 *     draugar://<host>[:<port>][/<prefix>]/join#<code>.<secret>[.me]     for installed clients
 *     https://<host>[:<port>][/<prefix>]/join#<code>.<secret>[.me]       for browsers, too
 *
 * The secret stands behind the `#`: no browser sends that to a server.
 */

import { Failure } from "../errors.js";
import { bare, cleaned, lines } from "../text/pasted.js";
import { SERVICE, isLocal, serviceUrl } from "./address.js";
import { fromBase64url, toBase64url } from "./bytes.js";
import { canonicalCode } from "./codes.js";
import { orNull } from "./errors.js";
import { INVITE_SECRET_BYTES } from "./secrets.js";

/** An invite to the service at `url`; `forMe` makes another device of the inviter. */
export interface InviteLink {
  readonly url: string;
  readonly code: string;
  /** 16 bytes. */
  readonly secret: Uint8Array;
  readonly forMe: boolean;
}

const NO_WORD = "(?![_-]*[A-Za-z0-9])";
const ENDING = `(?<code>[A-Za-z0-9-]+)\\.(?<secret>[A-Za-z0-9_-]*)(?<me>\\.me${NO_WORD})?`;
const LINK = new RegExp(
  `(?<scheme>draugar|https?)://${SERVICE}/join(?<forMe>\\?me)?(?:#|%23)${ENDING}`,
  "gi",
);
/** A link whose front is missing: a double click, or a careless hand, leaves it out. */
const TAIL = new RegExp(`^(?:(?:(?:${SERVICE})?/)?join)?(?<forMe>\\?me)?#?${ENDING}$`, "i");
const EXACT = new RegExp(
  `^(?<scheme>draugar|https?)://${SERVICE}/join(?<forMe>\\?me)?` +
    "#(?<code>[A-Za-z0-9-]+)\\.(?<secret>[A-Za-z0-9_-]+)(?<me>\\.me)?$",
);
const SECRET = /^([A-Za-z0-9_-]{22})[_-]*$/;
const LOOKS_LIKE_A_LINK = /\/\/|#|[A-Za-z0-9]\.[\w-]{16,}/;
/** Over so many lines a link may be wrapped, with other text before and behind it. */
const MOST_LINES = 8;

/** Whether a text is to be read as a link, or what is left of one, rather than as a code. */
export function isLink(text: string): boolean {
  return LOOKS_LIKE_A_LINK.test(cleaned(text));
}

/** Return a link for installed clients. Of a service on this machine the scheme stands for http. */
export function linkText(link: InviteLink): string {
  const { protocol, hostname } = new URL(link.url);
  const isUsual = `${protocol}//`.startsWith(`${scheme(hostname)}:`);
  return isUsual ? webLinkText(link).replace(/^https?/, "draugar") : webLinkText(link);
}

/** Return a link that a phone's camera opens, in a browser. */
export function webLinkText({ url, code, secret, forMe }: InviteLink): string {
  return `${url}/join#${code}.${toBase64url(secret)}${forMe ? ".me" : ""}`;
}

/** Read a link exactly as docs/protocol.md writes it. Throws a Failure. */
export function parseLink(text: string): InviteLink {
  const found = EXACT.exec(text);
  if (found === null || (found.groups!["forMe"] && found.groups!["me"])) throw unreadable();
  return linkOf(found.groups as Groups, found.groups!["secret"]!, serviceOf(found.groups as Groups));
}

/**
 * Read a link as it was pasted: wrapped, quoted, or within a sentence. `url` is the service of one
 * whose front is missing. Throws a Failure.
 */
export function pasteLink(text: string, url?: string): InviteLink {
  const groups = find(cleaned(text).replaceAll("\\", ""));
  const place = `${groups["host"]}${groups["port"] ?? ""}${groups["prefix"] ?? ""}`;
  const isNamed = groups["scheme"] !== undefined || url?.split("://")[1] !== place;
  const service = groups["host"] && isNamed ? serviceOf(groups) : url;
  if (!service) throw new Failure("link_without_service");
  const whole = SECRET.exec(groups["secret"]!);
  return linkOf(groups, whole?.[1] ?? groups["secret"]!, service);
}

type Groups = Readonly<Record<string, string | undefined>>;

function linkOf(groups: Groups, ending: string, url: string): InviteLink {
  const secret = orNull(() => fromBase64url(ending));
  if (secret?.length !== INVITE_SECRET_BYTES) throw new Failure("link_damaged");
  const service = serviceUrl(url);
  if (service === null) throw new Failure("link_unreadable");
  return {
    url: service,
    code: canonicalCode(groups["code"]!),
    secret,
    forMe: groups["forMe"] !== undefined || groups["me"] !== undefined,
  };
}

/** Return the address of the service that a link names. */
function serviceOf(groups: Groups): string {
  const named = (groups["scheme"] ?? "draugar").toLowerCase();
  const front = named === "draugar" ? scheme(groups["host"]!) : named;
  return `${front}://${groups["host"]}${groups["port"] ?? ""}${groups["prefix"] ?? ""}`;
}

/** Find the one link in a text. Throws a Failure. */
function find(text: string): Groups {
  const all = lines(text);
  const found = all.flatMap((_, start) => beginning(all.slice(start)));
  if (new Set(found.map(([link]) => link)).size > 1) throw new Failure("several_links");
  if (found.length > 0) return found[0]!.groups as Groups;
  const joined = bare(all.join("").replace(/\s+/g, ""), "-_?#");
  const whole = links(joined).find((link) => link.index + link[0].length === joined.length);
  const link = whole ?? TAIL.exec(joined) ?? links(all.join(""))[0];
  if (link === undefined || link === null) throw unreadable();
  return link.groups as Groups;
}

/** Return the links that begin in the first line, from as many lines as they take. */
function beginning(all: readonly string[]): RegExpExecArray[] {
  for (let end = 1; end <= Math.min(all.length, MOST_LINES); end++) {
    const whole = links(all.slice(0, end).join("")).filter((link) =>
      SECRET.test(link.groups!["secret"]!),
    );
    if (whole.length > 0) return whole.map((link) => toItsEnd(link, all.slice(end)));
  }
  return [];
}

/** Return a link together with its `.me`, where that is wrapped over the lines that follow. */
function toItsEnd(link: RegExpExecArray, following: readonly string[]): RegExpExecArray {
  const end = link.index + link[0].length;
  let tail = link.input.slice(end);
  if (link.groups!["me"] || !".me".startsWith(tail.toLowerCase())) return link;
  let isCut = tail !== "";
  for (const line of following) {
    tail += line;
    if (tail.length >= ".me".length) break;
    isCut = true;
  }
  const isMe = new RegExp(`^\\.me${isCut ? "[\\W_]*$" : NO_WORD}`, "i").test(tail);
  return isMe ? (links(link.input.slice(0, end) + tail)[0] ?? link) : link;
}

function links(text: string): RegExpExecArray[] {
  return [...text.matchAll(LINK)];
}

function scheme(host: string): string {
  return isLocal(host) ? "http" : "https";
}

function unreadable(): Failure {
  return new Failure("link_unreadable");
}

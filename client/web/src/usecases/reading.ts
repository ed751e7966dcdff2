/** What was opened, pasted or scanned, before anything is done with it. */

import { canonicalCode } from "../protocol/codes.js";
import { type InviteLink, isLink, pasteLink } from "../protocol/links.js";

/** An invite as it was read. */
export type ReadInvite =
  | { readonly is: "link"; readonly url: string; readonly forMe: boolean; readonly link: InviteLink }
  | { readonly is: "code"; readonly code: string };

/**
 * Read a link or a code as people paste them. Nothing is asked of the service.
 *
 * Throws a Failure: `link_unreadable`, `link_damaged`, `several_links`, `link_without_service`,
 * `invite_code_unreadable`.
 */
export function readInvite(text: string, url?: string): ReadInvite {
  if (isLink(text)) {
    const link = pasteLink(text, url);
    return { is: "link", url: link.url, forMe: link.forMe, link };
  }
  return { is: "code", code: canonicalCode(text) };
}

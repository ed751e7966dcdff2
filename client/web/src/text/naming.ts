/** Names that people choose: what one may be, and how two people of one name are told apart. */

import { Failure } from "../errors.js";
import {
  APOSTROPHES,
  DASHES,
  DOUBLE_QUOTES,
  isVisible,
  steers,
  stripped,
  withoutInvisible,
} from "./characters.js";

/** Characters of a name that the service takes. */
export const LONGEST = 64;
const SHORTEST_MARK = 4;

/** Return a name as it is sent. Throws a Failure. */
export function checkedName(name: string): string {
  const found = stripped(name);
  if (!isName(found)) throw new Failure("name_not_possible", { longest: LONGEST });
  return found;
}

/** Whether the service and every client take a text as a name, exactly as it is. */
export function isName(name: string): boolean {
  return (
    !/\p{Surrogate}/u.test(name) &&
    name === stripped(name) &&
    [...name].length <= LONGEST &&
    isVisible(name) &&
    !steers(name)
  );
}

/** Return a form that two names share which a reader takes for one. */
export function sameName(name: string): string {
  const plain = withoutInvisible(name)
    .replace(APOSTROPHES, "'")
    .replace(DASHES, "-")
    .replace(DOUBLE_QUOTES, '"');
  const folded = plain.normalize("NFKC").toLowerCase().toUpperCase().toLowerCase();
  return withoutInvisible(folded).normalize("NFKC").split(/\s+/u).filter(Boolean).join(" ");
}

/** Return the end of the id of each person whose name another has too: enough to tell. */
export function marks(names: ReadonlyMap<string, string>): Map<string, string> {
  const namesakes = new Map<string, string[]>();
  for (const [userId, name] of names) {
    const same = sameName(name);
    namesakes.set(same, [...(namesakes.get(same) ?? []), userId]);
  }
  const found = new Map<string, string>();
  for (const ids of namesakes.values()) {
    if (ids.length < 2) continue;
    let length = SHORTEST_MARK;
    while (new Set(ids.map((id) => end(id, length))).size < ids.length) length += 1;
    for (const id of ids) found.set(id, end(id, length));
  }
  return found;
}

function end(id: string, length: number): string {
  return id.replaceAll("-", "").slice(-length);
}

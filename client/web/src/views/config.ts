/** What the service says of street maps, and whether this person wants them on this device. */

import { prefix } from "./environment.js";

export interface Tiles {
  readonly url: string;
  readonly attribution: string;
}

const KEY = "draugar.streets";
const LONGEST_URL = 800;
const LONGEST_ATTRIBUTION = 200;

let tiles: Tiles | null = null;
let loading: Promise<void> | null = null;

/** Load it once. Where it cannot be read, there are no street maps. */
export function loadConfig(): Promise<void> {
  loading ??= fetch(`${prefix(location)}/web/config.json`)
    .then(async (answer) => {
      tiles = answer.ok ? readConfig(await answer.json()) : null;
    })
    .catch(() => {
      loading = null;
    });
  return loading;
}

/** Read the service's word strictly; the page's policy bounds what follows from it. */
export function readConfig(value: unknown): Tiles | null {
  if (typeof value !== "object" || value === null || Object.keys(value).join() !== "tiles") {
    return null;
  }
  const said = (value as { tiles: unknown }).tiles;
  if (typeof said !== "object" || said === null) return null;
  const { url, attribution, ...rest } = said as Record<string, unknown>;
  const isTiles =
    Object.keys(rest).length === 0 &&
    typeof url === "string" &&
    typeof attribution === "string" &&
    url.length <= LONGEST_URL &&
    attribution.length <= LONGEST_ATTRIBUTION &&
    /^https?:\/\//.test(url) &&
    ["{z}", "{x}", "{y}"].every((place) => url.includes(place));
  return isTiles ? { url, attribution } : null;
}

/** What street maps there are, and whether they are on; with a value, switch them. */
export function streets(wanted?: boolean): { readonly tiles: Tiles | null; readonly isOn: boolean } {
  try {
    if (wanted !== undefined) localStorage.setItem(KEY, wanted ? "on" : "off");
    return { tiles, isOn: tiles !== null && localStorage.getItem(KEY) === "on" };
  } catch {
    return { tiles, isOn: false };
  }
}

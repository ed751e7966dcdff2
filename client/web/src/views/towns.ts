/** The nearest town of a spot, without asking anyone. */

import { t } from "../texts/index.js";
import { country, distance, length, type Spot } from "./words.js";

declare const TOWNS: string;

export interface Town extends Spot {
  readonly name: string;
  readonly country: string;
  /** In powers of 1.3. */
  readonly size: number;
}

interface Stored {
  readonly names: string;
  readonly countries: string;
  readonly places: readonly number[];
  readonly population: readonly number[];
}

const FARTHEST = 600_000; // metres: beyond, a town says nothing

let loading: Promise<readonly Town[]> | null = null;

/** Load the towns once; the largest comes first. */
export function loadTowns(): Promise<readonly Town[]> {
  loading ??= load().catch((error: unknown) => {
    loading = null;
    throw error;
  });
  return loading;
}

async function load(): Promise<readonly Town[]> {
  const answer = await fetch(new URL(TOWNS, import.meta.url));
  if (!answer.ok) throw new Error(String(answer.status));
  const stored = (await answer.json()) as Stored;
  return stored.names.split("\n").map((name, number) => ({
    name,
    country: stored.countries.slice(2 * number, 2 * number + 2),
    latitude: (stored.places[2 * number] ?? 0) / 100,
    longitude: (stored.places[2 * number + 1] ?? 0) / 100,
    size: stored.population[number] ?? 0,
  }));
}

/** Say which town a spot is in or near; empty where none is. */
export function placeName(spot: Spot, towns: readonly Town[]): string {
  let nearest: Town | null = null;
  let least = FARTHEST;
  for (const town of towns) {
    if (Math.abs(town.latitude - spot.latitude) > 6) continue;
    const apart = distance(spot, town);
    if (apart < least) [nearest, least] = [town, apart];
  }
  if (nearest === null) return "";
  const values = { town: nearest.name, country: country(nearest.country), distance: length(least) };
  // A large town reaches far from its middle.
  const reach = 2_000 * 1.3 ** Math.max(0, (nearest.size - 40) / 3);
  if (least < reach) return t("inTown", values);
  return least < reach + 10_000 ? t("nearTown", values) : t("fromTown", values);
}

/** Distances, ages, times and places in the words of the person's language. */

import { locale, t, texts } from "../texts/index.js";

const EARTH_RADIUS = 6_371_008.8; // metres
const RADIANS = Math.PI / 180;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export interface Spot {
  readonly latitude: number;
  readonly longitude: number;
}

/** The distance of two spots on a sphere, in metres. */
export function distance(one: Spot, other: Spot): number {
  const half = (to: number, from: number): number => Math.sin(((to - from) * RADIANS) / 2) ** 2;
  const along =
    half(other.latitude, one.latitude) +
    Math.cos(one.latitude * RADIANS) *
      Math.cos(other.latitude * RADIANS) *
      half(other.longitude, one.longitude);
  return 2 * EARTH_RADIUS * Math.asin(Math.min(1, Math.sqrt(along)));
}

/** The direction from one spot to another, in degrees from north. */
function bearing(from: Spot, to: Spot): number {
  const turn = (to.longitude - from.longitude) * RADIANS;
  const [start, end] = [from.latitude * RADIANS, to.latitude * RADIANS];
  const east = Math.sin(turn) * Math.cos(end);
  const north = Math.cos(start) * Math.sin(end) - Math.sin(start) * Math.cos(end) * Math.cos(turn);
  return (Math.atan2(east, north) / RADIANS + 360) % 360;
}

export function direction(from: Spot, to: Spot): string {
  const names = texts.directions.split(" ");
  return names[Math.round(bearing(from, to) / 45) % 8] ?? "";
}

const metres = unit("meter", 0);
const kilometres = unit("kilometer", 0);
const shortKilometres = unit("kilometer", 1);

function unit(name: string, digits: number): Intl.NumberFormat {
  return new Intl.NumberFormat(locale, {
    style: "unit",
    unit: name,
    maximumFractionDigits: digits,
  });
}

export function length(value: number): string {
  if (value < 950) return metres.format(value < 20 ? Math.round(value) : Math.round(value / 10) * 10);
  return (value < 20_000 ? shortKilometres : kilometres).format(value / 1000);
}

export function percent(value: number): string {
  return new Intl.NumberFormat(locale, { style: "percent" }).format(value / 100);
}

export function number(value: number): string {
  return new Intl.NumberFormat(locale).format(value);
}

/** How long ago it was, such as "5 min". Null: so recent that no number is needed. */
function age(at: number, now: number): string | null {
  const passed = now - at;
  const [value, name] =
    passed < HOUR
      ? ([passed / MINUTE, "minute"] as const)
      : passed < 2 * DAY
        ? ([passed / HOUR, "hour"] as const)
        : ([passed / DAY, "day"] as const);
  if (passed < MINUTE) return null;
  return new Intl.NumberFormat(locale, {
    style: "unit",
    unit: name,
    unitDisplay: passed < HOUR ? "short" : "long",
    maximumFractionDigits: 0,
    roundingMode: "floor",
  } as Intl.NumberFormatOptions).format(Math.floor(value));
}

export function ago(at: number, now: number): string {
  const passed = age(at, now);
  return passed === null ? t("justNow") : t("ago", { age: passed });
}

/** How much an age is shaded: a second sign beside its text. */
export function freshness(at: number, now: number): "fresh" | "older" | "old" {
  if (now - at < 15 * MINUTE) return "fresh";
  return now - at < 6 * HOUR ? "older" : "old";
}

export function moment(at: number): string {
  const isToday = new Date(at).toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(
    locale,
    isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" },
  ).format(at);
}

export function clock(at: number): string {
  return new Intl.DateTimeFormat(locale, { timeStyle: "short" }).format(at);
}

export function country(code: string): string {
  try {
    return new Intl.DisplayNames(locale, { type: "region" }).of(code) ?? code;
  } catch {
    return code;
  }
}

/** A name as it is shown: characters that turn the text around it about, or show nothing, go. */
export function shown(name: string): string {
  const plain = name.replace(/[\p{Cc}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]/gu, "\ufffd");
  return plain.length > 64 ? `${[...plain].slice(0, 64).join("")}…` : plain;
}

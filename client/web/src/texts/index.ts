/** The texts of the language that the browser asks for first. */

import type { Texts } from "./en.js";

const LANGUAGES: Readonly<Record<string, () => Promise<Texts>>> = {
  en: async () => (await import("./en.js")).en,
  de: async () => (await import("./de.js")).de,
};

export type { Texts };
export type Text = { [K in keyof Texts]: Texts[K] extends string ? K : never }[keyof Texts];
export type Values = Readonly<Record<string, string | number>>;

/** Choose the first language of the person's that there is. */
function choose(wanted: readonly string[]): string {
  const known = wanted.map((tag) => tag.slice(0, 2).toLowerCase());
  return known.find((language) => Object.hasOwn(LANGUAGES, language)) ?? "en";
}

/** Only the chosen language is loaded. */
export const texts = await LANGUAGES[choose(navigator.languages)]!();
/** The tag for `Intl`: the person's own where it is of the language shown. */
export const locale =
  navigator.languages.find((tag) => tag.startsWith(texts.language)) ?? texts.language;

/** Put values into the places of a text. They stay text: nothing of them is read as markup. */
export function fill(text: string, values: Values = {}): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? "…"));
}

export function t(name: Text, values: Values = {}): string {
  return fill(texts[name], values);
}

export function failureText(code: string, values: Values = {}): string {
  const known: Readonly<Record<string, string>> = texts.failures;
  return fill(Object.hasOwn(known, code) ? known[code]! : texts.failures.unknown, { ...values, code });
}

export function noticeText(code: string, values: Values): string {
  const known: Readonly<Record<string, string>> = texts.notice;
  return fill(Object.hasOwn(known, code) ? known[code]! : texts.notice.unknown, { ...values, code });
}

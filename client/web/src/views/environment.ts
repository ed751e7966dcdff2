/** What this browser can do, before anything is asked of it. */

/** Why nothing can be done here, or what has to be done first. */
export type Obstacle = "insecure" | "inApp" | "old" | "ios";

/** The address of the service, with its prefix: that of the page without `join`. */
export function serviceUrl(place: Location): string {
  return place.origin + prefix(place);
}

/** The path below which everything of the service is, without the slash at its end. */
export function prefix(place: Location): string {
  return place.pathname.replace(/\/(?:join\/?)?$/, "");
}

/** What the fragment holds: a code to found a group by, an invitation, or nothing. */
export type Opened =
  | { readonly is: "found"; readonly code: string }
  | { readonly is: "invite"; readonly text: string }
  | { readonly is: "nothing" };

export function opened(place: Location): Opened {
  const fragment = place.hash.slice(1);
  if (fragment.startsWith("found=")) return { is: "found", code: fragment.slice(6) };
  const isInvitation = /\/join\/?$/.test(place.pathname) && fragment !== "";
  return isInvitation ? { is: "invite", text: place.href } : { is: "nothing" };
}

/** Whether this is an app on a home screen. */
export function isInstalled(): boolean {
  const safari = navigator as Navigator & { readonly standalone?: boolean };
  return safari.standalone === true || matchMedia("(display-mode: standalone)").matches;
}

const IN_APP =
  /\bFBA[NV]\b|\bFB_IAB\b|Instagram|\bLine\/|MicroMessenger|Snapchat|Twitter|LinkedInApp|TikTok|musical_ly|BytedanceWebview|Telegram|WhatsApp|Pinterest|; wv\)/;

/** Find what stands in the way of coming in. Nothing is stored, and nothing is asked of a server. */
export async function findObstacle(): Promise<Obstacle | null> {
  if (!isSecureContext) return "insecure";
  const agent = navigator.userAgent;
  if (IN_APP.test(agent)) return "inApp";
  if (!(await hasX25519())) return "old";
  return isIos(agent) && !isInstalled() ? "ios" : null;
}

function isIos(agent: string): boolean {
  // An iPad says that it is a Mac, but no Mac has a touch screen.
  return /iPhone|iPad|iPod/.test(agent) || (/Macintosh/.test(agent) && navigator.maxTouchPoints > 1);
}

async function hasX25519(): Promise<boolean> {
  try {
    await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
    return true;
  } catch {
    return false;
  }
}

/** What the device is called to the others, such as "Firefox on Android". */
export function deviceName(): string {
  const agent = navigator.userAgent;
  const browsers: readonly (readonly [RegExp, string])[] = [
    [/Edg\//, "Edge"],
    [/Firefox\/|FxiOS\//, "Firefox"],
    [/Chrome\/|CriOS\//, "Chrome"],
    [/Safari\//, "Safari"],
  ];
  const systems: readonly (readonly [RegExp, string])[] = [
    [/Android/, "Android"],
    [/iPhone/, "iPhone"],
    [/iPad/, "iPad"],
    [/Windows/, "Windows"],
    [/Macintosh/, "Mac"],
    [/Linux|CrOS/, "Linux"],
  ];
  const first = (known: typeof browsers): string | undefined =>
    known.find(([pattern]) => pattern.test(agent))?.[1];
  return [first(browsers) ?? "Browser", first(systems)].filter(Boolean).join(" on ");
}

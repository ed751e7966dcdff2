/**
 * Starts the app without a network: it keeps the files of one release, and replaces them whole.
 *
 * It does not protect the app against the service, which can replace this file too.
 */

export {};

declare const SHELL: readonly string[];
declare const VERSION: string;
declare const self: ServiceWorkerGlobalScope;

const CACHE = `draugar-${VERSION}`;
const CONFIG = "web/config.json";
const scope = new URL(self.registration.scope);
const within = (name: string): string => new URL(name, scope).href;
const KEPT = [".", "manifest.webmanifest", ...SHELL].map(within);

self.addEventListener("install", (event) => {
  event.waitUntil(install());
});

self.addEventListener("activate", (event) => {
  event.waitUntil(activate());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== scope.origin) return;
  url.search = "";
  url.hash = "";
  if (request.mode === "navigate") {
    if (url.href === scope.href || url.href === within("join")) {
      event.respondWith(kept(within("."), request));
    }
  } else if (KEPT.includes(url.href)) {
    event.respondWith(kept(url.href, request));
  } else if (url.href === within(CONFIG)) {
    event.respondWith(newest(request));
  }
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(show());
});

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  // The names below web/ change with their content; of the others, what the browser has kept may
  // be of an earlier release.
  const requests = KEPT.map((url) =>
    new URL(url).pathname.startsWith(new URL(within("web/")).pathname)
      ? new Request(url)
      : new Request(url, { cache: "no-cache" }),
  );
  await cache.addAll(requests);
  await self.skipWaiting();
}

async function activate(): Promise<void> {
  const names = (await caches.keys()).filter((name) => name.startsWith("draugar-"));
  await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function kept(url: string, request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  return (await cache.match(url)) ?? fetch(request);
}

async function newest(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(request, answer.clone());
    return answer;
  } catch (error) {
    const known = await cache.match(request);
    if (known) return known;
    throw error;
  }
}

async function show(): Promise<void> {
  const [open] = await self.clients.matchAll({ type: "window" });
  await (open ? open.focus() : self.clients.openWindow(scope.href));
}

/** Sharing while the page is open: a browser cannot do it in the background. */

import { html, nothing, type TemplateResult } from "lit-html";
import type { Fix } from "../models.js";
import { t } from "../texts/index.js";
import type { App } from "./app.js";
import { pauseText } from "./people.js";
import { ago, distance, shown } from "./words.js";

const AT_LEAST_EVERY = 300_000; // milliseconds, while the position is known
const AT_MOST_EVERY = 20_000;
const MOVED = 30; // metres
const HOUR = 3_600_000;

export class Sharing {
  isOn = false;
  obstacle: "shareDenied" | "shareUnavailable" | null = null;
  lastAt: number | null = null;
  #last: Fix | null = null;
  #watch: number | null = null;
  #lock: WakeLockSentinel | null = null;

  constructor(readonly app: App) {
    document.addEventListener("visibilitychange", () => {
      if (this.isOn && document.visibilityState === "visible") void this.#stayAwake();
    });
  }

  start(): void {
    this.isOn = true;
    this.obstacle = null;
    this.#watch = navigator.geolocation.watchPosition(
      (position) => void this.#take(fixOf(position)),
      (error) => this.#fail(error),
      { enableHighAccuracy: true, maximumAge: 10_000, timeout: 60_000 },
    );
    void this.#stayAwake();
    this.app.draw();
  }

  stop(): void {
    if (this.#watch !== null) navigator.geolocation.clearWatch(this.#watch);
    this.#watch = null;
    this.isOn = false;
    void this.#lock?.release();
    this.#lock = null;
    this.app.draw();
  }

  /** Share once: the place where this device is now. */
  async once(): Promise<void> {
    this.obstacle = null;
    try {
      const position = await new Promise<GeolocationPosition>((resolve, reject) => {
        navigator.geolocation.getCurrentPosition(resolve, reject, {
          enableHighAccuracy: true,
          maximumAge: 10_000,
          timeout: 60_000,
        });
      });
      await this.#send(fixOf(position));
    } catch (error) {
      if (!isPositionError(error)) throw error;
      this.#fail(error);
    }
  }

  /** Points that waited for a connection go with an update. */
  async onUpdate(): Promise<void> {
    const { group, view } = this.app;
    if (this.isOn && group && view && !view.isOffline && group.keyState === "ready") {
      await this.app.client.share(group.id, []);
    }
  }

  async #take(fix: Fix): Promise<void> {
    const last = this.#last;
    const passed = this.lastAt === null ? Infinity : Date.now() - this.lastAt;
    const moved = last === null ? Infinity : distance(last, fix);
    if (passed < AT_MOST_EVERY || (moved < MOVED && passed < AT_LEAST_EVERY)) return;
    try {
      await this.#send(fix);
    } catch (error) {
      this.app.fail(error);
    }
    this.app.draw();
  }

  async #send(fix: Fix): Promise<void> {
    const { group } = this.app;
    if (!group) return;
    await this.app.client.share(group.id, [fix]);
    this.#last = fix;
    this.lastAt = Date.now();
    this.obstacle = null;
  }

  #fail(error: GeolocationPositionError): void {
    this.obstacle = error.code === error.PERMISSION_DENIED ? "shareDenied" : "shareUnavailable";
    if (error.code === error.PERMISSION_DENIED && this.isOn) this.stop();
    this.app.draw();
  }

  async #stayAwake(): Promise<void> {
    try {
      this.#lock = await navigator.wakeLock.request("screen");
    } catch {
      // The screen may go dark; sharing goes on when it comes back.
    }
  }
}

function isPositionError(error: unknown): error is GeolocationPositionError {
  return typeof GeolocationPositionError === "function" && error instanceof GeolocationPositionError;
}

function fixOf({ coords, timestamp }: GeolocationPosition): Fix {
  return {
    latitude: coords.latitude,
    longitude: coords.longitude,
    accuracy: coords.accuracy,
    at: Math.min(timestamp, Date.now()),
    altitude: coords.altitude,
    velocity: coords.speed === null ? null : coords.speed * 3.6,
    course: Number.isFinite(coords.heading) ? coords.heading : null,
    battery: null,
  };
}

export function shareScreen(app: App): TemplateResult {
  const { sharing, group } = app;
  if (!group) return html`<p>${t("loading")}</p>`;
  const now = Date.now();
  const state = !sharing.isOn
    ? t("shareOff")
    : sharing.lastAt === null
      ? t("shareWaiting")
      : t("shareOn", { age: ago(sharing.lastAt, now) });
  return html`
    <p>${t("shareText", { group: shown(group.name) })}</p>
    <p role="status" class=${sharing.isOn ? "on" : "soft"}>${state}</p>
    ${sharing.obstacle ? html`<p class="failure" role="alert">${t(sharing.obstacle)}</p>` : nothing}
    ${group.isPaused
      ? html`<p class="warning">${pauseText(group.resumesAt)}</p>`
      : html`<div class="actions">
          ${sharing.isOn
            ? html`<button class="danger" @click=${() => sharing.stop()}>${t("shareStop")}</button>`
            : html`<button class="primary" @click=${() => sharing.start()}>
                ${t("shareStart")}
              </button>`}
          <button
            ?disabled=${app.isBusy}
            @click=${() => void app.act(() => sharing.once()).then(() => app.update())}
          >
            ${t("shareOnce")}
          </button>
        </div>`}
    ${pause(app, group.id, group.isPaused)}
  `;
}

function pause(app: App, groupId: string, isPaused: boolean): TemplateResult {
  const change = (what: () => Promise<void>): void =>
    void app.act(what, t("done")).then(() => app.update());
  if (isPaused) {
    return html`<button
      class="primary"
      ?disabled=${app.isBusy}
      @click=${() => change(() => app.client.resumeSharing(groupId))}
    >
      ${t("resume")}
    </button>`;
  }
  const until = (moment: number | null) => (): void => {
    if (app.sharing.isOn) app.sharing.stop();
    change(() => app.client.pause(groupId, moment));
  };
  const morning = new Date();
  morning.setDate(morning.getDate() + 1);
  morning.setHours(7, 0, 0, 0);
  return html`<section>
    <h2>${t("pauseTitle")}</h2>
    <p>${t("pauseText")}</p>
    <div class="actions">
      <button ?disabled=${app.isBusy} @click=${() => until(Date.now() + HOUR)()}>
        ${t("pauseHour")}
      </button>
      <button ?disabled=${app.isBusy} @click=${until(morning.getTime())}>${t("pauseMorning")}</button>
      <button ?disabled=${app.isBusy} @click=${until(null)}>${t("pauseOpen")}</button>
    </div>
  </section>`;
}

/** The map's place in the page. The map itself is loaded after the list. */

import { html, nothing, type TemplateResult } from "lit-html";
import { ref } from "lit-html/directives/ref.js";
import type { Position } from "../models.js";
import { t } from "../texts/index.js";
import type { App } from "./app.js";
import { loadConfig, streets } from "./config.js";
import type { FamilyMap } from "./map.js";
import { updated } from "./people.js";
import { shown } from "./words.js";

declare const MAP_CSS: string;

let map: FamilyMap | null = null;
let loading: Promise<void> | null = null;

export function mapScreen(app: App): TemplateResult {
  const followed = app.followed === null ? null : app.person(app.followed);
  const setFollowed = (userId: string | null): void => {
    app.followed = userId;
    app.draw();
  };
  const positions = app.view?.positions ?? [];
  return html`
    ${updated(app)} ${mapView(app, null)}
    <div class="actions">
      <button
        @click=${() => {
          setFollowed(null);
          map?.showAll();
        }}
      >
        ${t("fit")}
      </button>
      ${followed
        ? html`<button aria-pressed="true" @click=${() => setFollowed(null)}>
            ${t("unfollow", { name: shown(followed.name) })}
          </button>`
        : positions.map(
            (position) =>
              html`<button @click=${() => setFollowed(position.userId)}>
                ${t("follow", { name: shown(position.name) })}
              </button>`,
          )}
    </div>
    ${streetsSwitch(app)}
  `;
}

/** A map of the present positions, or of the points of a day. */
export function mapView(app: App, track: readonly Position[] | null): TemplateResult {
  return html`<div
      class="map"
      role="region"
      aria-label=${t("mapLabel")}
      ${ref((element) => {
        if (element instanceof HTMLElement) show(app, element, track);
        else drop();
      })}
    ></div>
    <p class="soft small">${t("mapData")}</p>`;
}

function show(app: App, element: HTMLElement, track: readonly Position[] | null): void {
  if (map === null || map.element !== element) {
    loading ??= load(app, element, track).finally(() => {
      loading = null;
    });
    return;
  }
  map.update(app.view?.positions ?? [], { followed: app.followed, track, towns: app.towns });
}

async function load(
  app: App,
  element: HTMLElement,
  track: readonly Position[] | null,
): Promise<void> {
  const [{ FamilyMap }] = await Promise.all([import("./map.js"), loadConfig(), loadStyles()]);
  if (!element.isConnected) return;
  drop();
  map = new FamilyMap(element, streets(), () => {
    app.followed = null;
    app.draw();
  });
  map.update(app.view?.positions ?? [], { followed: app.followed, track, towns: app.towns });
}

let styling: Promise<void> | null = null;

function loadStyles(): Promise<void> {
  styling ??= new Promise((resolve) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL(MAP_CSS, import.meta.url).href;
    link.onload = () => resolve();
    link.onerror = () => resolve(); // the map is there, if not as it should be
    document.head.append(link);
  });
  return styling;
}

function drop(): void {
  map?.remove();
  map = null;
}

function streetsSwitch(app: App): TemplateResult | typeof nothing {
  const { tiles, isOn } = streets();
  if (tiles === null) return nothing;
  const { host } = new URL(tiles.url.replace(/[{}]/g, ""));
  const set = (value: boolean): void => {
    streets(value);
    drop();
    app.draw();
  };
  return html`<details>
    <summary>${t("streets")}</summary>
    <p>${t("streetsNotice", { host })}</p>
    ${isOn
      ? html`<button @click=${() => set(false)}>${t("streetsOff")}</button>`
      : html`<button @click=${() => set(true)}>${t("streetsOn", { host })}</button>`}
  </details>`;
}

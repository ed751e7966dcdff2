/** One day of a person: the points, their download, and the deletion of one's own. */

import { html, nothing, type TemplateResult } from "lit-html";
import type { Position } from "../models.js";
import { t } from "../texts/index.js";
import type { App } from "./app.js";
import { gpx, saveFile } from "./files.js";
import { mapView } from "./map-screen.js";
import { placeName } from "./towns.js";
import { clock, length, number, shown } from "./words.js";

const SHOWN_AT_ONCE = 200;

interface Memory {
  day?: string;
  points?: readonly Position[] | null;
  shown?: number;
}

export function dayScreen(app: App, userId: string): TemplateResult {
  const memory = app.memory as Memory;
  const person = app.person(userId);
  if (!person || !app.group) return html`<p>${t("loading")}</p>`;
  if (memory.day === undefined) {
    memory.day = dayOf(app.view?.positions.find((it) => it.userId === userId)?.fix.at ?? Date.now());
    load(app, userId);
  }
  const choose = (event: Event): void => {
    const { value } = event.target as HTMLInputElement;
    if (!/^\d{4}-\d\d-\d\d$/.test(value)) return;
    memory.day = value;
    load(app, userId);
  };
  const points = memory.points ?? [];
  return html`
    <label
      >${t("day")}
      <input type="date" .value=${memory.day} max=${dayOf(Date.now())} @change=${choose}
    /></label>
    ${memory.points === undefined || memory.points === null
      ? nothing
      : points.length === 0
        ? html`<p>${t("noPoints")}</p>`
        : found(app, points, person.isMe, userId)}
  `;
}

function found(
  app: App,
  points: readonly Position[],
  isMine: boolean,
  userId: string,
): TemplateResult {
  const memory = app.memory as Memory;
  const name = `draugar-${memory.day}`;
  return html`
    <p>${t("points", { count: number(points.length) })}</p>
    ${mapView(app, points)}
    <div class="actions">
      <button @click=${() => saveFile(`${name}.gpx`, "application/gpx+xml", gpx(points))}>
        ${t("downloadGpx")}
      </button>
      <button
        @click=${() => saveFile(`${name}.json`, "application/json", JSON.stringify(points, null, 2))}
      >
        ${t("downloadJson")}
      </button>
      ${isMine
        ? html`<button class="danger" @click=${() => askToDelete(app, userId)}>
            ${t("deleteDay")}
          </button>`
        : nothing}
    </div>
    <ol class="rows">
      ${points
        .slice(-SHOWN_AT_ONCE)
        .reverse()
        .map((point) => row(app, point, userId))}
    </ol>
  `;
}

function row(app: App, point: Position, userId: string): TemplateResult {
  const { fix } = point;
  const time = clock(fix.at);
  const erase = (): void =>
    void app
      .act(async () => {
        const count = await app.client.deletePoint(point.groupId, point.pointId);
        app.done = t("deleted", { count: number(count) });
      })
      .then(() => load(app, userId));
  return html`<li>
    <span>
      <time datetime=${new Date(fix.at).toISOString()}>${time}</time>
      ${placeName(fix, app.towns) || `${fix.latitude.toFixed(4)}, ${fix.longitude.toFixed(4)}`}
      ${fix.accuracy === null
        ? nothing
        : html`<span class="soft">${t("accuracy", { metres: length(fix.accuracy) })}</span>`}
      ${point.phone ? html`<span class="soft">${shown(point.phone.tid)}</span>` : nothing}
    </span>
    ${point.isMine
      ? html`<button
          ?disabled=${app.isBusy}
          aria-label=${t("deletePointLabel", { time })}
          @click=${erase}
        >
          ${t("deletePoint")}
        </button>`
      : nothing}
  </li>`;
}

function load(app: App, userId: string): void {
  const memory = app.memory as Memory;
  const { group } = app;
  if (!group || memory.day === undefined) return;
  const [since, until] = bounds(memory.day);
  void app.act(async () => {
    memory.points = await app.client.history(group.id, { userId, since, until });
  });
}

function askToDelete(app: App, userId: string): void {
  const { group } = app;
  const { day } = app.memory as Memory;
  if (!group || day === undefined) return;
  const [since, until] = bounds(day);
  app.ask({
    title: t("deleteDay"),
    text: t("deleteDayText"),
    yes: t("deleteDay"),
    act: async () => {
      const count = await app.client.deletePoints(group.id, since, until);
      app.go({ name: "day", userId });
      app.done = t("deleted", { count: number(count) });
    },
  });
}

/** The day of a moment where the person is, such as 2026-12-01. */
function dayOf(at: number): string {
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** The first moment of a day, and that of the next; a day may have 23 or 25 hours. */
function bounds(day: string): readonly [number, number] {
  const [year, month, date] = day.split("-").map(Number) as [number, number, number];
  return [new Date(year, month - 1, date).getTime(), new Date(year, month - 1, date + 1).getTime()];
}

/** The list: who is where, how far, how long ago. All that the map shows stands here too. */

import { html, nothing, type TemplateResult } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import type { Person, Position } from "../models.js";
import { t, texts } from "../texts/index.js";
import { readInvite } from "../usecases/index.js";
import type { App } from "./app.js";
import { serviceUrl } from "./environment.js";
import { placeName } from "./towns.js";
import { ago, direction, distance, freshness, length, moment, percent, shown } from "./words.js";

export function peopleScreen(app: App): TemplateResult {
  const { view, group } = app;
  if (view === null) return app.hasNoGroup ? noGroup(app) : html`<p>${t("loading")}</p>`;
  const others = view.people.filter((person) => !person.isMe);
  const waiting = group?.keyState === "pending";
  return html`
    ${updated(app)}
    ${waiting ? html`<p class="warning">${t("keyPending")}</p>` : nothing}
    ${view.obstacle && !waiting && Object.hasOwn(texts.failures, view.obstacle)
      ? html`<p class="warning">${(texts.failures as Record<string, string>)[view.obstacle]}</p>`
      : nothing}
    ${group?.isPaused ? html`<p class="warning">${pauseText(group.resumesAt)}</p>` : nothing}
    ${others.length === 0
      ? html`<p>${t("noOne")}</p>
          <button class="primary" @click=${() => app.go({ name: "invite" })}>
            ${t("inviteFirst")}
          </button>`
      : nothing}
    <ul class="people">
      ${repeat(
        ordered(view.people, view.positions),
        ([person]) => person.userId,
        ([person, position]) => entry(app, person, position),
      )}
    </ul>
  `;
}

/** A person who has left every group, or was removed, may come into another one. */
function noGroup(app: App): TemplateResult {
  const submit = (event: Event): void => {
    event.preventDefault();
    const text = String(new FormData(event.target as HTMLFormElement).get("invite"));
    void app.act(async () => {
      readInvite(text, serviceUrl(location));
      app.opened = { is: "invite", text };
      app.go({ name: "arrival" });
    });
  };
  return html`<p>${t("noGroup")}</p>
    <form @submit=${submit}>
      <label>${t("pasteLabel")} <input name="invite" required autocomplete="off" /></label>
      <button class="primary" ?disabled=${app.isBusy}>${t("pasteButton")}</button>
    </form>`;
}

export function pauseText(resumesAt: number | null): string {
  return resumesAt === null ? t("paused") : t("pausedUntil", { time: moment(resumesAt) });
}

/** Say how old what is shown is. */
export function updated(app: App): TemplateResult {
  const { view } = app;
  const age = view ? ago(view.at, Date.now()) : "";
  return html`<p class="updated ${view?.isOffline ? "warning" : "soft"}">
    ${t(view?.isOffline ? "offline" : "updated", { age })}
    <button class="link" @click=${() => void app.act(() => app.refresh.now())}>${t("update")}</button>
  </p>`;
}

/** The others first, the newest position first; those without one, and this person, last. */
function ordered(
  people: readonly Person[],
  positions: readonly Position[],
): readonly (readonly [Person, Position | null])[] {
  const newest = new Map<string, Position>();
  for (const position of positions) {
    const known = newest.get(position.userId);
    if (!known || known.fix.at < position.fix.at) newest.set(position.userId, position);
  }
  return people
    .map((person) => [person, newest.get(person.userId) ?? null] as const)
    .sort(
      ([one, first], [other, second]) =>
        Number(one.isMe) - Number(other.isMe) || (second?.fix.at ?? 0) - (first?.fix.at ?? 0),
    );
}

function entry(app: App, person: Person, position: Position | null): TemplateResult {
  const name = shown(person.name);
  const isWaiting = person.devices.some((device) => device.standing === "pending") && !person.isMe;
  return html`<li class=${position ? freshness(position.fix.at, Date.now()) : "none"}>
    <h2>
      <bdi>${name}</bdi>
      ${person.mark ? html`<span class="soft">(${shown(person.mark)})</span>` : nothing}
      ${person.isMe ? html`<span class="tag">${t("me")}</span>` : nothing}
      ${position && !position.isConfirmed
        ? html`<span class="tag warning">${t("notConfirmed")}</span>`
        : nothing}
    </h2>
    ${position ? where(app, position) : html`<p class="soft">${t("noPosition")}</p>`}
    ${person.phones.map((phone) =>
      phone.needsSetup
        ? html`<p class="warning">${t("phoneNeedsSetup", { tid: shown(phone.tid) })}</p>`
        : nothing,
    )}
    <div class="actions">
      ${position
        ? html`<button
              @click=${() => {
                app.followed = person.userId;
                app.go({ name: "map" });
              }}
              aria-label="${t("showOnMap")}: ${name}"
            >
              ${t("showOnMap")}
            </button>
            <button
              @click=${() => app.go({ name: "day", userId: person.userId })}
              aria-label=${t("showDay", { name })}
            >
              ${t("history")}
            </button>`
        : nothing}
      ${isWaiting || person.isChanged
        ? html`<button
            class="primary"
            @click=${() => app.go({ name: "confirm", userId: person.userId })}
          >
            ${t("compare")}
          </button>`
        : nothing}
    </div>
  </li>`;
}

function where(app: App, position: Position): TemplateResult {
  const now = Date.now();
  const { fix } = position;
  const place = placeName(fix, app.towns);
  const { mine } = app;
  const far = mine && !position.isMine ? distance(mine.fix, fix) : null;
  const apart =
    far === null || mine === null
      ? null
      : far < Math.max(50, fix.accuracy ?? 0)
        ? t("here")
        : t("distanceFromMe", { distance: length(far), direction: direction(mine.fix, fix) });
  const details = [
    fix.accuracy === null ? null : t("accuracy", { metres: length(fix.accuracy) }),
    fix.battery === null ? null : t("battery", { percent: percent(fix.battery) }),
    position.phone === null ? null : t("phoneNamed", { tid: shown(position.phone.tid) }),
  ].filter((detail) => detail !== null);
  return html`
    <p class="where">
      <strong>${place || `${fix.latitude.toFixed(4)}, ${fix.longitude.toFixed(4)}`}</strong>
      ${apart === null ? nothing : html`<span>${apart}</span>`}
    </p>
    <p class="when">
      <time datetime=${new Date(fix.at).toISOString()}>${ago(fix.at, now)}</time>
      ${details.map((detail) => html`<span class="soft">${detail}</span>`)}
    </p>
    ${position.isOld ? html`<p class="soft">${t("oldPosition")}</p>` : nothing}
    ${position.isRepeat ? html`<p class="soft">${t("repeatPosition")}</p>` : nothing}
  `;
}

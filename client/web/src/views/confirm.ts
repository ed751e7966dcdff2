/** A person: comparing the safety number, their devices, and removing them. */

import { html, nothing, type TemplateResult } from "lit-html";
import type { Comparison, Device } from "../models.js";
import { t } from "../texts/index.js";
import type { App } from "./app.js";
import { moment, shown } from "./words.js";

interface Memory {
  comparison?: Comparison | null;
  differs?: boolean;
}

export function confirmScreen(app: App, userId: string): TemplateResult {
  const person = app.person(userId);
  const { group } = app;
  const memory = app.memory as Memory;
  if (!person || !group) return html`<p>${t("loading")}</p>`;
  if (memory.comparison === undefined && !person.isMe) {
    memory.comparison = null;
    void app.act(async () => {
      memory.comparison = await app.client.compare(group.id, userId);
    });
  }
  const name = shown(person.name);
  return html`
    ${person.listedName && person.listedName !== person.name
      ? html`<p class="warning">${t("listedAs", { name: shown(person.listedName) })}</p>`
      : nothing}
    ${person.isChanged ? html`<p class="warning">${t("changed", { name })}</p>` : nothing}
    <p class="soft">
      ${t(person.role)}, ${t("joined", { time: moment(person.joinedAt) })}
    </p>
    ${memory.comparison ? compare(app, memory.comparison, name) : nothing}
    <section>
      <h2>${t("devicesOf")}</h2>
      ${devices(person.devices)}
    </section>
    ${group.role === "admin" && !person.isMe
      ? html`<section>
          <button class="danger" @click=${() => askToRemove(app, userId)}>
            ${t("remove", { name })}
          </button>
        </section>`
      : nothing}
  `;
}

function compare(app: App, comparison: Comparison, name: string): TemplateResult {
  const memory = app.memory as Memory;
  if (comparison.safetyNumber === null) return html`<p>${t("confirmOwn")}</p>`;
  const agree = (): void => {
    void app
      .act(() => app.client.confirm(comparison), t("confirmed", { name }))
      .then(() => app.update());
  };
  return html`<section>
    <p>${t("confirmText", { name })}</p>
    <p class="safety">
      ${comparison.safetyNumber.split(" ").map((digits) => html`<span>${digits}</span> `)}
    </p>
    <div class="actions">
      <button class="primary" ?disabled=${app.isBusy} @click=${agree}>${t("confirmYes")}</button>
      <button
        @click=${() => {
          memory.differs = true;
          app.draw();
        }}
      >
        ${t("confirmNo")}
      </button>
    </div>
    ${memory.differs
      ? html`<p class="failure" role="alert">${t("confirmDiffer", { name })}</p>`
      : nothing}
  </section>`;
}

const STANDINGS = {
  this: "trustThis",
  trusted: "trustTrusted",
  pending: "trustPending",
  ended: "trustEnded",
} as const;
const SOURCES = {
  proof: "howProof",
  safety: "howSafety",
  own: "howOwn",
  member: "howMember",
} as const;

export function devices(known: readonly Device[]): TemplateResult {
  return html`<ul class="rows">
    ${known.map(
      (device) =>
        html`<li>
          <span>
            ${t(STANDINGS[device.standing])}
            ${device.how === null || device.standing === "this" ? nothing : t(SOURCES[device.how])}
            ${device.kind === "web" ? html`<span class="tag">${t("browser")}</span>` : nothing}
            <span class="soft id">${device.id}</span>
          </span>
        </li>`,
    )}
  </ul>`;
}

export function askToRemove(app: App, userId: string): void {
  const { group } = app;
  const person = app.person(userId);
  if (!group || !person) return;
  const name = shown(person.name);
  app.ask({
    title: t("remove", { name }),
    text: t("removeText", { name }),
    yes: t("remove", { name }),
    act: async () => {
      await app.client.remove(group.id, userId);
      await app.update();
      app.go({ name: "people" });
      app.done = t("removed", { name });
    },
  });
}

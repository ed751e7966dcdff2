/** Names, people, devices, the key, one's own data, and who can see me. */

import { html, nothing, type TemplateResult } from "lit-html";
import type { OpenInvite, OwnDevice, Person } from "../models.js";
import { t } from "../texts/index.js";
import type { App, Question } from "./app.js";
import { askToRemove, devices } from "./confirm.js";
import { saveFile } from "./files.js";
import { list, openInvites } from "./invite.js";
import { moment, shown } from "./words.js";

interface Memory {
  own?: readonly OwnDevice[];
  open?: readonly OpenInvite[];
}

export function moreScreen(app: App): TemplateResult {
  const { group, client } = app;
  if (!group || client.me === null) return html`<p>${t("loading")}</p>`;
  const isAdmin = group.role === "admin";
  loadOwn(app);
  return html`
    <div class="actions">
      <button class="primary" @click=${() => app.go({ name: "invite" })}>${t("invite")}</button>
      <button @click=${() => app.go({ name: "whoSees" })}>${t("whoSees")}</button>
    </div>
    ${client.isPersistent
      ? nothing
      : html`<p class="warning">${t("notKept")}</p>
          <p class="soft">${t("spareText")}</p>`}
    <section>
      <h2>${t("people")}</h2>
      <ul class="rows">
        ${app.people.map((person) => personRow(app, person))}
      </ul>
    </section>
    <section>
      ${nameForm(app, t("myName"), client.me.name, (name) => client.rename(name))}
      ${isAdmin
        ? nameForm(app, t("groupName"), group.name, (name) => client.renameGroup(group.id, name))
        : nothing}
    </section>
    <section>
      <h2>${t("myDevices")}</h2>
      ${ownDevices(app)}
    </section>
    ${isAdmin ? forAdmins(app, group.id, group.browsers) : nothing}
    <section class="actions">
      <button
        ?disabled=${app.isBusy}
        @click=${() =>
          void app.act(async () => {
            const all = await client.export();
            saveFile("draugar.json", "application/json", JSON.stringify(all, null, 2));
          })}
      >
        ${t("downloadAll")}
      </button>
      <button class="danger" @click=${() => app.ask(leaving(app, group.id, group.name))}>
        ${t("leave")}
      </button>
      <button class="danger" @click=${() => app.ask(signingOut(app))}>${t("signOut")}</button>
      <button class="danger" @click=${() => app.ask(deleting(app))}>${t("deleteAccount")}</button>
    </section>
    <p class="soft">${t("mapData")}</p>
  `;
}

function personRow(app: App, person: Person): TemplateResult {
  const isWaiting = person.devices.some((device) => device.standing === "pending");
  return html`<li>
    <span>
      <bdi>${shown(person.name)}</bdi>
      ${person.mark ? html`<span class="soft">(${shown(person.mark)})</span>` : nothing}
      <span class="soft">${t(person.role)}</span>
      ${person.devices.some((device) => device.kind === "web")
        ? html`<span class="tag">${t("browser")}</span>`
        : nothing}
      ${isWaiting ? html`<span class="tag warning">${t("notConfirmed")}</span>` : nothing}
    </span>
    <button
      @click=${() => app.go({ name: "confirm", userId: person.userId })}
      aria-label="${t("devicesOf")}: ${shown(person.name)}"
    >
      ${person.isMe ? t("devicesOf") : t("compare")}
    </button>
  </li>`;
}

function nameForm(
  app: App,
  label: string,
  present: string,
  rename: (name: string) => Promise<void>,
): TemplateResult {
  const submit = (event: Event): void => {
    event.preventDefault();
    const name = String(new FormData(event.target as HTMLFormElement).get("name")).trim();
    void app.act(() => rename(name), t("done")).then(() => app.update());
  };
  return html`<form class="inline" @submit=${submit}>
    <label>${label} <input name="name" required maxlength="64" .value=${present} autocomplete="off" /></label>
    <button ?disabled=${app.isBusy}>${t("rename")}</button>
  </form>`;
}

function loadOwn(app: App): void {
  const memory = app.memory as Memory;
  if (memory.own !== undefined) return;
  memory.own = [];
  void app.client
    .devices()
    .then((own) => {
      memory.own = own;
    })
    .catch((error: unknown) => app.fail(error))
    .finally(() => app.draw());
}

function ownDevices(app: App): TemplateResult {
  const { own = [] } = app.memory as Memory;
  return html`<ul class="rows">
    ${own.map(
      (device) =>
        html`<li>
          <span>
            <bdi>${shown(device.name)}</bdi>
            ${device.isThisOne ? html`<span class="tag">${t("deviceThis")}</span>` : nothing}
            <span class="soft"
              >${t("deviceSince", { time: moment(device.createdAt), day: device.lastUsedOn })}</span
            >
            ${device.needsSetup
              ? html`<span class="warning"
                  >${t("phoneNeedsSetup", { tid: shown(device.tid ?? "") })}</span
                >`
              : nothing}
          </span>
          ${device.isThisOne
            ? nothing
            : html`<button class="danger" @click=${() => app.ask(revoking(app, device))}>
                ${t("deviceRevoke")}
              </button>`}
        </li>`,
    )}
  </ul>`;
}

function revoking(app: App, device: OwnDevice): Question {
  const name = shown(device.name);
  return {
    title: `${t("deviceRevoke")}: ${name}`,
    text: t("deviceRevokeText", { name }),
    yes: t("deviceRevoke"),
    act: async () => {
      await app.client.revokeDevice(device.id);
      app.go({ name: "more" });
      app.done = t("deviceRevoked", { name });
    },
  };
}

function forAdmins(app: App, groupId: string, browsers: "accepted" | "refused"): TemplateResult {
  const { client } = app;
  const isAccepted = browsers === "accepted";
  const set = async (value: "accepted" | "refused"): Promise<void> => {
    await client.setBrowsers(groupId, value);
    await app.update();
    app.go({ name: "more" });
  };
  return html`<section>
    <h2>${t("rotate")}</h2>
    <p>${t("rotateText")}</p>
    <button
      @click=${() =>
        app.ask({
          title: t("rotate"),
          text: t("rotateText"),
          yes: t("rotate"),
          act: async () => {
            const { isMine } = await client.rotate(groupId);
            await app.update();
            app.go({ name: "more" });
            app.done = t(isMine ? "rotated" : "rotatedByOther");
          },
        })}
    >
      ${t("rotate")}
    </button>
    <h2>${t("browsersTitle")}</h2>
    <p>${t(isAccepted ? "browsersAccepted" : "browsersRefused")}</p>
    ${isAccepted
      ? html`<button
          class="danger"
          @click=${() =>
            app.ask({
              title: t("browsersRefuse"),
              text: t("browsersRefuseText"),
              yes: t("browsersRefuse"),
              act: () => set("refused"),
            })}
        >
          ${t("browsersRefuse")}
        </button>`
      : html`<button ?disabled=${app.isBusy} @click=${() => void app.act(() => set("accepted"))}>
          ${t("browsersAccept")}
        </button>`}
  </section>`;
}

function leaving(app: App, groupId: string, name: string): Question {
  return {
    title: t("leave"),
    text: t("leaveText", { group: shown(name) }),
    yes: t("leave"),
    act: async () => {
      await app.client.leave(groupId);
      app.view = null;
      await app.update();
      app.go(app.client.me === null ? { name: "welcome" } : { name: "people" });
      app.done = t("left");
    },
  };
}

function signingOut(app: App): Question {
  return {
    title: t("signOut"),
    text: t("signOutText"),
    yes: t("signOut"),
    act: () => forget(app, () => app.client.signOut(), t("signedOut")),
  };
}

function deleting(app: App): Question {
  return {
    title: t("deleteAccount"),
    text: t("deleteAccountText"),
    yes: t("deleteAccount"),
    act: () => forget(app, () => app.client.deleteAccount(), t("accountDeleted")),
  };
}

async function forget(app: App, what: () => Promise<void>, done: string): Promise<void> {
  if (app.sharing.isOn) app.sharing.stop();
  app.refresh.stop();
  await what();
  app.groups = [];
  app.view = null;
  app.notices = [];
  app.go({ name: "welcome" });
  app.done = done;
}

/** All that can read what is shared from now on, each with the action that ends it. */
export function whoSeesScreen(app: App): TemplateResult {
  const { group } = app;
  if (!group) return html`<p>${t("loading")}</p>`;
  const memory = app.memory as Memory;
  if (memory.open === undefined) {
    memory.open = [];
    void list(app, group.id);
  }
  loadOwn(app);
  const hasBrowser = app.people.some((person) => person.devices.some((it) => it.kind === "web"));
  return html`
    <p>${t("whoSeesText")}</p>
    ${hasBrowser ? html`<p class="warning">${t("whoSeesOperator")}</p>` : nothing}
    ${app.people.map(
      (person) =>
        html`<section>
          <h2><bdi>${shown(person.name)}</bdi>${person.isMe ? ` (${t("me")})` : nothing}</h2>
          ${person.devices.some((device) => device.standing === "pending")
            ? html`<p class="soft">${t("whoSeesPending")}</p>`
            : nothing}
          ${devices(person.devices)}
          ${person.phones.map((phone) => html`<p>${t("phoneNamed", { tid: shown(phone.tid) })}</p>`)}
          ${person.isMe
            ? ownDevices(app)
            : group.role === "admin"
              ? html`<button class="danger" @click=${() => askToRemove(app, person.userId)}>
                  ${t("remove", { name: shown(person.name) })}
                </button>`
              : nothing}
        </section>`,
    )}
    <section>
      <h2>${t("openInvites")}</h2>
      <p class="soft">${t("whoSeesInvite")}</p>
      ${openInvites(app, memory.open)}
    </section>
    <div class="actions">
      <button @click=${() => app.go({ name: "share" })}>${t("pauseTitle")}</button>
      <button class="danger" @click=${() => app.ask(leaving(app, group.id, group.name))}>
        ${t("leave")}
      </button>
    </div>
  `;
}

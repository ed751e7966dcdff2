/** Coming in: founding a group, joining by an invitation, or saying what stands in the way. */

import { html, nothing, type TemplateResult } from "lit-html";
import { t, texts } from "../texts/index.js";
import { Failure, readInvite } from "../usecases/index.js";
import type { App } from "./app.js";
import { deviceName, type Obstacle, serviceUrl } from "./environment.js";
import { shown } from "./words.js";

const WAYS = ["paste", "found", "join"] as const;
type Way = (typeof WAYS)[number];

/** What this person may do: by the link that was opened, or by what they have put in. */
export function welcomeScreen(app: App): TemplateResult {
  const { unfinished } = app.client;
  // Not while it is being tried: what was entered would be gone after a refusal.
  if (unfinished && !app.isBusy) return resume(app, unfinished.name);
  const way = (app.memory["way"] as Way | undefined) ?? begin(app);
  return html`
    <p>${t("welcomeText")}</p>
    ${way === "found" ? found(app) : way === "join" ? join(app) : paste(app)}
    <p class="soft">${t("browserMeans")}</p>
  `;
}

function begin(app: App): Way {
  return app.opened.is === "found" ? "found" : app.opened.is === "invite" ? "join" : "paste";
}

function choose(app: App, way: Way): void {
  app.memory["way"] = way;
  app.failure = null;
  app.draw();
  app.root.querySelector<HTMLElement>("form input")?.focus();
}

function paste(app: App): TemplateResult {
  const submit = (event: Event): void => {
    event.preventDefault();
    const text = field(event, "invite");
    void app.act(async () => {
      readInvite(text, serviceUrl(location));
      app.opened = { is: "invite", text };
      choose(app, "join");
    });
  };
  return html`<section>
    <h2>${t("pasteTitle")}</h2>
    <form @submit=${submit}>
      <label
        >${t("pasteLabel")}
        <input name="invite" required autocomplete="off" autocapitalize="characters" spellcheck="false"
      /></label>
      <p class="soft">${t("pasteHint")}</p>
      <button class="primary" ?disabled=${app.isBusy}>${t("pasteButton")}</button>
    </form>
    <button class="link" @click=${() => choose(app, "found")}>${t("foundByCode")}</button>
  </section>`;
}

function found(app: App): TemplateResult {
  const code = app.opened.is === "found" ? app.opened.code : "";
  const submit = (event: Event): void => {
    event.preventDefault();
    const wanted = {
      code: code || field(event, "code"),
      name: field(event, "name"),
      group: field(event, "group"),
      device: deviceName(),
    };
    void enter(app, () => app.client.found(wanted));
  };
  return html`<section>
    <h2>${t("foundTitle")}</h2>
    <p>${t("foundText")}</p>
    <form @submit=${submit}>
      ${code
        ? nothing
        : html`<label
            >${t("foundCodeLabel")}
            <input name="code" required autocomplete="off" autocapitalize="characters" spellcheck="false"
          /></label>`}
      ${nameField()}
      <label>${t("foundGroup")} <input name="group" required maxlength="64" autocomplete="off" /></label>
      <p class="soft">${t("storedHere")}</p>
      <button class="primary" ?disabled=${app.isBusy}>${t("foundButton")}</button>
    </form>
  </section>`;
}

function join(app: App): TemplateResult {
  const text = app.opened.is === "invite" ? app.opened.text : "";
  const read = readable(text);
  if (read instanceof Failure) {
    return html`<section>
      <p class="failure">${texts.failures.link_damaged}</p>
      <button @click=${() => choose(app, "paste")}>${t("pasteTitle")}</button>
    </section>`;
  }
  const isForMe = read.is === "link" && read.forMe;
  const submit = (event: Event): void => {
    event.preventDefault();
    const name = isForMe ? {} : { name: field(event, "name") };
    void enter(app, () => app.client.join({ invite: text, device: deviceName(), ...name }));
  };
  return html`<section>
    <h2>${isForMe ? t("joinMeTitle") : t("joinTitle")}</h2>
    <p>${isForMe ? t("joinMeText") : t("joinText")}</p>
    <form @submit=${submit}>
      ${isForMe ? nothing : nameField()}
      <p class="soft">${t("storedHere")}</p>
      <button class="primary" ?disabled=${app.isBusy}>${t("joinButton")}</button>
    </form>
  </section>`;
}

function readable(text: string): ReturnType<typeof readInvite> | Failure {
  try {
    return readInvite(text, serviceUrl(location));
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

function resume(app: App, name: string): TemplateResult {
  return html`<section>
    <h2>${t("resumeTitle")}</h2>
    <p><bdi>${shown(name)}</bdi></p>
    <p>${t("resumeText")}</p>
    <div class="actions">
      <button
        class="primary"
        ?disabled=${app.isBusy}
        @click=${() => void enter(app, () => app.client.resume())}
      >
        ${t("resumeButton")}
      </button>
      <button ?disabled=${app.isBusy} @click=${() => void app.act(() => app.client.abandon())}>
        ${t("abandonButton")}
      </button>
    </div>
  </section>`;
}

/** A member has opened an invitation: to another group, or one that they have used. */
export function arrivalScreen(app: App): TemplateResult {
  const text = app.opened.is === "invite" ? app.opened.text : "";
  const away = (): void => {
    app.forgetFragment();
    app.go({ name: "people" });
  };
  return html`<p>${t("anotherGroup")}</p>
    <div class="actions">
      <button
        class="primary"
        ?disabled=${app.isBusy}
        @click=${() => void enter(app, () => app.client.join({ invite: text }))}
      >
        ${t("joinButton")}
      </button>
      <button @click=${away}>${t("cancel")}</button>
    </div>`;
}

/** Come in, and only then take the invitation out of the address: a lost answer keeps it. */
async function enter(app: App, come: () => Promise<{ readonly id: string }>): Promise<void> {
  let groupId = "";
  const isIn = await app.act(async () => {
    groupId = (await come()).id;
  });
  if (!isIn) return;
  app.forgetFragment();
  void navigator.storage?.persist?.();
  await app.enterGroup(groupId);
}

function nameField(): TemplateResult {
  return html`<label
    >${t("yourName")} <input name="name" required maxlength="64" autocomplete="given-name" />
    <span class="soft">${t("yourNameHint")}</span></label
  >`;
}

function field(event: Event, name: string): string {
  const value = new FormData(event.target as HTMLFormElement).get(name);
  return typeof value === "string" ? value.trim() : "";
}

/** What stands in the way in this browser; nothing has been stored or sent. */
export function obstacleScreen(
  obstacle: Obstacle,
  go: { readonly copy: () => void; readonly anyway: () => void; readonly isCopied: boolean },
): TemplateResult {
  const titles = {
    insecure: t("insecureTitle"),
    inApp: t("inAppTitle"),
    old: t("oldTitle"),
    ios: t("iosTitle"),
  };
  const said = {
    insecure: t("insecureText"),
    inApp: t("inAppText"),
    old: t("oldText"),
    ios: t("iosText"),
  };
  const copied = html`<span role="status">${go.isCopied ? t("copied") : nothing}</span>`;
  return html`<main class=${obstacle}>
    <h1 tabindex="-1">${titles[obstacle]}</h1>
    <p>${said[obstacle]}</p>
    ${obstacle === "ios"
      ? html`<p><button class="primary" @click=${go.copy}>${t("iosCopy")}</button> ${copied}</p>
          <p>${t("iosAdd")}</p>
          <p>${t("iosOpen")}</p>
          <p><button class="link" @click=${go.anyway}>${t("iosAnyway")}</button></p>`
      : obstacle === "inApp"
        ? html`<p><button class="primary" @click=${go.copy}>${t("copy")}</button> ${copied}</p>`
        : nothing}
  </main>`;
}

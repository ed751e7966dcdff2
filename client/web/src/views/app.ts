/**
 * The page: what is known, what is shown of it, and what a person may do next.
 *
 * All that changes the page goes through `App.draw`. A screen begins with a heading, which gets the
 * focus when the screen comes, so that a keyboard and a screen reader go on at the next step.
 */

import { html, nothing, render, type TemplateResult } from "lit-html";
import type { Group, GroupView, Notice, Person, Position } from "../models.js";
import { failureText, noticeText, t, texts, type Values } from "../texts/index.js";
import type { Client } from "../usecases/index.js";
import { Failure } from "../usecases/index.js";
import { confirmScreen } from "./confirm.js";
import { dayScreen } from "./day.js";
import { isInstalled, type Opened, prefix } from "./environment.js";
import { inviteScreen } from "./invite.js";
import { mapScreen } from "./map-screen.js";
import { peopleScreen } from "./people.js";
import { Refresh } from "./refresh.js";
import { moreScreen, whoSeesScreen } from "./settings.js";
import { Sharing, shareScreen } from "./sharing.js";
import { loadTowns, type Town } from "./towns.js";
import { arrivalScreen, welcomeScreen } from "./welcome.js";
import { shown } from "./words.js";

/** What a person asked for that needs a second word. */
export interface Question {
  readonly title: string;
  readonly text: string;
  readonly yes: string;
  readonly act: () => Promise<unknown>;
}

export type Screen =
  | { readonly name: "welcome" | "people" | "map" | "share" | "more" | "invite" | "whoSees" }
  | { readonly name: "arrival" }
  | { readonly name: "confirm"; readonly userId: string }
  | { readonly name: "day"; readonly userId: string }
  | { readonly name: "question"; readonly question: Question };

const TABS = ["people", "map", "share", "more"] as const;
const GROUP_KEY = "draugar.group";
const MOST_NOTICES = 20;

export class App {
  screen: Screen = { name: "people" };
  groups: readonly Group[] = [];
  view: GroupView | null = null;
  hasNoGroup = false;
  notices: readonly Notice[] = [];
  failure: string | null = null;
  done: string | null = null;
  towns: readonly Town[] = [];
  /** The person whom the map follows. */
  followed: string | null = null;
  readonly sharing: Sharing;
  readonly refresh: Refresh;
  /** What the running screen keeps to itself; it goes with the screen. */
  memory: Record<string, unknown> = {};

  #busy = 0;
  #groupId: string | null = null;

  constructor(
    readonly root: HTMLElement,
    readonly client: Client,
    public opened: Opened,
  ) {
    this.sharing = new Sharing(this);
    this.refresh = new Refresh(() => this.update());
  }

  /** Show what is known, and then keep it up to date. */
  async start(): Promise<void> {
    this.client.onNotice((notice) => {
      this.notices = [notice, ...this.notices].slice(0, MOST_NOTICES);
      this.draw();
    });
    this.client.onChange(() => void this.#showKnown());
    addEventListener("popstate", (event) => {
      const known = event.state as { screen?: Screen } | null;
      this.#enter(known?.screen ?? { name: "people" });
    });
    setInterval(() => this.draw(), 30_000); // ages go on
    if (this.client.me === null) {
      this.#enter({ name: "welcome" });
      return;
    }
    await this.enterGroup();
  }

  /** Show the groups of a member: what was known last, then what is. */
  async enterGroup(groupId: string | null = stored()): Promise<void> {
    this.#groupId = groupId;
    const isArrival = this.opened.is === "invite" && !isInstalled();
    this.#enter(isArrival ? { name: "arrival" } : { name: "people" });
    await this.#showKnown();
    this.refresh.start();
    void loadTowns()
      .then((towns) => {
        this.towns = towns;
        this.draw();
      })
      .catch(() => undefined); // without a network, and never loaded: no towns are named
  }

  get group(): Group | null {
    return this.groups.find((group) => group.id === this.#groupId) ?? this.groups[0] ?? null;
  }

  get isBusy(): boolean {
    return this.#busy > 0;
  }

  get people(): readonly Person[] {
    return this.view?.people ?? [];
  }

  person(userId: string): Person | null {
    return this.people.find((person) => person.userId === userId) ?? null;
  }

  /** This person's own position: of this browser, or of another device. */
  get mine(): Position | null {
    return this.view?.positions.find((position) => position.isMine) ?? null;
  }

  chooseGroup(groupId: string): void {
    this.#groupId = groupId;
    this.view = null;
    this.followed = null;
    try {
      localStorage.setItem(GROUP_KEY, groupId);
    } catch {
      // The first group is shown next time.
    }
    void this.#showKnown().then(() => this.update());
  }

  /** Ask the service, and show what it says. */
  async update(): Promise<void> {
    try {
      this.groups = await this.client.groups();
      this.hasNoGroup = this.groups.length === 0;
      const { group } = this;
      this.view = group ? await this.client.look(group.id) : null;
      await this.sharing.onUpdate();
    } catch (error) {
      this.fail(error);
    }
    this.draw();
  }

  async #showKnown(): Promise<void> {
    const { group } = this;
    const known = group ? await this.client.lastView(group.id) : null;
    if (known && this.view === null) this.view = known;
    this.draw();
  }

  /** Show a screen, with a way back to the present one. */
  go(screen: Screen): void {
    // A question holds a function, which the history of a browser cannot.
    if (screen.name !== "question") history.pushState({ screen }, "");
    this.#enter(screen);
  }

  /** Go back to where the present screen was opened. */
  back(): void {
    if (this.screen.name === "question") this.#enter({ name: "more" });
    else history.back();
  }

  ask(question: Question): void {
    this.go({ name: "question", question });
  }

  /** Do something that may fail: the failure is shown, and what was entered stays. */
  async act(what: () => Promise<unknown>, done: string | null = null): Promise<boolean> {
    this.#busy += 1;
    this.failure = null;
    this.done = null;
    this.draw();
    try {
      await what();
      this.done = done ?? this.done;
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    } finally {
      this.#busy -= 1;
      this.draw();
    }
  }

  fail(error: unknown): void {
    if (!(error instanceof Failure)) {
      this.failure = failureText("unknown", { code: error instanceof Error ? error.name : "?" });
      return;
    }
    const values = Object.fromEntries(
      Object.entries(error.parameters).map(([name, value]) => [name, shown(String(value))]),
    );
    this.failure = failureText(error.code, values);
  }

  /** Take the invitation out of the address once it is used or declined. */
  forgetFragment(): void {
    this.opened = { is: "nothing" };
    history.replaceState(null, "", `${prefix(location)}/`);
  }

  draw(): void {
    render(this.#page(), this.root);
  }

  #enter(screen: Screen): void {
    this.screen = screen;
    this.memory = {};
    this.failure = null;
    this.done = null;
    this.draw();
    const heading = this.root.querySelector<HTMLElement>("h1");
    heading?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  #page(): TemplateResult {
    const isInside = this.client.me !== null && this.screen.name !== "welcome";
    const tab = TABS.find((name) => name === this.screen.name);
    return html`
      ${isInside ? this.#header() : nothing}
      <main class="screen-${this.screen.name}" aria-busy=${this.isBusy ? "true" : "false"}>
        <h1 tabindex="-1" class=${tab ? "quiet" : ""}>${this.#title()}</h1>
        <div role="alert">
          ${this.failure === null ? nothing : html`<p class="failure">${this.failure}</p>`}
        </div>
        <div role="status">
          ${this.done === null ? nothing : html`<p class="done">${this.done}</p>`}
          ${this.isBusy ? html`<p class="busy">${t("loading")}</p>` : nothing}
        </div>
        ${isInside && tab ? this.#noticeList() : nothing} ${this.#content()}
      </main>
      ${isInside ? this.#tabs() : nothing}
    `;
  }

  #header(): TemplateResult {
    const { group } = this;
    const isTab = TABS.some((name) => name === this.screen.name);
    return html`<header>
      ${isTab
        ? nothing
        : html`<button class="back" @click=${() => this.back()}>← ${t("back")}</button>`}
      ${this.groups.length > 1
        ? html`<label class="groups"
            ><span class="hidden">${t("switchGroup")}</span>
            <select
              .value=${group?.id ?? ""}
              @change=${(event: Event) =>
                this.chooseGroup((event.target as HTMLSelectElement).value)}
            >
              ${this.groups.map(
                (known) =>
                  html`<option value=${known.id} ?selected=${known.id === group?.id}>
                    ${shown(known.name)}
                  </option>`,
              )}
            </select></label
          >`
        : html`<p class="group"><bdi>${group ? shown(group.name) : t("app")}</bdi></p>`}
      ${this.sharing.isOn
        ? html`<button class="sharing" @click=${() => this.go({ name: "share" })}>
            ● ${t("shareBanner")}
          </button>`
        : nothing}
    </header>`;
  }

  #tabs(): TemplateResult {
    const names = { people: "people", map: "map", share: "sharing", more: "more" } as const;
    return html`<nav>
      ${TABS.map(
        (name) =>
          html`<button
            aria-current=${this.screen.name === name ? "page" : "false"}
            @click=${() => this.go({ name })}
          >
            ${t(names[name])}
          </button>`,
      )}
    </nav>`;
  }

  #noticeList(): TemplateResult | typeof nothing {
    if (this.notices.length === 0) return nothing;
    return html`<section class="notices" aria-label=${t("notices")}>
      <ul>
        ${this.notices.map((notice) => html`<li>${this.#noticeText(notice)}</li>`)}
      </ul>
      <button
        @click=${() => {
          this.notices = [];
          this.draw();
        }}
      >
        ${t("dismiss")}
      </button>
    </section>`;
  }

  #noticeText(notice: Notice): string {
    const called = (id: unknown): string => shown(notice.names[String(id)] ?? String(id));
    const given = notice.parameters;
    const person = given["person"] ?? given["device"] ?? given["author"] ?? given["wrapper"];
    const values: Values = {
      ...Object.fromEntries(
        Object.entries(given).map(([name, value]) => [name, called(value)]),
      ),
      ...(person === undefined ? {} : { person: called(person) }),
      ...(given["by"] === undefined ? {} : { by: called(given["by"]) }),
    };
    return noticeText(notice.code, values);
  }

  #title(): string {
    const named = (userId: string): string => shown(this.person(userId)?.name ?? "");
    switch (this.screen.name) {
      case "welcome":
        return t("welcome");
      case "arrival":
        return t("joinTitle");
      case "confirm":
        return t("confirmTitle", { name: named(this.screen.userId) });
      case "day":
        return t("historyTitle", { name: named(this.screen.userId) });
      case "question":
        return this.screen.question.title;
      case "share":
        return t("shareTitle");
      case "invite":
        return t("inviteTitle");
      case "more":
        return t("settings");
      default:
        return texts[this.screen.name];
    }
  }

  #content(): TemplateResult {
    switch (this.screen.name) {
      case "welcome":
        return welcomeScreen(this);
      case "arrival":
        return arrivalScreen(this);
      case "people":
        return peopleScreen(this);
      case "map":
        return mapScreen(this);
      case "share":
        return shareScreen(this);
      case "more":
        return moreScreen(this);
      case "invite":
        return inviteScreen(this);
      case "whoSees":
        return whoSeesScreen(this);
      case "confirm":
        return confirmScreen(this, this.screen.userId);
      case "day":
        return dayScreen(this, this.screen.userId);
      case "question":
        return this.#question(this.screen.question);
    }
  }

  #question(question: Question): TemplateResult {
    return html`<p>${question.text}</p>
      <div class="actions">
        <button class="danger" ?disabled=${this.isBusy} @click=${() => void this.act(question.act)}>
          ${question.yes}
        </button>
        <button @click=${() => this.back()}>${t("cancel")}</button>
      </div>`;
  }
}

function stored(): string | null {
  try {
    return localStorage.getItem(GROUP_KEY);
  } catch {
    return null;
  }
}

/** Starts the page: what it can do in this browser, and then what it shows. */

import { render } from "lit-html";
import { failureText, t, texts } from "./texts/index.js";
import { Client, Failure } from "./usecases/index.js";
import { App } from "./views/app.js";
import { findObstacle, opened, prefix, serviceUrl } from "./views/environment.js";
import { obstacleScreen } from "./views/welcome.js";

const root = document.querySelector<HTMLElement>("#app");
if (root) void start(root);

async function start(at: HTMLElement): Promise<void> {
  document.documentElement.lang = texts.language;
  document.title = t("app");
  at.replaceChildren();
  const obstacle = await findObstacle();
  const come = opened(location);
  if (obstacle !== null && (obstacle !== "ios" || come.is === "invite")) {
    let isCopied = false;
    const draw = (): void => {
      const copy = (): void =>
        void navigator.clipboard.writeText(location.href).then(() => {
          isCopied = true;
          draw();
        });
      const anyway = (): void => {
        at.replaceChildren();
        void open(at);
      };
      render(obstacleScreen(obstacle, { copy, anyway, isCopied }), at);
    };
    draw();
    return;
  }
  await open(at);
}

async function open(at: HTMLElement): Promise<void> {
  let client: Client;
  try {
    client = await Client.open({ url: serviceUrl(location) });
  } catch (error) {
    const code = error instanceof Failure ? error.code : "unknown";
    const name = error instanceof Error ? error.name : "?";
    const heading = document.createElement("h1");
    heading.textContent = code === "storage_refused" ? t("storageTitle") : t("failureTitle");
    const text = document.createElement("p");
    text.textContent =
      code === "storage_refused" ? t("storageText") : failureText(code, { code: name });
    const main = document.createElement("main");
    main.append(heading, text);
    at.replaceChildren(main);
    return;
  }
  const app = new App(at, client, opened(location));
  void keepUpToDate(app);
  await app.start();
}

/** Let the worker start the page without a network; a newer release replaces an idle page. */
async function keepUpToDate(app: App): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  const { serviceWorker } = navigator;
  const hadOne = serviceWorker.controller !== null;
  serviceWorker.addEventListener("controllerchange", () => {
    // Before anything is written by the older page; what a person is doing is let finish.
    const reload = (): void => {
      if (app.isBusy) setTimeout(reload, 1000);
      else location.reload();
    };
    if (hadOne) reload();
  });
  const scope = `${prefix(location)}/`;
  await whenIdle();
  try {
    await serviceWorker.register(`${scope}sw.js`, { scope });
  } catch {
    // The page works without it, as long as there is a network.
  }
}

function whenIdle(): Promise<void> {
  return new Promise((resolve) => {
    if ("requestIdleCallback" in globalThis) requestIdleCallback(() => resolve(), { timeout: 5000 });
    else setTimeout(resolve, 2000);
  });
}

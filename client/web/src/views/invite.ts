/** Inviting: a link with its QR code, or a code to type. */

import { html, nothing, type TemplateResult } from "lit-html";
import type { Invitation, OpenInvite } from "../models.js";
import { t } from "../texts/index.js";
import type { App } from "./app.js";
import { qrCode } from "./qr.js";
import { moment, shown } from "./words.js";

const HOURS = 24;

interface Memory {
  made?: Invitation | null;
  open?: readonly OpenInvite[];
  isCopied?: boolean;
}

export function inviteScreen(app: App): TemplateResult {
  const { group } = app;
  const memory = app.memory as Memory;
  if (group && memory.open === undefined) {
    memory.open = [];
    void list(app, group.id);
  }
  const make = (how: (groupId: string) => Promise<Invitation>): void => {
    if (!group) return;
    void app
      .act(async () => {
        memory.made = await how(group.id);
        memory.isCopied = false;
      })
      .then(() => list(app, group.id));
  };
  const link = (forMe: boolean) => (groupId: string) =>
    app.client.invite(groupId, { hours: HOURS, forMe });
  return html`
    <div class="actions">
      <button class="primary" ?disabled=${app.isBusy} @click=${() => make(link(false))}>
        ${t("inviteMake")}
      </button>
      <button ?disabled=${app.isBusy} @click=${() => make(link(true))}>${t("inviteMe")}</button>
      <button ?disabled=${app.isBusy} @click=${() => make((id) => app.client.inviteByCode(id))}>
        ${t("inviteCode")}
      </button>
    </div>
    ${memory.made ? made(app, memory.made) : nothing}
    <section>
      <h2>${t("openInvites")}</h2>
      ${openInvites(app, memory.open ?? [])}
    </section>
  `;
}

function made(app: App, invitation: Invitation): TemplateResult {
  const memory = app.memory as Memory;
  const text = invitation.link ?? invitation.code;
  const said = invitation.link === null ? "inviteCodeText" : invitation.forMe ? "inviteMeText" : "inviteText";
  const copy = (): void => {
    void navigator.clipboard.writeText(text).then(() => {
      memory.isCopied = true;
      app.draw();
    });
  };
  const share = (): void => void navigator.share({ url: text }).catch(() => undefined);
  return html`<section class="made">
    <p>${t(said, { hours: HOURS })}</p>
    ${invitation.link === null
      ? html`<p class="code">${invitation.code}</p>`
      : html`${qrCode(invitation.link)}
          <p><output class="address">${invitation.link}</output></p>`}
    <div class="actions">
      <button @click=${copy}>${t("copy")}</button>
      ${invitation.link !== null && "share" in navigator
        ? html`<button @click=${share}>${t("share")}</button>`
        : nothing}
      <span role="status">${memory.isCopied ? t("copied") : nothing}</span>
    </div>
  </section>`;
}

export async function list(app: App, groupId: string): Promise<void> {
  const { memory } = app;
  try {
    memory["open"] = await app.client.invites(groupId);
  } catch (error) {
    app.fail(error);
  }
  app.draw();
}

/** The invitations by which somebody can still come in, each with what closes it. */
export function openInvites(app: App, invites: readonly OpenInvite[]): TemplateResult {
  const now = Date.now();
  const open = invites.filter(
    (invite) =>
      invite.usedAt === null &&
      invite.revokedAt === null &&
      (invite.expiresAt === null || invite.expiresAt > now),
  );
  if (open.length === 0) return html`<p class="soft">${t("noInvites")}</p>`;
  return html`<ul class="rows">
    ${open.map(
      (invite) =>
        html`<li>
          <span>
            ${t("inviteMadeBy", {
              time: moment(invite.createdAt),
              name: shown(app.person(invite.createdBy)?.name ?? "?"),
              until: invite.expiresAt === null ? "–" : moment(invite.expiresAt),
            })}
            ${invite.forMe ? html`<span class="tag">${t("inviteForMe")}</span>` : nothing}
          </span>
          <button
            class="danger"
            ?disabled=${app.isBusy}
            @click=${() =>
              void app
                .act(() => app.client.revokeInvite(invite.id), t("done"))
                .then(() => list(app, invite.groupId))}
          >
            ${t("revoke")}
          </button>
        </li>`,
    )}
  </ul>`;
}

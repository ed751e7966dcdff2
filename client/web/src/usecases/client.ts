import type {
  Comparison,
  Fix,
  Group,
  GroupView,
  Invitation,
  Me,
  Notice,
  OpenInvite,
  OwnDevice,
  Position,
  Rotation,
  Shared,
} from "../models.js";
import { Failure } from "../errors.js";
import { Home } from "../storage/home.js";
import { checkedName } from "../text/naming.js";
import * as confirming from "./confirm.js";
import { Context } from "./context.js";
import * as inviting from "./invite.js";
import * as joining from "./join.js";
import * as looking from "./look.js";
import type { Wanted } from "./look.js";
import * as managing from "./manage.js";
import * as rotation from "./rotate.js";
import * as sharing from "./share.js";
import * as sync from "./sync.js";

export type { Wanted } from "./look.js";

export interface ClientOptions {
  /** The address of the service, with its prefix: the page's own, up to `/join` or `/`. */
  readonly url: string;
}

/** A group to be founded by a code of `#found=CODE`, or by a typed one. */
export interface Found {
  readonly code: string;
  readonly name: string;
  readonly group: string;
  /** What the device is called, such as "Firefox on Android". */
  readonly device?: string;
}

/** What to come in by: a link as it was opened, pasted or scanned, or a typed code. */
export interface Join {
  readonly invite: string;
  /** Of the person; not asked for by a link that ends in `.me`. */
  readonly name?: string;
  readonly device?: string;
}

const DEVICE = "Browser";

/** A member's device in this browser: one method per use case; no rules. */
export class Client {
  private constructor(
    private readonly url: string,
    private readonly home: Home,
    private readonly context: Context,
    /** Whether the browser has promised to keep what is stored; false: it may clear it. */
    readonly isPersistent: boolean,
  ) {}

  /** Open what this browser has kept. Rejects with `storage_refused`, `storage_newer`. */
  static async open({ url }: ClientOptions): Promise<Client> {
    // Of another service at the same origin, behind another prefix, nothing is shared.
    const service = url.replace(/\/+$/, "");
    const home = await Home.open(`draugar ${new URL(service).pathname}`);
    const isPersistent = await persist();
    return new Client(service, home, new Context(home), isPersistent);
  }

  /** Who this browser is; null before founding or joining, and after leaving the service. */
  get me(): Me | null {
    const { me } = this.home.kept;
    return me && { userId: me.userId, deviceId: me.deviceId, name: me.name };
  }

  /** A join that was begun: its answer was lost. `resume` finishes it with the same keys. */
  get unfinished(): { readonly founds: boolean; readonly name: string } | null {
    const { plan } = this.home.kept;
    return plan && { founds: plan.group !== null, name: plan.name };
  }

  /** Hear of notices, those of before first. Returns what ends it. */
  onNotice(listener: (notice: Notice) => void): () => void {
    return this.context.onNotice(listener);
  }

  /** Hear that another tab, or this one, has changed what is kept. Returns what ends it. */
  onChange(listener: () => void): () => void {
    return this.home.onChange(listener);
  }

  // Coming in. None of these is to be called before the person has tapped.

  /** Found a group: the first of this browser, or a further one, which needs no code. */
  async found(found: Found): Promise<Group> {
    const { group } = found;
    const groupId =
      this.me === null
        ? await joining.found(this.context, this.url, { device: DEVICE, ...found })
        : await joining.foundGroup(this.context, group);
    return this.settled(groupId);
  }

  /** Join by a link or a code. `invite_not_valid`, `browsers_refused`, `founding_code`, ... */
  async join(join: Join): Promise<Group> {
    const invite = joining.inviteOf(join.invite, this.url);
    if (this.me !== null && invite.forMe) throw new Failure("link_for_new_device");
    const newcomer = { name: join.name ?? "", device: join.device ?? DEVICE };
    const groupId =
      this.me === null
        ? await joining.comeIn(this.context, this.url, invite, newcomer)
        : await joining.joinGroup(this.context, invite);
    return this.settled(groupId);
  }

  /** Finish what was begun and not answered. */
  async resume(): Promise<Group> {
    return this.settled(await joining.resume(this.context));
  }

  /** Forget a begun join whose invite was refused or given up. */
  abandon(): Promise<void> {
    return joining.abandon(this.context);
  }

  private async settled(groupId: string): Promise<Group> {
    await joining.settle(this.context);
    return (await this.group(groupId)).group;
  }

  // Looking

  /** List this person's groups. Offline: those known last. */
  groups(): Promise<readonly Group[]> {
    return looking.groups(this.context);
  }

  /**
   * Update one group and show it: people and present positions. Does all that needs no word of the
   * person: takes keys, gives them, makes a new one where that is due. Offline: what was known last,
   * with `isOffline`.
   */
  async look(groupId: string): Promise<GroupView> {
    await this.begin();
    return looking.look(this.context, groupId);
  }

  /**
   * Whether `look` may show something else than it did: a position has come, or it was five minutes
   * ago. It costs one small request, so an open page asks this first.
   */
  hasNews(groupId: string): Promise<boolean> {
    return looking.hasNews(this.context, groupId);
  }

  private async group(groupId: string): Promise<GroupView> {
    return looking.look(this.context, groupId);
  }

  /** What `look` showed last, without asking the service; null where nothing is known. */
  lastView(groupId: string): GroupView | null {
    const found = this.home.kept.views[groupId];
    return found === undefined ? null : { ...found, isOffline: true };
  }

  /** The points of a person, such as those of one day, oldest first. */
  async history(groupId: string, wanted: Wanted): Promise<readonly Position[]> {
    await this.begin();
    return looking.history(this.context, groupId, wanted);
  }

  // Sharing

  /** Share fixes of this browser with a group; sends what waits, too. */
  async share(groupId: string, fixes: readonly Fix[]): Promise<Shared> {
    await sharing.put(this.context, groupId, fixes);
    await this.begin();
    return sharing.flush(this.context, groupId);
  }

  /** Pause sharing in a group until a moment, or null: until `resumeSharing`. */
  pause(groupId: string, until: number | null): Promise<void> {
    return managing.pause(this.context, groupId, until);
  }

  resumeSharing(groupId: string): Promise<void> {
    return managing.resumeSharing(this.context, groupId);
  }

  // Inviting and confirming

  /** Make a link; `hours` at most 168. */
  async invite(
    groupId: string,
    { hours = 24, forMe = false }: { hours?: number; forMe?: boolean } = {},
  ): Promise<Invitation> {
    await this.begin();
    const view = await rotation.current(this.context, groupId);
    return inviting.byLink(this.context, view, hours, forMe);
  }

  /** Make a code that is typed; the joiner is confirmed by safety number. */
  inviteByCode(groupId: string): Promise<Invitation> {
    return inviting.byCode(this.context, groupId);
  }

  async invites(groupId: string): Promise<readonly OpenInvite[]> {
    return (await this.context.api.invites()).filter((one) => one.groupId === groupId);
  }

  revokeInvite(inviteId: string): Promise<void> {
    return inviting.revoke(this.context, inviteId);
  }

  /** Who waits for a word, or whom this browser waits for. */
  async pending(groupId: string): Promise<readonly Comparison[]> {
    await this.begin();
    return confirming.pending(await sync.update(this.context, groupId));
  }

  async compare(groupId: string, userId: string): Promise<Comparison> {
    await this.begin();
    return confirming.compare(await sync.update(this.context, groupId), userId);
  }

  /** Trust just what was compared, and give it the key. `number_changed`: compare again. */
  async confirm(comparison: Comparison): Promise<void> {
    const { groupId } = comparison;
    await this.begin();
    const view = await sync.update(this.context, groupId);
    await confirming.confirm(this.context, view, comparison);
    const after = await sync.update(this.context, groupId); // which takes a key, or gives it
    if (after.decision.rotate) await rotation.rotate(this.context, groupId);
  }

  // Managing

  async rename(name: string): Promise<void> {
    await this.begin();
    await managing.rename(this.context, name);
  }

  async renameGroup(groupId: string, name: string): Promise<void> {
    const { name: title } = await this.context.api.changeGroup(groupId, { name: checkedName(name) });
    await this.home.changeGroup(groupId, (group) => ({ ...group, title }));
  }

  /** Refuse browsers, this one too, or accept them again (admins only). */
  async setBrowsers(groupId: string, browsers: "accepted" | "refused"): Promise<void> {
    await this.context.api.changeGroup(groupId, { browsers });
  }

  /** Remove a person from the group, and make a new key where they may know it. */
  async remove(groupId: string, userId: string): Promise<void> {
    await this.begin();
    await managing.remove(this.context, groupId, userId);
  }

  async rotate(groupId: string): Promise<Rotation> {
    await this.begin();
    return rotation.rotate(this.context, groupId);
  }

  leave(groupId: string): Promise<void> {
    return managing.leave(this.context, groupId);
  }

  devices(): Promise<readonly OwnDevice[]> {
    return this.context.api.devices();
  }

  /** Revoke a further device or phone of this person, and make a new key where it knew one. */
  async revokeDevice(deviceId: string): Promise<void> {
    await this.begin();
    await managing.revokeDevice(this.context, deviceId);
  }

  // One's own data

  /** All that is stored about this person, points opened; for a download. */
  export(): Promise<Record<string, unknown>> {
    return managing.exported(this.context);
  }

  /** Delete one of this person's own points; how many there were. */
  deletePoint(groupId: string, pointId: string): Promise<number> {
    return managing.deletePoints(this.context, groupId, { id: pointId });
  }

  /** Delete this person's own points in [since, until); how many there were. */
  deletePoints(groupId: string, since: number | null, until: number | null): Promise<number> {
    return managing.deletePoints(this.context, groupId, { since, until });
  }

  /** Make this browser's token void and forget everything here. */
  signOut(): Promise<void> {
    return managing.signOut(this.context);
  }

  /** Delete the person, and forget everything here. */
  deleteAccount(): Promise<void> {
    return managing.deleteAccount(this.context);
  }

  /** Stop listening to other tabs. */
  close(): void {
    this.home.close();
  }

  /** Finish what was begun before. */
  private async begin(): Promise<void> {
    await joining.settle(this.context);
  }
}

async function persist(): Promise<boolean> {
  try {
    return await navigator.storage.persist();
  } catch {
    return false;
  }
}

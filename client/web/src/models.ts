/**
 * What a page shows: values without behaviour.
 *
 * Ids are texts in lower case, times milliseconds of Unix time. Every name, mark and tid was chosen
 * by another member or by the service: it is shown as text and never as markup.
 */

/** Where a device was. Degrees of WGS 84; metres, km/h, degrees from north, percent. */
export interface Fix {
  readonly latitude: number;
  readonly longitude: number;
  /** A radius; null: unknown. */
  readonly accuracy: number | null;
  readonly at: number;
  readonly altitude: number | null;
  readonly velocity: number | null;
  readonly course: number | null;
  readonly battery: number | null;
}

/** A phone with OwnTracks, in a group. */
export interface Phone {
  readonly id: string;
  readonly tid: string;
  /** Whether the group's key has changed since the phone was set up: it shares nothing. */
  readonly needsSetup: boolean;
}

/** A point as a member may believe it. */
export interface Position {
  readonly pointId: string;
  readonly groupId: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly name: string;
  /** What tells the person from others of the same name; empty where no other has it. */
  readonly mark: string;
  readonly fix: Fix;
  readonly receivedAt: number;
  /** null: it came unsealed, in a group that never had a key. */
  readonly keyVersion: number | null;
  /** Whether this device trusts the sender's; otherwise `name` is what the service says. */
  readonly isConfirmed: boolean;
  readonly isMine: boolean;
  /** This device has seen a newer position of that person, which the service shows no more. */
  readonly isOld: boolean;
  /** Whether the device had shared this fix before, and shared it again for a newcomer. */
  readonly isRepeat: boolean;
  readonly phone: Phone | null;
}

export type TrustState = "this" | "trusted" | "pending" | "ended";
export type TrustSource = "proof" | "safety" | "own" | "member";
export type DeviceKind = "app" | "web";

/** A device with a public key, in a group. */
export interface Device {
  readonly id: string;
  readonly userId: string;
  /** Of its person. */
  readonly name: string;
  readonly mark: string;
  readonly kind: DeviceKind;
  readonly standing: TrustState;
  /** By what it is trusted; null where it is not. */
  readonly how: TrustSource | null;
  /** Whether the service lets it act. For display: never a reason to trust. */
  readonly canAct: boolean;
}

/** A person in a group. */
export interface Person {
  readonly userId: string;
  /** As confirmed, or, where no trusted device states it, as the service says. */
  readonly name: string;
  /** What the service calls them, where that is another name. */
  readonly listedName: string;
  readonly mark: string;
  readonly role: "admin" | "member";
  readonly joinedAt: number;
  readonly isMe: boolean;
  /** They have other devices than when their safety number was compared: compare again. */
  readonly isChanged: boolean;
  readonly devices: readonly Device[];
  readonly phones: readonly Phone[];
}

/** Whether this browser holds the group's present key, waits for it, or the group has none. */
export type KeyState = "ready" | "pending" | "missing";

/** A group, and what the member is in it. */
export interface Group {
  readonly id: string;
  readonly name: string;
  readonly role: "admin" | "member";
  readonly retentionDays: number;
  readonly browsers: "accepted" | "refused";
  readonly isPaused: boolean;
  readonly resumesAt: number | null;
  readonly keyState: KeyState;
}

/** One group as it was at an update. */
export interface GroupView {
  readonly group: Group;
  readonly people: readonly Person[];
  /** The present position of each person, the newest first. Empty while the key is awaited. */
  readonly positions: readonly Position[];
  /** When this was fetched. */
  readonly at: number;
  /** Whether this is what was last known, because the service did not answer. */
  readonly isOffline: boolean;
  /** Why there are no positions, or why the last update has changed nothing; a code of `Failure`. */
  readonly obstacle: string | null;
}

/**
 * Something the member must be told: a code of docs/protocol.md "What a person is told", or one of
 * `rotated`, `points_dropped`, `points_unreadable`, `plaintext_refused`, `older_than_seen`,
 * `search_ended`, `not_shared`, `export_unverified`.
 *
 * `parameters` are those of the code; those named `device`, `by`, `wrapper`, `author` and `person`
 * are ids, and `names` has what each of these ids is called.
 */
export interface Notice {
  readonly code: string;
  readonly groupId: string;
  readonly parameters: Readonly<Record<string, string | number>>;
  readonly names: Readonly<Record<string, string>>;
  readonly at: number;
}

/** An invitation just made: who has the link, or the code, can come in by it, once. */
export interface Invitation {
  readonly id: string;
  readonly groupId: string;
  /** For the QR code and the share sheet; null for an invite by typed code. */
  readonly link: string | null;
  readonly code: string;
  readonly expiresAt: number | null;
  /** Whether it admits a further device of this person. */
  readonly forMe: boolean;
}

/** An invite as the service lists it. */
export interface OpenInvite {
  readonly id: string;
  readonly groupId: string;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly usedAt: number | null;
  readonly revokedAt: number | null;
  readonly forMe: boolean;
}

/** A person to compare a safety number with, and whom a word on it would make trusted. */
export interface Comparison {
  readonly groupId: string;
  readonly userId: string;
  readonly name: string;
  readonly mark: string;
  readonly devices: readonly Device[];
  /** 12 groups of 5 digits; null for one's own devices, which come in by a link made for them. */
  readonly safetyNumber: string | null;
  readonly isMine: boolean;
  /** Whether one of them has given this device the key, which it takes on this person's word. */
  readonly givesKey: boolean;
}

/** A device that can act for the member, of all groups. */
export interface OwnDevice {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly createdAt: number;
  /** A day, `2026-12-01`. */
  readonly lastUsedOn: string;
  readonly isThisOne: boolean;
  readonly groupId: string | null;
  readonly tid: string | null;
  readonly needsSetup: boolean;
}

/** A new key. Those left out wait until a member confirms them. */
export interface Rotation {
  readonly groupId: string;
  readonly keyVersion: number;
  /** False where another device was faster. */
  readonly isMine: boolean;
}

/** What became of the points of this browser that were to be shared. */
export interface Shared {
  readonly stored: number;
  /** Refused for good; each was told as a notice. */
  readonly dropped: number;
  readonly waiting: number;
}

/** What this browser is: null in the place of it while it belongs to no person. */
export interface Me {
  readonly userId: string;
  readonly deviceId: string;
  readonly name: string;
}

/** Who is in a group: what the service lists, held against what this device knows. */

import type { Device as ShownDevice, Person, Phone } from "../models.js";
import type { Device } from "../protocol/statements.js";
import { marks } from "../text/naming.js";
import { isVoid } from "./numbers.js";
import { type Listing, type State, isSame, isTrusted, nameOf } from "./values.js";

/** A device with a public key, as the service lists it. */
export interface ListedDevice {
  readonly device: Device;
  /** Whether the service lets it act: never a reason to trust. */
  readonly canAct: boolean;
  readonly joinProof: string | null;
  readonly card: { readonly sealed: string; readonly version: number } | null;
}

/** A person in a group, as the service lists them. */
export interface ListedPerson {
  readonly userId: string;
  readonly name: string;
  readonly role: "admin" | "member";
  readonly joinedAt: number;
  readonly devices: readonly ListedDevice[];
  readonly phones: readonly Phone[];
}

/** The people of one group, as they are listed now, and as this device knows them. */
export class DeviceDirectory {
  /** Each listed phone with its person, by its id. */
  readonly phones: ReadonlyMap<string, { person: ListedPerson; phone: Phone }>;
  /** Each listed device or phone's person, by its id. */
  readonly owners: ReadonlyMap<string, ListedPerson>;
  /** What each person is called: as confirmed, or else as the service says. */
  readonly names: ReadonlyMap<string, string>;
  /** What tells people of one name apart. */
  readonly marks: ReadonlyMap<string, string>;

  constructor(
    readonly state: State,
    readonly people: readonly ListedPerson[],
  ) {
    const each = people.flatMap((person) => person.phones.map((phone) => ({ person, phone })));
    this.phones = new Map(each.map((one) => [one.phone.id, one]));
    this.owners = new Map(
      people.flatMap((person) => [
        ...person.devices.map(({ device }) => [device.deviceId, person] as const),
        ...person.phones.map((phone) => [phone.id, person] as const),
      ]),
    );
    this.names = new Map(
      people.map(({ userId, name }) => [userId, nameOf(state, userId) ?? name]),
    );
    this.marks = marks(this.names);
  }

  /** Name a person, told apart from others of the same name. */
  called(userId: string): string {
    const name = this.names.get(userId) ?? nameOf(this.state, userId) ?? "?";
    const mark = this.marks.get(userId);
    return mark === undefined ? name : `${name} [${mark}]`;
  }

  /** The devices, as decisions see them. */
  listing(usedLinks: readonly string[] = []): Listing {
    return {
      devices: this.people.flatMap(({ name, devices }) =>
        devices.map(({ device, canAct, joinProof, card }) => ({
          device,
          name,
          confirmed: canAct,
          joinProof,
          card,
        })),
      ),
      usedLinks,
    };
  }

  /** Return everyone as they are shown. */
  shown(): Person[] {
    const listing = this.listing();
    return this.people.map((person) => {
      const { userId, role, joinedAt, phones } = person;
      return {
        userId,
        name: this.names.get(userId)!,
        listedName: person.name === this.names.get(userId) ? "" : person.name,
        mark: this.marks.get(userId) ?? "",
        role,
        joinedAt,
        isMe: userId === this.state.me.userId,
        isChanged: isVoid(this.state, listing, userId),
        devices: person.devices.map((one) => this.device(person, one)),
        phones,
      };
    });
  }

  private device(person: ListedPerson, { device, canAct }: ListedDevice): ShownDevice {
    const { deviceId: id, userId, kind } = device;
    const record = this.state.records[id];
    const isThis = id === this.state.me.deviceId;
    const isKnown = record !== undefined && isTrusted(record) && isSame(record.device, device);
    return {
      id,
      userId,
      name: isKnown || isThis ? this.names.get(userId)! : person.name,
      mark: this.marks.get(userId) ?? "",
      kind,
      standing: isThis ? "this" : isKnown ? "trusted" : record === undefined ? "pending" : "ended",
      how: isKnown && !isThis ? record.source : null,
      canAct,
    };
  }
}

/** What can go wrong for a member, as values: a code, and what it is about. */

/**
 * No failure holds a text for people: `texts/` has one for each code. Codes are those of
 * docs/errors.md for a refusal of the service, and otherwise:
 *
 *     not_joined, already_joined, join_unfinished      this browser's own memory
 *     storage_refused, storage_lost, storage_newer     it cannot be used: no IndexedDB or no secure
 *                                                      context; it was cleared; a newer page wrote it
 *     service_away, temporarily_unavailable, too_many_requests, internal_error,
 *     answer_not_understood, refused                   the way to the service
 *     version_went_back, not_listed, newer_form        an answer contradicts what is known
 *     key_pending, key_not_trusted, key_outdated, group_key_missing, founding_code,
 *     invite_code_unreadable, link_unreadable, link_damaged, link_to_another_service,
 *     link_for_new_device, several_links, name_not_possible, sharing_paused, person_unknown,
 *     device_unknown, group_unknown, no_device_to_compare, own_device_not_compared, yourself,
 *     point_not_possible, number_changed, link_lives_too_long, time_past, this_device
 *                                                      what was asked for cannot be done
 */
export class Failure extends Error {
  constructor(
    readonly code: string,
    readonly parameters: Readonly<Record<string, string | number | boolean | null>> = {},
  ) {
    super(code);
    this.name = "Failure";
  }
}

/** The service has refused. */
export class Refused extends Failure {
  constructor(
    readonly status: number,
    code: string,
    parameters: Readonly<Record<string, string | number | boolean | null>> = {},
  ) {
    super(code, parameters);
    this.name = "Refused";
  }
}

/** No answer, or "not now". `mayBeDone`: what was asked for may have been done all the same. */
export class ServiceAway extends Failure {
  constructor(
    readonly mayBeDone: boolean,
    code = "service_away",
    /** Seconds after which it may be asked again, as it says. */
    readonly retryAfter: number | null = null,
  ) {
    super(code, { mayBeDone, retryAfter });
    this.name = "ServiceAway";
  }
}

export function answerNotUnderstood(): Failure {
  return new Failure("answer_not_understood");
}

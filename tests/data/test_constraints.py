"""What the database itself refuses, whoever asks: each constraint by a row that breaks it alone."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from chalicelib.db.base import Base
from chalicelib.db.failure import constraint, sqlstate
from chalicelib.models import (
    DepartedTid,
    Device,
    DeviceCard,
    ErasedPoint,
    FurtherEnvelope,
    GivenKey,
    Group,
    GroupKey,
    InviteCode,
    KeyEnvelope,
    Location,
    Member,
    OwntracksCard,
    OwntracksServed,
    OwntracksTransition,
    RateLimit,
    User,
    Vouch,
)
from tests.factories import point_id

NOBODY, FOUNDER, GUEST, DEVICE, TABLET, GROUP, MEMBERSHIP, INVITE, KEY, ENVELOPE = map(
    UUID, map("{:032}".format, range(10))
)
PRESENT = datetime.now(UTC)
AT = PRESENT.replace(microsecond=PRESENT.microsecond // 1000 * 1000)
POINT = UUID(point_id(AT))
HASH, OTHER_HASH = b"1" * 32, b"2" * 32

PLACE: dict[str, Any] = {"latitude": 64.1466, "longitude": -21.9426, "accuracy": 12.5}
NOWHERE = dict.fromkeys(PLACE)
SEALED: dict[str, Any] = NOWHERE | {"encrypted_data": bytes(41), "key_version": 1}
IN_HEARTH: dict[str, Any] = {"group_id": GROUP, "user_id": FOUNDER, "device_id": DEVICE}
FOUNDING: dict[str, Any] = {"group_id": None, "created_by": None}
PACKAGE: dict[str, Any] = {"key_package": b"1", "key_version": 1}
PROOF: dict[str, Any] = {"join_proof": HASH, "used_at": AT}
WRAPPED: dict[str, Any] = {
    "wrapped_key": bytes(72),
    "wrapper_public_key": bytes(32),
    "wrapper_device_id": NOBODY,
}
VOUCHED: dict[str, Any] = {
    "group_id": GROUP,
    "key_version": 1,
    "user_id": FOUNDER,
    "voucher_id": FOUNDER,
    "entry": bytes(41),
}
PHONE: dict[str, Any] = {"kind": "owntracks", "group_id": GROUP, "key_version": 0, "tid": "si"}
CARRIED, PASSED, FURTHER, VOUCH = (UUID(int=number) for number in (100, 101, 102, 103))

# A row of each table that breaks nothing, beside the rows of `hearth`.
RIGHT: dict[type[Base], dict[str, Any]] = {
    User: {"name": "Signy"},
    Device: {"user_id": FOUNDER, "name": "Phone", "kind": "app", "token_hash": OTHER_HASH},
    Group: {"name": "Hearth"},
    Member: {"group_id": GROUP, "user_id": GUEST, "role": "member"},
    InviteCode: {"group_id": GROUP, "created_by": FOUNDER, "code_hash": OTHER_HASH},
    Location: IN_HEARTH | {"id": POINT, "recorded_at": AT} | PLACE,
    RateLimit: {"bucket": "join", "theoretical_arrival_at": AT},
    GroupKey: {"group_id": GROUP, "key_version": 2, "commitment": HASH},
    KeyEnvelope: {"group_id": GROUP, "key_version": 1, "user_id": FOUNDER, "device_id": TABLET},
    GivenKey: {"group_id": GROUP, "key_version": 2, "user_id": FOUNDER, "device_id": DEVICE},
    FurtherEnvelope: {"group_id": GROUP, "key_version": 1, "user_id": FOUNDER, "device_id": DEVICE}
    | WRAPPED,
    Vouch: VOUCHED | {"device_id": TABLET, "voucher_device_id": DEVICE},
    DeviceCard: IN_HEARTH | {"device_id": TABLET, "key_version": 1, "sealed": bytes(41)},
    OwntracksCard: {"device_id": DEVICE},
    OwntracksServed: {"device_id": DEVICE, "user_id": FOUNDER},
    DepartedTid: {"group_id": GROUP, "tid": "ab"},
    ErasedPoint: {"group_id": GROUP, "user_id": FOUNDER, "digest": OTHER_HASH},
    OwntracksTransition: IN_HEARTH
    | {"event": "enter", "description": "", "occurred_at": AT, "waypoint_at": AT},
}

REFUSED: list[tuple[str, type[Base], dict[str, Any]]] = [
    ("pk_users", User, {"id": FOUNDER}),
    ("ck_users_name_length", User, {"name": ""}),
    ("ck_users_name_length", User, {"name": "é" * 65}),
    ("pk_devices", Device, {"id": DEVICE}),
    ("fk_devices_user_id", Device, {"user_id": NOBODY}),
    ("uq_devices_token_hash", Device, {"token_hash": HASH}),
    ("ck_devices_name_length", Device, {"name": ""}),
    ("ck_devices_name_length", Device, {"name": "é" * 65}),
    ("ck_devices_kind", Device, {"kind": "web"}),
    ("ck_devices_public_key_length", Device, {"public_key": bytes(31)}),
    ("ck_devices_public_key_length", Device, {"public_key": bytes(33)}),
    ("ck_devices_token_hash_length", Device, {"token_hash": bytes(31)}),
    ("ck_devices_token_hash_length", Device, {"token_hash": bytes(33)}),
    ("ck_devices_tid_of_owntracks", Device, {"tid": "si"}),
    ("ck_devices_tid_of_owntracks", Device, PHONE | {"tid": None}),
    ("ck_devices_tid", Device, PHONE | {"tid": "sig"}),
    ("ck_devices_tid", Device, PHONE | {"tid": "s-"}),
    ("ck_devices_group_of_owntracks", Device, {"group_id": GROUP}),
    ("ck_devices_group_of_owntracks", Device, PHONE | {"group_id": None}),
    ("ck_devices_key_version_of_owntracks", Device, {"key_version": 0}),
    ("ck_devices_key_version_of_owntracks", Device, PHONE | {"key_version": None}),
    ("ck_devices_key_version", Device, PHONE | {"key_version": -1}),
    ("fk_devices_group_id_user_id", Device, PHONE | {"user_id": GUEST}),
    ("ix_devices_group_id_tid", Device, PHONE | {"tid": "un"}),
    ("pk_owntracks_cards", OwntracksCard, {"device_id": CARRIED}),
    ("fk_owntracks_cards_device_id", OwntracksCard, {"device_id": NOBODY}),
    ("ck_owntracks_cards_name_length", OwntracksCard, {"name": ""}),
    ("ck_owntracks_cards_name_length", OwntracksCard, {"name": "é" * 65}),
    ("ck_owntracks_cards_face_length", OwntracksCard, {"face": ""}),
    ("ck_owntracks_cards_face_length", OwntracksCard, {"face": "A" * 65537}),
    ("pk_owntracks_served", OwntracksServed, {"device_id": CARRIED}),
    ("fk_owntracks_served_device_id", OwntracksServed, {"device_id": NOBODY}),
    ("fk_owntracks_served_user_id", OwntracksServed, {"user_id": NOBODY}),
    ("pk_departed_tids", DepartedTid, {"tid": "go"}),
    ("fk_departed_tids_group_id", DepartedTid, {"group_id": NOBODY}),
    ("ck_departed_tids_tid", DepartedTid, {"tid": "abc"}),
    ("pk_erased_points", ErasedPoint, {"digest": HASH}),
    ("fk_erased_points_group_id_user_id", ErasedPoint, {"user_id": GUEST}),
    ("ck_erased_points_digest_length", ErasedPoint, {"digest": bytes(31)}),
    ("pk_owntracks_transitions", OwntracksTransition, {"id": PASSED}),
    ("uq_owntracks_transitions_told_once", OwntracksTransition, {"device_id": CARRIED}),
    ("fk_owntracks_transitions_device_id", OwntracksTransition, {"device_id": NOBODY}),
    ("fk_owntracks_transitions_group_id_user_id", OwntracksTransition, {"user_id": GUEST}),
    ("ck_owntracks_transitions_event", OwntracksTransition, {"event": "stay"}),
    (
        "ck_owntracks_transitions_description_length",
        OwntracksTransition,
        {"description": "é" * 257},
    ),
    ("ck_owntracks_transitions_latitude", OwntracksTransition, {"latitude": 90.1}),
    ("ck_owntracks_transitions_longitude", OwntracksTransition, {"longitude": 180.1}),
    ("ck_owntracks_transitions_accuracy", OwntracksTransition, {"accuracy": -1}),
    ("pk_groups", Group, {"id": GROUP}),
    ("ck_groups_name_length", Group, {"name": ""}),
    ("ck_groups_name_length", Group, {"name": "é" * 65}),
    ("ck_groups_key_version", Group, {"key_version": -1}),
    ("ck_groups_rotation_of_a_key", Group, {"rotation_required": True}),
    ("ck_groups_encryption", Group, {"encryption": "never"}),
    ("ck_groups_retention_days", Group, {"retention_days": 0}),
    ("ck_groups_retention_days", Group, {"retention_days": 366}),
    ("pk_group_members", Member, {"id": MEMBERSHIP}),
    ("fk_group_members_group_id", Member, {"group_id": NOBODY}),
    ("fk_group_members_user_id", Member, {"user_id": NOBODY}),
    ("uq_group_members_group_id_user_id", Member, {"user_id": FOUNDER, "role": "member"}),
    ("ck_group_members_role", Member, {"role": "owner"}),
    ("ck_group_members_resumes_if_paused", Member, {"sharing_resumes_at": AT}),
    ("pk_invite_codes", InviteCode, {"id": INVITE}),
    ("fk_invite_codes_group_id", InviteCode, {"group_id": NOBODY}),
    ("fk_invite_codes_created_by", InviteCode, {"created_by": NOBODY}),
    ("fk_invite_codes_used_by", InviteCode, {"used_by": NOBODY, "used_at": AT}),
    ("fk_invite_codes_used_by_device_id", InviteCode, {"used_by_device_id": NOBODY}),
    ("uq_invite_codes_code_hash", InviteCode, {"code_hash": HASH}),
    ("ck_invite_codes_code_hash_length", InviteCode, {"code_hash": bytes(31)}),
    ("ck_invite_codes_code_hash_length", InviteCode, {"code_hash": bytes(33)}),
    ("ck_invite_codes_founding_has_no_creator", InviteCode, {"group_id": None}),
    ("ck_invite_codes_founding_has_no_creator", InviteCode, {"created_by": None}),
    ("ck_invite_codes_used_at_of_used", InviteCode, {"used_by": GUEST}),
    ("ck_invite_codes_used_or_revoked", InviteCode, {"used_at": AT, "revoked_at": AT}),
    ("ck_invite_codes_expires_after_creation", InviteCode, {"created_at": AT, "expires_at": AT}),
    ("ck_invite_codes_idempotency_of_used", InviteCode, {"idempotency_hash": HASH}),
    (
        "ck_invite_codes_idempotency_of_used",
        InviteCode,
        {"idempotency_hash": bytes(31), "used_at": AT},
    ),
    ("ck_invite_codes_key_package_of_live", InviteCode, PACKAGE | {"key_package": b""}),
    ("ck_invite_codes_key_package_of_live", InviteCode, PACKAGE | {"key_package": bytes(20481)}),
    ("ck_invite_codes_key_package_of_live", InviteCode, PACKAGE | {"key_version": None}),
    ("ck_invite_codes_key_package_of_live", InviteCode, PACKAGE | FOUNDING),
    ("ck_invite_codes_key_package_of_live", InviteCode, PACKAGE | {"used_at": AT}),
    ("ck_invite_codes_key_package_of_live", InviteCode, PACKAGE | {"revoked_at": AT}),
    ("ck_invite_codes_key_version", InviteCode, {"key_version": 0}),
    ("ck_invite_codes_join_proof_of_used", InviteCode, PROOF | {"join_proof": bytes(31)}),
    ("ck_invite_codes_join_proof_of_used", InviteCode, PROOF | {"join_proof": bytes(33)}),
    ("ck_invite_codes_join_proof_of_used", InviteCode, PROOF | {"used_at": None}),
    ("ck_invite_codes_for_a_creator", InviteCode, FOUNDING | {"for_creator": True}),
    ("fk_locations_group_id_user_id", Location, {"user_id": GUEST}),
    ("fk_locations_group_id_user_id", Location, {"group_id": NOBODY}),
    ("ck_locations_plaintext_or_ciphertext", Location, NOWHERE),
    ("ck_locations_plaintext_or_ciphertext", Location, {"latitude": None}),
    ("ck_locations_plaintext_or_ciphertext", Location, {"longitude": None}),
    ("ck_locations_plaintext_or_ciphertext", Location, {"accuracy": None}),
    ("ck_locations_plaintext_or_ciphertext", Location, {"key_version": 1}),
    ("ck_locations_plaintext_or_ciphertext", Location, SEALED | PLACE),
    ("ck_locations_plaintext_or_ciphertext", Location, SEALED | {"latitude": 64.1466}),
    ("ck_locations_plaintext_or_ciphertext", Location, SEALED | {"longitude": -21.9426}),
    ("ck_locations_plaintext_or_ciphertext", Location, SEALED | {"accuracy": 12.5}),
    ("ck_locations_plaintext_or_ciphertext", Location, SEALED | {"key_version": None}),
    ("ck_locations_latitude", Location, {"latitude": 90.000001}),
    ("ck_locations_latitude", Location, {"latitude": -90.000001}),
    ("ck_locations_latitude", Location, {"latitude": float("nan")}),
    ("ck_locations_longitude", Location, {"longitude": 180.000001}),
    ("ck_locations_longitude", Location, {"longitude": float("-inf")}),
    ("ck_locations_accuracy", Location, {"accuracy": -0.000001}),
    ("ck_locations_accuracy", Location, {"accuracy": 20_037_508.1}),
    ("ck_locations_encrypted_data_length", Location, SEALED | {"encrypted_data": bytes(40)}),
    ("ck_locations_encrypted_data_length", Location, SEALED | {"encrypted_data": bytes(20481)}),
    ("ck_locations_key_version", Location, SEALED | {"key_version": 0}),
    ("ck_locations_time_of_id", Location, {"recorded_at": AT + timedelta(microseconds=1)}),
    ("pk_rate_limits", RateLimit, {"bucket": "known"}),
    ("pk_group_keys", GroupKey, {"id": KEY}),
    ("fk_group_keys_group_id", GroupKey, {"group_id": NOBODY}),
    ("uq_group_keys_group_id_key_version", GroupKey, {"key_version": 1}),
    ("ck_group_keys_key_version", GroupKey, {"key_version": 0}),
    ("ck_group_keys_commitment_length", GroupKey, {"commitment": bytes(31)}),
    ("ck_group_keys_commitment_length", GroupKey, {"commitment": bytes(33)}),
    ("ck_group_keys_roster_length", GroupKey, {"roster": bytes(40)}),
    ("ck_group_keys_roster_length", GroupKey, {"roster": bytes(16385)}),
    ("ck_devices_in_browser_is_app", Device, PHONE | {"in_browser": True}),
    ("ck_groups_browsers", Group, {"browsers": "never"}),
    ("fk_group_keys_counted_for", GroupKey, {"counted_for": NOBODY}),
    ("ck_group_keys_statement_length", GroupKey, {"statement": bytes(40)}),
    ("ck_group_keys_statement_length", GroupKey, {"statement": bytes(57345)}),
    ("ck_key_envelopes_former_of_wrapped", KeyEnvelope, {"former": bytes(41)}),
    ("ck_key_envelopes_former_of_wrapped", KeyEnvelope, WRAPPED | {"former": bytes(40)}),
    ("ck_key_envelopes_former_of_wrapped", KeyEnvelope, WRAPPED | {"former": bytes(257)}),
    ("pk_further_envelopes", FurtherEnvelope, {"id": FURTHER}),
    ("uq_further_envelopes_of_each_wrapper", FurtherEnvelope, {"wrapper_device_id": TABLET}),
    ("fk_further_envelopes_device_id", FurtherEnvelope, {"device_id": NOBODY}),
    ("fk_further_envelopes_group_id_key_version", FurtherEnvelope, {"key_version": 2}),
    ("fk_further_envelopes_group_id_user_id", FurtherEnvelope, {"user_id": GUEST}),
    ("ck_further_envelopes_wrapped_key_length", FurtherEnvelope, {"wrapped_key": bytes(71)}),
    (
        "ck_further_envelopes_wrapper_public_key_length",
        FurtherEnvelope,
        {"wrapper_public_key": bytes(33)},
    ),
    ("ck_further_envelopes_roster_entry_length", FurtherEnvelope, {"roster_entry": bytes(4097)}),
    ("ck_further_envelopes_former_length", FurtherEnvelope, {"former": bytes(257)}),
    ("pk_vouches", Vouch, {"id": VOUCH}),
    (
        "uq_vouches_device_id_group_id_voucher_device_id",
        Vouch,
        {"device_id": DEVICE, "voucher_device_id": TABLET},
    ),
    ("fk_vouches_device_id", Vouch, {"device_id": NOBODY}),
    ("fk_vouches_voucher_device_id", Vouch, {"voucher_device_id": NOBODY}),
    ("fk_vouches_group_id_user_id", Vouch, {"user_id": GUEST}),
    ("fk_vouches_group_id_voucher_id", Vouch, {"voucher_id": GUEST}),
    ("ck_vouches_key_version", Vouch, {"key_version": 0}),
    ("ck_vouches_entry_length", Vouch, {"entry": bytes(40)}),
    ("ck_vouches_entry_length", Vouch, {"entry": bytes(769)}),
    ("pk_device_cards", DeviceCard, {"device_id": DEVICE}),
    ("fk_device_cards_device_id", DeviceCard, {"device_id": NOBODY}),
    ("fk_device_cards_group_id_user_id", DeviceCard, {"user_id": GUEST}),
    ("ck_device_cards_key_version", DeviceCard, {"key_version": 0}),
    ("ck_device_cards_sealed_length", DeviceCard, {"sealed": bytes(40)}),
    ("ck_device_cards_sealed_length", DeviceCard, {"sealed": bytes(3073)}),
    ("pk_given_keys", GivenKey, {"key_version": 1}),  # as the envelope of DEVICE has left it
    ("fk_given_keys_device_id", GivenKey, {"device_id": NOBODY}),
    ("fk_given_keys_group_id_user_id", GivenKey, {"user_id": GUEST}),
    ("ck_given_keys_key_version", GivenKey, {"key_version": 0}),
    ("pk_key_envelopes", KeyEnvelope, {"id": ENVELOPE}),
    ("fk_key_envelopes_device_id", KeyEnvelope, {"device_id": NOBODY}),
    ("fk_key_envelopes_group_id_key_version", KeyEnvelope, {"key_version": 2}),
    ("fk_key_envelopes_group_id_user_id", KeyEnvelope, {"user_id": GUEST}),
    (
        "uq_key_envelopes_device_id_group_id_key_version",
        KeyEnvelope,
        WRAPPED | {"device_id": DEVICE},
    ),
    ("ck_key_envelopes_wrapped_key_length", KeyEnvelope, WRAPPED | {"wrapped_key": bytes(71)}),
    ("ck_key_envelopes_wrapped_key_length", KeyEnvelope, WRAPPED | {"wrapped_key": bytes(73)}),
    (
        "ck_key_envelopes_wrapper_public_key_length",
        KeyEnvelope,
        WRAPPED | {"wrapper_public_key": bytes(31)},
    ),
    (
        "ck_key_envelopes_wrapper_public_key_length",
        KeyEnvelope,
        WRAPPED | {"wrapper_public_key": bytes(33)},
    ),
    ("ck_key_envelopes_roster_entry_length", KeyEnvelope, WRAPPED | {"roster_entry": bytes(40)}),
    ("ck_key_envelopes_roster_entry_length", KeyEnvelope, WRAPPED | {"roster_entry": bytes(4097)}),
    ("ck_key_envelopes_wrapper_of_wrapped", KeyEnvelope, WRAPPED | {"wrapped_key": None}),
    ("ck_key_envelopes_wrapper_of_wrapped", KeyEnvelope, WRAPPED | {"wrapper_public_key": None}),
    ("ck_key_envelopes_wrapper_of_wrapped", KeyEnvelope, WRAPPED | {"wrapper_device_id": None}),
    ("ck_key_envelopes_wrapper_of_wrapped", KeyEnvelope, {"roster_entry": bytes(41)}),
]

ACCEPTED: list[tuple[type[Base], dict[str, Any]]] = [
    (User, {"name": "é"}),
    (User, {"name": "é" * 64}),
    (Device, {"name": "é" * 64, "public_key": bytes(32)}),
    (Device, PHONE),
    (Device, PHONE | {"tid": "un", "revoked_at": AT}),
    (OwntracksCard, {"name": "é" * 64, "face": "A" * 65536}),
    (OwntracksServed, {"user_id": GUEST}),
    (OwntracksTransition, {"event": "leave", "description": "é" * 256}),
    (OwntracksTransition, PLACE),
    (Group, {"name": "é" * 64, "retention_days": 1, "encryption": "optional"}),
    (Group, {"retention_days": 365, "key_version": 1, "rotation_required": True}),
    (Member, {"role": "admin"}),
    (Member, {"sharing_paused": True, "sharing_resumes_at": AT}),
    (InviteCode, {"created_at": AT, "expires_at": AT + timedelta(microseconds=1)}),
    (InviteCode, FOUNDING),
    (InviteCode, {"used_at": AT, "used_by": GUEST, "idempotency_hash": HASH, "key_version": 1}),
    (InviteCode, PROOF | {"used_by": GUEST, "used_by_device_id": DEVICE}),
    (InviteCode, {"used_at": AT}),
    (InviteCode, {"revoked_at": AT, "for_creator": True}),
    (InviteCode, PACKAGE),
    (InviteCode, PACKAGE | {"key_package": bytes(20480)}),
    (Location, {"latitude": 90, "longitude": 180, "accuracy": 0}),
    (Location, {"latitude": -90, "longitude": -180, "accuracy": 20_037_508}),
    (Location, SEALED),
    (Location, SEALED | {"encrypted_data": bytes(20480)}),
    (GroupKey, {"roster": bytes(41)}),
    (GroupKey, {"key_version": 3, "roster": bytes(16384)}),  # whoever counts is not asked
    (KeyEnvelope, {}),
    (KeyEnvelope, WRAPPED),
    (KeyEnvelope, WRAPPED | {"roster_entry": bytes(41)}),
    (KeyEnvelope, WRAPPED | {"roster_entry": bytes(4096)}),
    (KeyEnvelope, WRAPPED | {"former": bytes(41)}),
    (KeyEnvelope, WRAPPED | {"former": bytes(256)}),
    (GroupKey, {"statement": bytes(41), "counted_for": FOUNDER}),
    (GroupKey, {"statement": bytes(57344)}),
    (FurtherEnvelope, {"roster_entry": bytes(4096), "former": bytes(256)}),
    (FurtherEnvelope, {"roster_entry": bytes(41), "former": bytes(41)}),
    (Vouch, {"entry": bytes(768)}),
    (DeviceCard, {"sealed": bytes(3072)}),
    (Device, {"in_browser": True}),
    (Group, {"browsers": "refused"}),
]

# A change that a row may make and the one that it may not, for each trigger.
ONE_WAY: dict[str, tuple[type[Base], dict[str, Any], dict[str, Any]]] = {
    "public_key_is_written_once": (
        Device,
        {"public_key": bytes(32)},
        {"public_key": HASH},
    ),
    "encryption_stays_required": (
        Group,
        {"encryption": "required"},
        {"encryption": "optional"},
    ),
    "key_version_never_falls": (
        Group,
        {"key_version": 5},
        {"key_version": 4},
    ),
    "a_used_code_stays_used": (
        InviteCode,
        {"used_at": AT},
        {"used_at": None, "used_by": None},
    ),
}

# What no row of a table may change any more once it stands, for each trigger.
STANDING: dict[str, tuple[type[Base], list[dict[str, Any]]]] = {
    "a_version_stays": (
        GroupKey,
        [
            *({"key_version": 2}, {"commitment": OTHER_HASH}, {"commitment": HASH}),
            *({"roster": None}, {"statement": None}, {"group_id": NOBODY}, {"created_at": AT}),
        ],
    ),
    "a_further_envelope_stays": (
        FurtherEnvelope,
        [{"wrapped_key": b"2" * 72}, {"former": None}, {"device_id": TABLET}],
    ),
    "a_phone_stays": (
        Device,
        [{"tid": "xx"}, {"group_id": None}, {"kind": "app"}, {"user_id": GUEST}],
    ),
    "a_transition_stays": (OwntracksTransition, [{"event": "leave"}, {"event": "enter"}]),
    "an_envelope_stays": (
        KeyEnvelope,
        [
            *({name: value} for name, value in (WRAPPED | {"roster_entry": None}).items()),
            {"wrapped_key": b"2" * 72},
            {"device_id": TABLET},
        ],
    ),
}


# What a trigger does by itself, and refuses nothing: the test of each stands below.
NOTING = {"an_envelope_is_noted"}


@pytest.fixture
def hearth(database: Connection) -> Connection:
    """A database with a group and its key, its founder with devices and an invite, and a guest."""
    rows: list[tuple[type[Base], dict[str, Any]]] = [
        (User, {"id": FOUNDER}),
        (User, {"id": GUEST}),
        (Device, {"id": DEVICE, "token_hash": HASH}),
        (Device, {"id": TABLET, "token_hash": b"3" * 32}),
        (Group, {"id": GROUP, "encryption": "optional"}),
        (Member, {"id": MEMBERSHIP, "user_id": FOUNDER, "role": "admin"}),
        (Device, PHONE | {"id": CARRIED, "token_hash": b"4" * 32, "tid": "un"}),
        (OwntracksCard, {"device_id": CARRIED}),
        (OwntracksServed, {"device_id": CARRIED}),
        (DepartedTid, {"tid": "go"}),
        (ErasedPoint, {"digest": HASH}),
        (OwntracksTransition, {"id": PASSED, "device_id": CARRIED}),
        (InviteCode, {"id": INVITE, "code_hash": HASH}),
        (RateLimit, {"bucket": "known"}),
        (GroupKey, {"id": KEY, "key_version": 1}),
        (KeyEnvelope, WRAPPED | {"id": ENVELOPE, "device_id": DEVICE}),
        (FurtherEnvelope, {"id": FURTHER, "wrapper_device_id": TABLET}),
        (Vouch, {"id": VOUCH, "device_id": DEVICE, "voucher_device_id": TABLET}),
        (DeviceCard, {"device_id": DEVICE}),
    ]
    for model, changes in rows:
        database.execute(insert(model).values(RIGHT[model] | changes))
    return database


def error_of(database: Connection, statement: Any) -> DBAPIError:
    with pytest.raises(DBAPIError) as caught, database.begin_nested():
        database.execute(statement)
    return caught.value


@pytest.mark.parametrize(("name", "model", "changes"), REFUSED)
def test_a_row_that_breaks_a_rule_is_refused(
    hearth: Connection, name: str, model: type[Base], changes: dict[str, Any]
) -> None:
    error = error_of(hearth, insert(model).values(RIGHT[model] | changes))

    assert constraint(error) == name


@pytest.mark.parametrize(("model", "changes"), ACCEPTED)
def test_a_row_at_the_edge_of_the_rules_is_taken(
    hearth: Connection, model: type[Base], changes: dict[str, Any]
) -> None:
    row = RIGHT[model] | changes

    hearth.execute(insert(model).values(row))

    kept = select(model).where(*(getattr(model, name) == value for name, value in row.items()))
    assert hearth.execute(kept).one()


@pytest.mark.parametrize("model", RIGHT)
def test_what_a_row_cannot_do_without_is_refused_as_null(
    hearth: Connection, model: type[Base]
) -> None:
    required = [column.name for column in model.__table__.columns if not column.nullable]

    states = {
        name: sqlstate(error_of(hearth, insert(model).values(RIGHT[model] | {name: None})))
        for name in required
    }

    # A point without a time finds no partition, and then nothing asks whether it may be null.
    expected = {name: "23514" if name == "recorded_at" else "23502" for name in required}
    assert states == expected


def test_a_point_is_kept_once(hearth: Connection) -> None:
    hearth.execute(insert(Location).values(RIGHT[Location]))

    error = error_of(hearth, insert(Location).values(RIGHT[Location] | SEALED))

    # Named after its partition's index, which has taken the place of pk_locations.
    assert sqlstate(error) == "23505"
    assert re.fullmatch(r"locations_\d{4}_\d{2}_pkey", constraint(error) or "")


def test_a_point_of_a_month_without_a_partition_is_refused(hearth: Connection) -> None:
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    row = RIGHT[Location] | {"id": UUID(point_id(long_ago)), "recorded_at": long_ago}

    error = error_of(hearth, insert(Location).values(row))

    assert sqlstate(error) == "23514"


@pytest.mark.parametrize("name", ONE_WAY)
def test_a_change_goes_one_way_only(hearth: Connection, name: str) -> None:
    model, there, back = ONE_WAY[name]
    row = update(model).where(model.__table__.c.id.in_([DEVICE, GROUP, INVITE]))
    hearth.execute(row.values(there))

    error = error_of(hearth, row.values(back))

    assert (sqlstate(error), constraint(error)) == ("23514", name)


@pytest.mark.parametrize("name", ONE_WAY)
def test_what_was_set_once_may_be_set_to_the_same_again(hearth: Connection, name: str) -> None:
    model, there, _ = ONE_WAY[name]
    row = update(model).where(model.__table__.c.id.in_([DEVICE, GROUP, INVITE]))
    hearth.execute(row.values(there))

    again = hearth.execute(row.values(there))

    assert again.rowcount == 1


@pytest.mark.parametrize("name", STANDING)
def test_what_stands_is_never_changed(hearth: Connection, name: str) -> None:
    model, changes = STANDING[name]
    row = update(model).where(model.__table__.c.id.in_([KEY, ENVELOPE, CARRIED, PASSED, FURTHER]))

    errors = [error_of(hearth, row.values(change)) for change in changes]

    told = [(sqlstate(error), constraint(error)) for error in errors]
    assert told == [("23514", name)] * len(changes)


@pytest.mark.parametrize(
    "change",
    [{"device_id": DEVICE}, {"key_version": 2}, {"user_id": GUEST}, {"group_id": NOBODY}],
    ids=str,
)
def test_an_empty_envelope_is_filled_for_whom_it_was_made(
    hearth: Connection, change: dict[str, Any]
) -> None:
    hearth.execute(insert(KeyEnvelope).values(RIGHT[KeyEnvelope]))
    empty = update(KeyEnvelope).where(KeyEnvelope.device_id == TABLET)

    error = error_of(hearth, empty.values(WRAPPED | change))
    filled = hearth.execute(empty.values(WRAPPED))

    assert constraint(error) == "an_envelope_stays"
    assert filled.rowcount == 1


def test_a_deleted_person_is_forgotten_in_the_versions_that_counted_for_them(
    hearth: Connection,
) -> None:
    counted = RIGHT[GroupKey] | {"counted_for": GUEST}
    hearth.execute(insert(GroupKey).values(counted))

    hearth.execute(delete(User).where(User.id == GUEST))

    kept = select(GroupKey.counted_for, GroupKey.commitment).where(GroupKey.key_version == 2)
    assert tuple(hearth.execute(kept).one()) == (None, HASH)


def test_each_envelope_leaves_a_row_that_says_who_was_given_what(hearth: Connection) -> None:
    row = insert(KeyEnvelope).values(
        [RIGHT[KeyEnvelope], RIGHT[KeyEnvelope] | {"device_id": GUEST}]
    )
    error_of(hearth, row)
    hearth.execute(insert(KeyEnvelope).values(RIGHT[KeyEnvelope]))
    hearth.execute(delete(KeyEnvelope))

    again = hearth.execute(insert(KeyEnvelope).values(RIGHT[KeyEnvelope]))

    assert again.rowcount == 1
    assert set(hearth.execute(select(GivenKey.__table__)).all()) == {
        (device_id, GROUP, 1, FOUNDER) for device_id in (DEVICE, TABLET)
    }


def test_every_rule_of_the_database_is_broken_here(database: Connection) -> None:
    rules = """
        SELECT conname FROM pg_constraint JOIN pg_class c ON c.oid = conrelid
        WHERE contype IN ('c', 'f', 'p', 'u', 'x') AND NOT relispartition
        AND c.relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
        UNION SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
    """

    known = set(database.scalars(text(rules)))

    triggers = ONE_WAY.keys() | STANDING.keys() | NOTING
    # What is unique among some rows only is an index, and no constraint.
    refused = {name for name, _, _ in REFUSED} - {"ix_devices_group_id_tid"}
    assert known ^ (refused | {"pk_locations"} | triggers) == set(), (
        "A constraint or trigger is new or gone: add a row that breaks it to REFUSED in"
        " tests/data/test_constraints.py, a trigger to ONE_WAY or STANDING; or take it out."
    )

"""Phones with OwnTracks: which group they post to, and what else they say and are told.

A phone belongs to one group, as its app shows one set of friends, and goes with its owner's
membership. `key_version` is the key it was set up with; 0 stands for none.
"""

from alembic import op

revision = "0014"
down_revision = "0013"

# `tid` is all by which the apps tell friends apart. Android cuts longer ones.
DEVICES = """
ALTER TABLE devices
    ADD COLUMN group_id uuid,
    ADD COLUMN key_version integer,
    ADD CONSTRAINT fk_devices_group_id_user_id FOREIGN KEY (group_id, user_id)
        REFERENCES group_members (group_id, user_id) ON DELETE CASCADE,
    ADD CONSTRAINT ck_devices_group_of_owntracks
        CHECK ((group_id IS NOT NULL) = (kind = 'owntracks')),
    ADD CONSTRAINT ck_devices_key_version_of_owntracks
        CHECK ((key_version IS NOT NULL) = (kind = 'owntracks')),
    ADD CONSTRAINT ck_devices_key_version CHECK (key_version >= 0),
    ADD CONSTRAINT ck_devices_tid CHECK (tid ~ '^[A-Za-z0-9]{2}$')
"""

NO_DEVICES = "ALTER TABLE devices DROP COLUMN group_id, DROP COLUMN key_version"

CARDS = """
CREATE TABLE owntracks_cards (
    device_id uuid NOT NULL
        CONSTRAINT pk_owntracks_cards PRIMARY KEY
        CONSTRAINT fk_owntracks_cards_device_id REFERENCES devices ON DELETE CASCADE,
    name varchar,
    face varchar,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_owntracks_cards_name_length CHECK (char_length(name) BETWEEN 1 AND 64),
    CONSTRAINT ck_owntracks_cards_face_length CHECK (octet_length(face) BETWEEN 1 AND 65536)
)
"""

TRANSITIONS = """
CREATE TABLE owntracks_transitions (
    id uuid NOT NULL DEFAULT new_id() CONSTRAINT pk_owntracks_transitions PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    group_id uuid NOT NULL,
    user_id uuid NOT NULL,
    device_id uuid NOT NULL
        CONSTRAINT fk_owntracks_transitions_device_id REFERENCES devices ON DELETE CASCADE,
    event varchar NOT NULL,
    description varchar NOT NULL,
    occurred_at timestamptz NOT NULL,
    waypoint_at timestamptz NOT NULL,
    latitude double precision,
    longitude double precision,
    accuracy double precision,
    CONSTRAINT uq_owntracks_transitions_told_once
        UNIQUE (device_id, occurred_at, event, description),
    CONSTRAINT fk_owntracks_transitions_group_id_user_id FOREIGN KEY (group_id, user_id)
        REFERENCES group_members (group_id, user_id) ON DELETE CASCADE,
    CONSTRAINT ck_owntracks_transitions_event CHECK (event IN ('enter', 'leave')),
    CONSTRAINT ck_owntracks_transitions_description_length
        CHECK (char_length(description) <= 256),
    CONSTRAINT ck_owntracks_transitions_latitude CHECK (latitude BETWEEN -90 AND 90),
    CONSTRAINT ck_owntracks_transitions_longitude CHECK (longitude BETWEEN -180 AND 180),
    CONSTRAINT ck_owntracks_transitions_accuracy CHECK (accuracy BETWEEN 0 AND 20037508)
)
"""

SERVED = """
CREATE TABLE owntracks_served (
    device_id uuid NOT NULL
        CONSTRAINT fk_owntracks_served_device_id REFERENCES devices ON DELETE CASCADE,
    user_id uuid NOT NULL
        CONSTRAINT fk_owntracks_served_user_id REFERENCES users ON DELETE CASCADE,
    sealed_served_at timestamptz,
    card_served_at timestamptz,
    transition_id uuid,
    CONSTRAINT pk_owntracks_served PRIMARY KEY (device_id, user_id)
)
"""

INDEXES = [
    "CREATE INDEX ix_devices_group_id_user_id ON devices (group_id, user_id)",
    """
    CREATE UNIQUE INDEX ix_devices_group_id_tid
    ON devices (group_id, tid) WHERE revoked_at IS NULL
    """,
    """
    CREATE INDEX ix_owntracks_transitions_group_id_user_id
    ON owntracks_transitions (group_id, user_id)
    """,
    "CREATE INDEX ix_owntracks_served_user_id ON owntracks_served (user_id)",
]

ONE_WAY = {
    # Its friends file it under its tid.
    ("devices", "a_phone_stays"): (
        "(new.user_id, new.kind, new.group_id, new.tid)"
        " IS DISTINCT FROM (old.user_id, old.kind, old.group_id, old.tid)"
    ),
    ("owntracks_transitions", "a_transition_stays"): "true",
}

# What 0013 grants, and these tables. Whoever removes somebody deletes phones with the rights of
# the table's owner.
GRANT = """
CREATE FUNCTION grant_rights() RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM grant_rights_of_0013();
    IF to_regrole('draugar_api') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE ON owntracks_cards, owntracks_served TO draugar_api;
        GRANT SELECT, INSERT ON owntracks_transitions TO draugar_api;
    END IF;
    IF to_regrole('draugar_maintenance') IS NOT NULL THEN
        GRANT SELECT, DELETE ON owntracks_transitions TO draugar_maintenance;
    END IF;
END $$
"""


def upgrade() -> None:
    for statement in (DEVICES, CARDS, TRANSITIONS, SERVED, *INDEXES):
        op.execute(statement)
    for (table, name), when in ONE_WAY.items():
        op.execute(
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table}"
            f" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
        )
    op.execute("ALTER FUNCTION grant_rights() RENAME TO grant_rights_of_0013")
    op.execute(GRANT)
    op.execute("REVOKE ALL ON FUNCTION grant_rights() FROM PUBLIC")
    op.execute("SELECT grant_rights()")


def downgrade() -> None:
    op.execute("DROP FUNCTION grant_rights()")
    op.execute("ALTER FUNCTION grant_rights_of_0013() RENAME TO grant_rights")
    for table in ("owntracks_served", "owntracks_transitions", "owntracks_cards"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP TRIGGER a_phone_stays ON devices")
    # No former release can have made one.
    op.execute("DELETE FROM devices WHERE kind = 'owntracks'")
    op.execute("ALTER TABLE devices DROP CONSTRAINT ck_devices_tid")
    op.execute(NO_DEVICES)

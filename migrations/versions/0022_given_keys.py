"""Remember which device was given which version of a group's key.

Whether a departure costs the group a new key was told by the departing person's key pairs, and a
device that had never been given a key made everybody change it. An envelope cannot tell either: its
device may delete it. So each envelope, when it comes, leaves a row that only the end of the
membership or of the device deletes. A trigger writes it, for the former release adds envelopes too
while it is still running.
"""

from alembic import op

revision = "0022"
down_revision = "0021"

GIVEN = """
CREATE TABLE given_keys (
    device_id uuid NOT NULL
        CONSTRAINT fk_given_keys_device_id REFERENCES devices ON DELETE CASCADE,
    group_id uuid NOT NULL,
    key_version integer NOT NULL,
    user_id uuid NOT NULL,
    CONSTRAINT pk_given_keys PRIMARY KEY (device_id, group_id, key_version),
    CONSTRAINT fk_given_keys_group_id_user_id FOREIGN KEY (group_id, user_id)
        REFERENCES group_members (group_id, user_id) ON DELETE CASCADE,
    CONSTRAINT ck_given_keys_key_version CHECK (key_version > 0)
)
"""

INDEX = "CREATE INDEX ix_given_keys_group_id_user_id ON given_keys (group_id, user_id)"

NOTE = """
CREATE FUNCTION note_given_keys() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.given_keys (device_id, group_id, key_version, user_id)
    SELECT device_id, group_id, key_version, user_id FROM made ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$
"""

TRIGGER = """
CREATE TRIGGER an_envelope_is_noted AFTER INSERT ON key_envelopes
REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION note_given_keys()
"""

# An envelope that is there; one that the device wrapped for another; a key package that it
# redeemed. A device that has deleted its only envelope of a version cannot be told any more.
BACKFILL = """
INSERT INTO given_keys (device_id, group_id, key_version, user_id)
SELECT device_id, group_id, key_version, user_id FROM key_envelopes
UNION
SELECT devices.id, key_envelopes.group_id, key_envelopes.key_version, members.user_id
FROM key_envelopes
JOIN devices ON devices.id = wrapper_device_id
JOIN group_members members
    ON members.group_id = key_envelopes.group_id AND members.user_id = devices.user_id
    AND joined_at <= key_envelopes.created_at
UNION
SELECT devices.id, invite_codes.group_id, invite_codes.key_version, members.user_id
FROM invite_codes
JOIN devices ON devices.id = used_by_device_id AND public_key IS NOT NULL
JOIN group_members members
    ON members.group_id = invite_codes.group_id AND members.user_id = devices.user_id
    AND joined_at <= used_at
WHERE invite_codes.key_version IS NOT NULL
"""

GRANT = """
CREATE FUNCTION grant_rights() RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM grant_rights_of_0021();
    IF to_regrole('draugar_api') IS NOT NULL THEN
        GRANT SELECT, INSERT ON given_keys TO draugar_api;
    END IF;
END $$
"""


def upgrade() -> None:
    # The trigger first: it waits for whoever is adding an envelope, so that none is missed.
    for statement in (GIVEN, INDEX, NOTE, TRIGGER, BACKFILL):
        op.execute(statement)
    op.execute("ALTER FUNCTION grant_rights() RENAME TO grant_rights_of_0021")
    op.execute(GRANT)
    op.execute("REVOKE ALL ON FUNCTION grant_rights() FROM PUBLIC")
    op.execute("SELECT grant_rights()")


def downgrade() -> None:
    op.execute("DROP FUNCTION grant_rights()")
    op.execute("ALTER FUNCTION grant_rights_of_0021() RENAME TO grant_rights")
    op.execute("DROP TRIGGER an_envelope_is_noted ON key_envelopes")
    op.execute("DROP FUNCTION note_given_keys()")
    op.execute("DROP TABLE given_keys")

"""Locations, partitioned by the month they were recorded in."""

from alembic import op

revision = "0007"
down_revision = "0006"

LOCATIONS = """
CREATE TABLE locations (
    group_id uuid NOT NULL,
    user_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    id uuid NOT NULL,
    device_id uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    latitude double precision,
    longitude double precision,
    accuracy double precision,
    encrypted_data bytea,
    key_version integer,
    CONSTRAINT pk_locations PRIMARY KEY (group_id, user_id, recorded_at, id),
    CONSTRAINT fk_locations_group_id_user_id FOREIGN KEY (group_id, user_id)
        REFERENCES group_members (group_id, user_id) ON DELETE CASCADE,
    CONSTRAINT ck_locations_plaintext_or_ciphertext CHECK (
        CASE WHEN encrypted_data IS NULL
            THEN latitude IS NOT NULL AND longitude IS NOT NULL AND accuracy IS NOT NULL
                AND key_version IS NULL
            ELSE latitude IS NULL AND longitude IS NULL AND accuracy IS NULL
                AND key_version IS NOT NULL
        END
    ),
    CONSTRAINT ck_locations_latitude CHECK (latitude BETWEEN -90 AND 90),
    CONSTRAINT ck_locations_longitude CHECK (longitude BETWEEN -180 AND 180),
    CONSTRAINT ck_locations_accuracy CHECK (accuracy BETWEEN 0 AND 20037508),
    CONSTRAINT ck_locations_encrypted_data_length
        CHECK (octet_length(encrypted_data) BETWEEN 41 AND 4096),
    CONSTRAINT ck_locations_key_version CHECK (key_version > 0),
    CONSTRAINT ck_locations_time_of_id CHECK (recorded_at = uuid_time(id))
) PARTITION BY RANGE (recorded_at)
"""


def upgrade() -> None:
    op.execute(LOCATIONS)


def downgrade() -> None:
    op.execute("DROP TABLE locations")

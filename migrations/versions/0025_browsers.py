"""Note which devices are browsers, and which groups refuse them.

A browser signs in as any app does, and the former release, which is still running, knows no other
kind: so it is a column of its own, and not another `kind`.
"""

from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE devices
            ADD COLUMN in_browser boolean NOT NULL DEFAULT false,
            ADD CONSTRAINT ck_devices_in_browser_is_app CHECK (NOT in_browser OR kind = 'app')
    """)
    op.execute("""
        ALTER TABLE groups
            ADD COLUMN browsers varchar NOT NULL DEFAULT 'accepted',
            ADD CONSTRAINT ck_groups_browsers CHECK (browsers IN ('accepted', 'refused'))
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE groups DROP COLUMN browsers")
    op.execute("ALTER TABLE devices DROP COLUMN in_browser")

"""When a fix can have been taken."""

from datetime import UTC, datetime, timedelta

CLOCKS_DIFFER = timedelta(minutes=10)
"""By which the clocks of devices and service may differ. The service takes no more either."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Before this there was no phone to take a fix: its clock was not set."""

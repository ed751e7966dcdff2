"""What the limiter remembers."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.db.base import Base


class RateLimit(Base):
    """A bucket and when it will be full again: the theoretical arrival time of GCRA.

    Unlogged: losing it in a crash of the database costs a few attempts, writing it to the log
    would cost every one.
    """

    __tablename__ = "rate_limits"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    bucket: Mapped[str] = mapped_column(primary_key=True)
    theoretical_arrival_at: Mapped[datetime]

"""The shape of good health."""

from datetime import datetime
from typing import Literal

from chalicelib.web import Answer


class HealthAnswer(Answer):
    """The service is healthy."""

    status: Literal["ok"]
    timestamp: datetime

"""Answers of a service that is healthy."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from chalicelib.release import VERSION
from chalicelib.web import Answer


class HealthAnswer(Answer):
    """The process runs."""

    status: Literal["ok"]
    timestamp: datetime
    version: str = Field(
        examples=[VERSION], description="The release, as docs/releases.md lists it."
    )


class ReadyAnswer(Answer):
    """Requests can be served."""

    status: Literal["ok"]
    timestamp: datetime

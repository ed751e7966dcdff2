"""What a person is told of a failure, for tests of what fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from draugar.cli.failures import told
from draugar.errors import Failure


def said(failure: Failure) -> str:
    """Return all that a person is told."""
    text = told(failure)
    return " ".join(filter(None, (text.reason, text.effect, text.next_step)))


@contextmanager
def failing(kind: type[Failure], saying: str) -> Iterator[pytest.ExceptionInfo[Failure]]:
    """Expect a failure that tells a person something."""
    with pytest.raises(kind) as caught:
        yield caught
    assert re.search(saying, said(caught.value)), said(caught.value)

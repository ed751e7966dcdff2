"""The waits of a thread that ended without an answer, told by the sockets and not by a clock.

How long a request took says how busy the machine was as well. How often it waited for a silent
server, and for how many seconds each time, says what the service did.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

_WAITING = ("connect", "recv", "recv_into", "send", "sendall")
_local = threading.local()


@contextmanager
def noted() -> Iterator[None]:
    """Note, in every thread, each operation on a socket without TLS that times out."""
    with ExitStack() as stack:
        for name in _WAITING:
            method = _noting(getattr(socket.socket, name))
            stack.enter_context(mock.patch.object(socket.socket, name, method))
        yield


@contextmanager
def of_this_thread() -> Iterator[list[float]]:
    """Collect the timeouts, in seconds, that pass in this thread."""
    waits: list[float] = []
    _local.waits = waits
    yield waits


def _noting(method: Callable[..., Any]) -> Callable[..., Any]:
    def wait(self: socket.socket, *arguments: Any, **options: Any) -> Any:
        try:
            return method(self, *arguments, **options)
        except TimeoutError:
            if hasattr(_local, "waits"):
                _local.waits.append(self.gettimeout())
            raise

    return wait

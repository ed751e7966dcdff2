import ssl

import pytest

from chalicelib.db.engine import _ssl_context
from chalicelib.settings import DatabaseAddress


@pytest.mark.parametrize(
    ("sslmode", "verifies", "checks_host"),
    [
        ("require", ssl.CERT_NONE, 0),
        ("verify-ca", ssl.CERT_REQUIRED, 0),
        ("verify-full", ssl.CERT_REQUIRED, 1),
        ("verify-full&sslrootcert=system", ssl.CERT_REQUIRED, 1),
    ],
)
def test_tls_verifies_what_its_mode_says(
    sslmode: str, verifies: ssl.VerifyMode, checks_host: int
) -> None:
    context = tls(sslmode)

    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode == verifies
    assert context.check_hostname == bool(checks_host)
    assert context is tls(sslmode)  # made once: it takes longer than a connection


def test_without_tls_the_driver_is_told_so() -> None:
    # None would mean "if the server likes, and whoever it is".
    assert tls("disable") is False


def tls(sslmode: str) -> ssl.SSLContext | bool:
    return _ssl_context(DatabaseAddress.parse(f"postgresql://u@db/d?sslmode={sslmode}"))

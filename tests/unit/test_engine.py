import ssl
from pathlib import Path

import botocore
import pytest

from chalicelib.db.engine import _ssl_context
from chalicelib.settings import DatabaseAddress

ROOT = Path(botocore.__file__).with_name("cacert.pem")


@pytest.mark.parametrize(
    ("options", "verifies", "checks_host"),
    [
        ("sslmode=require", ssl.CERT_NONE, 0),
        # As libpq does: whoever names a root wants it to be used.
        (f"sslmode=require&sslrootcert={ROOT}", ssl.CERT_REQUIRED, 0),
        (f"sslmode=verify-ca&sslrootcert={ROOT}", ssl.CERT_REQUIRED, 0),
        (f"sslmode=verify-full&sslrootcert={ROOT}", ssl.CERT_REQUIRED, 1),
        ("sslmode=verify-full&sslrootcert=system", ssl.CERT_REQUIRED, 1),
        ("", ssl.CERT_REQUIRED, 1),
    ],
)
def test_tls_verifies_what_its_mode_says(
    options: str, verifies: ssl.VerifyMode, checks_host: int
) -> None:
    context = tls(options)

    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode == verifies
    assert context.check_hostname == bool(checks_host)
    assert context is tls(options)  # made once: it takes longer than a connection


@pytest.mark.parametrize("options", ["sslmode=require", f"sslmode=verify-full&sslrootcert={ROOT}"])
def test_certificates_are_judged_as_libpq_does_on_every_version_of_python(options: str) -> None:
    context = tls(options)

    assert isinstance(context, ssl.SSLContext)
    assert not context.verify_flags & (ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)


def test_without_tls_the_driver_is_told_so() -> None:
    # None would mean "if the server likes, and whoever it is".
    assert tls("sslmode=disable") is False


def tls(options: str) -> ssl.SSLContext | bool:
    return _ssl_context(DatabaseAddress.parse(f"postgresql://u@db/d?{options}"))

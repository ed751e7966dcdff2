"""Why no request arrived: what the HTTP library's failure says, as one of our own.

A server whose certificate is wrong is another one, or is set up wrongly: it is told apart from one
that is not there, and is not asked again.
"""

import ssl
from collections.abc import Iterator
from socket import gaierror

from draugar.errors import ServiceAway

# Of OpenSSL's X509_verify_cert_error_string.
_NAME_MISMATCHES = {62, 64}
_TIMES = {9, 10}


class NoSuchHost(ServiceAway):
    """No address is known for the host's name."""

    text = (
        "No server is found by the name in the service's address: it is mistyped, or this machine"
        " has no network."
    )
    when = "when that is right"


class NotThatServer(ServiceAway):
    """What answers cannot be trusted with a request, and none was sent."""

    text = "The server did not prove that it is the service's: nothing was sent to it."
    when = "when that is right"


class CertificateOfAnother(NotThatServer):
    """The certificate names other hosts."""

    text = (
        "The server's certificate is for another host name than the one in the address, so nothing"
        " was sent to it. Check the address."
    )


class CertificateOutOfDate(NotThatServer):
    """The certificate is past its end, or before its beginning."""

    text = (
        "The server's certificate is not valid today, so nothing was sent to it. Check this"
        " machine's clock, or tell the person who runs the service."
    )


class CertificateNotTrusted(NotThatServer):
    """No authority that this machine trusts has signed the certificate."""

    text = (
        "The server's certificate is not signed by an authority that this machine trusts, so"
        " nothing was sent to it. Check the address, or tell the person who runs the service."
    )


class NoTls(NotThatServer):
    """What listens there does not speak TLS, or no version in common."""

    text = (
        "What answers at the address does not speak https, so nothing was sent to it. Check the"
        " address and its port."
    )


def why(error: BaseException) -> type[ServiceAway]:
    """Return the failure that an error of the HTTP library, or of what it builds on, stands for."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _NAME_MISMATCHES:
                return CertificateOfAnother
            return CertificateOutOfDate if cause.verify_code in _TIMES else CertificateNotTrusted
        if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return ServiceAway  # a server that ends connections, as one does that is restarted
        if isinstance(cause, ssl.SSLError):
            return NoTls
        if isinstance(cause, gaierror):
            return NoSuchHost
    return ServiceAway


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

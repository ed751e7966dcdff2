"""Why no request arrived: what the HTTP library's failure says, as one of our own.

A server whose certificate is wrong is another one, or is set up wrongly: it is told apart from one
that is not there, and is not asked again.
"""

import ssl
from collections.abc import Iterator
from socket import gaierror

from draugar.errors import FailureCode, ServiceAway

# Of OpenSSL's X509_verify_cert_error_string.
_NAME_MISMATCHES = {62, 64}
_TIMES = {9, 10}


class NoSuchHost(ServiceAway):
    """No address is known for the host's name."""

    code = FailureCode.NO_SUCH_HOST


class NotThatServer(ServiceAway):
    """What answers cannot be trusted with a request, and none was sent."""

    code = FailureCode.NOT_THAT_SERVER


class CertificateOfAnother(NotThatServer):
    """The certificate names other hosts."""

    code = FailureCode.CERTIFICATE_OF_ANOTHER


class CertificateOutOfDate(NotThatServer):
    """The certificate is past its end, or before its beginning."""

    code = FailureCode.CERTIFICATE_OUT_OF_DATE


class CertificateNotTrusted(NotThatServer):
    """No authority that this machine trusts has signed the certificate."""

    code = FailureCode.CERTIFICATE_NOT_TRUSTED


class NoTls(NotThatServer):
    """What listens there does not speak TLS, or no version in common."""

    code = FailureCode.NO_TLS


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

"""A throwaway authority and the certificate that it gives a server on this machine."""

import datetime as dt
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Certificates:
    """What a client trusts, and what a server shows: PEM files."""

    authority: Path
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Return the server's side of TLS, set as PostgreSQL sets its own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        context.num_tickets = 0  # they would be sent unasked
        return context


def make_certificates(
    directory: Path, *, host: str = "localhost", life: dt.timedelta = HOUR, key_usage: bool = True
) -> Certificates:
    """Make an authority, and a certificate for `host` and 127.0.0.1 that ends after `life`.

    Without `key_usage` the authority is one as PostgreSQL's manual makes it, by OpenSSL's v3_ca.
    """
    made = Certificates(
        directory / "authority.pem", directory / "server.pem", directory / "key.pem"
    )
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = _name("Draugar's tests")
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    unsigned = _builder(ca_name, ca_key.public_key(), issuer=ca_name).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    if key_usage:
        unsigned = unsigned.add_extension(usage, critical=True)
    authority = unsigned.sign(ca_key, hashes.SHA256())
    names = [x509.DNSName(host), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        _builder(_name(host), key.public_key(), issuer=ca_name, life=life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    *,
    issuer: x509.Name,
    life: dt.timedelta = HOUR,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + life)
        # What Python 3.13 asks of every certificate.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )

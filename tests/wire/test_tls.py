"""TLS: whom the connection trusts, and how few round trips it takes to the first statement."""

import gc
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pg8000
import pytest
from sqlalchemy import literal_column, select

from chalicelib.db import Compiled, engine, failure, one_statement, wire
from chalicelib.errors import Unavailable
from chalicelib.settings import DatabaseAddress
from tests.certificates import Certificates, make_certificates
from tests.database import Server
from tests.relay import TLS_REQUEST, Relay
from tests.servers import TlsServer, arguments, serving

ONE = Compiled(lambda: select(literal_column("1").label("one")))
FIRST_STATEMENT = 7
"""TCP, may we, TLS, who we are, SCRAM and SCRAM again, and the statement."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The certificate of another host, by another authority."""
    return make_certificates(tmp_path_factory.mktemp("elsewhere"), host="elsewhere")


@pytest.fixture(params=["server", pytest.param("debian", marks=pytest.mark.tools("postgresql"))])
def spoken(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[TlsServer]:
    """A server that speaks TLS: ours through a relay, Debian's by itself."""
    server = request.getfixturevalue(request.param)
    if isinstance(server, TlsServer):
        yield server
        return
    with Relay(server.url, tls=certificates.server_context()) as relay:
        yield TlsServer(relay.url, certificates)


def asking(url: str, host: str = "localhost", **options: object) -> str:
    """Return the URL with other options, by another name of this machine."""
    parts = urlsplit(url)
    who = parts.netloc.rpartition("@")[0]
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return parts._replace(netloc=f"{who}@{host}:{parts.port}", query=query).geturl()


def encrypted(url: str) -> bool:
    with wire.connect(**arguments(url)) as connection:
        assert connection.run("SELECT 1") == ([1],)
        return isinstance(connection._usock, ssl.SSLSocket)


def test_the_right_authority_is_trusted_with_the_right_name(spoken: TlsServer) -> None:
    authority = spoken.certificates.authority

    assert encrypted(asking(spoken.url, sslmode="verify-full", sslrootcert=authority))
    assert encrypted(asking(spoken.url, sslmode="verify-ca", sslrootcert=authority))
    assert encrypted(asking(spoken.url, sslmode="require"))


@pytest.mark.parametrize("sslmode", ["verify-full", "verify-ca", "require"])
def test_another_authority_is_refused(
    spoken: TlsServer, elsewhere: Certificates, sslmode: str
) -> None:
    url = asking(spoken.url, sslmode=sslmode, sslrootcert=elsewhere.authority)

    with pytest.raises(ssl.SSLCertVerificationError, match=r"self-signed|unable to get"):
        encrypted(url)


@pytest.mark.parametrize("sslmode", ["verify-full", "verify-ca", "require"])
def test_an_authority_without_key_usage_is_trusted_as_by_libpq(
    server: Server, tmp_path: Path, sslmode: str
) -> None:
    plain = make_certificates(tmp_path, key_usage=False)
    with Relay(server.url, tls=plain.server_context()) as relay:
        url = asking(relay.url, sslmode=sslmode, sslrootcert=plain.authority)
        strict = engine._ssl_context(DatabaseAddress.parse(url))
        assert isinstance(strict, ssl.SSLContext)
        before = strict.verify_flags
        strict.verify_flags |= ssl.VERIFY_X509_STRICT
        with pytest.raises(ssl.SSLCertVerificationError, match="key usage"):
            encrypted(url)
        strict.verify_flags = before

        assert encrypted(url)


def test_the_public_authorities_do_not_answer_for_it(spoken: TlsServer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        encrypted(asking(spoken.url, sslmode="verify-full"))


def test_another_name_is_refused_and_only_where_names_are_verified(
    server: Server, elsewhere: Certificates
) -> None:
    with Relay(server.url, tls=elsewhere.server_context()) as relay:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            encrypted(asking(relay.url, sslmode="verify-full", sslrootcert=elsewhere.authority))

        assert encrypted(asking(relay.url, sslmode="verify-ca", sslrootcert=elsewhere.authority))


@pytest.mark.parametrize("sslmode", ["verify-full", "verify-ca", "require"])
def test_a_server_that_speaks_no_tls_is_told_nothing(
    certificates: Certificates, sslmode: str
) -> None:
    heard: list[bytes] = []

    def refuse() -> None:
        client, _ = listener.accept()
        with client:
            heard.append(client.recv(100))
            client.sendall(b"N")
            heard.append(client.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=refuse)
        thread.start()
        url = f"postgresql://somebody:secret@localhost:{listener.getsockname()[1]}/none"

        with pytest.raises(pg8000.InterfaceError, match="Server refuses SSL"):
            encrypted(asking(url, sslmode=sslmode, sslrootcert=certificates.authority))
        thread.join()

    assert heard == [TLS_REQUEST, b""]


def test_what_fails_at_the_start_leaves_no_socket_open(
    server: Server, elsewhere: Certificates
) -> None:
    with Relay(server.url, tls=elsewhere.server_context()) as relay:
        url = asking(relay.url, sslmode="verify-full", sslrootcert=elsewhere.authority)
        with pytest.raises(ssl.SSLCertVerificationError):
            encrypted(url)
        gc.collect()  # warns of what is left over, and warnings are errors


@pytest.mark.tools("postgresql")
def test_one_context_serves_all_connections(debian: TlsServer) -> None:
    connections: list[Any] = [wire.connect(**arguments(debian.url)) for _ in range(2)]

    first, second = (connection._usock.context for connection in connections)

    assert first is second
    assert first.check_hostname
    assert first.verify_mode is ssl.CERT_REQUIRED
    for connection in connections:
        connection.close()


@pytest.mark.tools("postgresql")
@pytest.mark.parametrize("sslmode", ["verify-full", "disable"])
def test_no_segment_waits_for_another(debian: TlsServer, sslmode: str) -> None:
    authority = debian.certificates.authority
    url = asking(debian.url, sslmode=sslmode, sslrootcert=authority)

    with wire.connect(**arguments(url)) as connection:
        assert connection._usock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connection._usock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.tools("postgresql")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_first_statement_of_a_cold_process_takes_few_round_trips(
    debian: TlsServer, host: str
) -> None:
    with Relay(debian.url) as relay:
        authority = debian.certificates.authority
        url = asking(relay.url, host, sslmode="verify-full", sslrootcert=authority)
        with serving(url):

            def first() -> None:
                with one_statement() as connection:
                    assert connection.execute(ONE, {})[0].one == 1

            _, cold = relay.count(first)
            _, warm = relay.count(first)

    assert relay.connections == 1
    assert relay.connections + cold <= FIRST_STATEMENT
    assert warm == 1


@pytest.mark.tools("postgresql")
def test_a_login_is_bound_to_the_certificate(debian: TlsServer) -> None:
    with wire.connect(**arguments(debian.url)) as connection:
        assert connection.auth.mechanism_name == "SCRAM-SHA-256-PLUS"


def test_a_server_that_offers_no_binding_is_refused_where_the_url_requires_it(
    server: Server, certificates: Certificates
) -> None:
    with Relay(server.url, tls=certificates.server_context()) as relay:
        url = asking(relay.url, sslmode="require")
        assert encrypted(url)

        # It trusts everyone at once, as a stranger in between would.
        with (
            serving(f"{url}&channel_binding=require"),
            pytest.raises(Unavailable) as refused,
            one_statement() as connection,
        ):
            connection.execute(ONE, {})

    assert "does not bind" in str(refused.value.__cause__)


@pytest.mark.parametrize("method", [3, 5, 10])
def test_a_password_is_told_to_no_server_that_does_not_bind(
    certificates: Certificates, method: int
) -> None:
    asked = {
        3: b"R\0\0\0\x08\0\0\0\x03",
        5: b"R\0\0\0\x0c\0\0\0\x05salt",
        10: b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0",
    }[method]
    heard: list[bytes] = []

    def ask_for_a_password() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(100)
            client.sendall(b"S")
            with certificates.server_context().wrap_socket(client, server_side=True) as spoken:
                spoken.recv(1000)
                spoken.sendall(asked)
                heard.append(spoken.recv(1000))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=ask_for_a_password)
        thread.start()
        port = listener.getsockname()[1]
        url = f"postgresql://una:secret@localhost:{port}/none?sslmode=require"
        with pytest.raises(failure.NotConnected, match="does not bind"):
            wire.connect(**arguments(url), bound=True)
        thread.join()

    assert heard in ([b""], [b"X\0\0\0\x04"])


@pytest.mark.tools("postgresql")
def test_a_login_that_is_bound_is_taken_where_the_url_requires_it(debian: TlsServer) -> None:
    with serving(f"{debian.url}&channel_binding=require"), one_statement() as connection:
        assert connection.execute(ONE, {})[0].one == 1


@pytest.mark.parametrize("curve", ["X25519", "secp384r1"])
def test_a_server_that_does_not_take_the_usual_curve_is_served_on_its_own(
    server: Server, certificates: Certificates, curve: str
) -> None:
    context = certificates.server_context()
    context.set_ecdh_curve(curve)
    with Relay(server.url, tls=context) as relay:
        url = asking(relay.url, sslmode="verify-full", sslrootcert=certificates.authority)
        with serving(url):
            for _ in range(2):
                with one_statement() as connection:
                    assert connection.execute(ONE, {})[0].one == 1

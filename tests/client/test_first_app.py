"""The first Draugar app's own calls, in its own language, against a running service.

What it cannot do, another member's device does: make the group's key and wrap it.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from draugar.protocol.envelopes import wrap
from draugar.protocol.json import from_base64url, to_base64url
from draugar.protocol.locations import open_location
from draugar.protocol.secrets import DeviceKey, GroupKey
from scripts.vectors import VECTORS
from tests import tools
from tests.laptop.runs import Run

pytestmark = pytest.mark.tools("node", "npm")

Json = dict[str, Any]

_SOURCES = Path(__file__).parent / "first_app"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the app's calls, with libsodium beside them."""
    directory = tmp_path_factory.mktemp("first_app")
    for name in ("package.json", "package-lock.json", ".npmrc", "first_app.mjs", "vectors.mjs"):
        shutil.copy(_SOURCES / name, directory)
    installed = subprocess.run(
        [tools.program("npm"), "ci", "--prefer-offline", "--no-progress"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr
    return directory


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A service that runs as on a laptop."""
    run = Run(tmp_path_factory.mktemp("service"))
    try:
        yield run
    finally:
        run.kill()


@dataclass(frozen=True)
class Una:
    """A member with a client that can make keys, in a group of its own for each test."""

    service: Run
    token: str
    device_id: str
    device: DeviceKey
    group_id: str
    key: GroupKey

    def call(self, method: str, path: str, body: Json | None = None) -> Any:
        response, answer = self.service.request(method, f"/api{path}", body, self.token)
        assert response.status < 300, answer
        return answer

    def invite(self) -> str:
        return str(self.call("POST", "/invites", {"groupId": self.group_id})["code"])

    def make_key(self) -> None:
        """Start the group's first version, with nobody else in it."""
        commitment = self.key.commitment(UUID(self.group_id), 1)
        own = {"deviceId": self.device_id, "wrappedKey": self.wrapped_for(self.device.public)}
        self.call(
            "POST",
            f"/groups/{self.group_id}/keys",
            {
                "expectedVersion": 0,
                "commitment": to_base64url(commitment),
                "envelopes": [own],
            },
        )

    def confirm(self, user_id: str) -> None:
        """Wrap the key for a person's device, as after a look at their safety number."""
        pending = self.call("GET", f"/groups/{self.group_id}/keys/pending")["devices"]
        (waiting,) = [device for device in pending if device["userId"] == user_id]
        self.call(
            "PUT",
            f"/groups/{self.group_id}/keys/1/envelopes/{waiting['deviceId']}",
            {"wrappedKey": self.wrapped_for(from_base64url(waiting["publicKey"]))},
        )

    def wrapped_for(self, public_key: bytes) -> str:
        return to_base64url(wrap(self.key, public_key, self.device))

    def latest_of(self, user_id: str) -> Json:
        points = self.call("GET", f"/locations/latest?groupId={self.group_id}")["locations"]
        (point,) = [point for point in points if point["userId"] == user_id]
        return open_location(from_base64url(point["encryptedData"]), self.key)


@pytest.fixture(scope="module")
def founder(service: Run) -> Una:
    """Una, once she has redeemed the founding invite."""
    (invite, *_) = service.printed_until_serving().splitlines()
    device = DeviceKey.make()
    _, joined = service.request(
        "POST",
        "/api/auth/join",
        {
            "code": invite.removeprefix("Founding invite: "),
            "name": "Una",
            "device": {"name": "Phone", "publicKey": to_base64url(device.public)},
        },
    )
    return Una(
        service=service,
        token=joined["token"],
        device_id=joined["device"]["id"],
        device=device,
        group_id=joined["group"]["id"],
        key=GroupKey.make(),
    )


@pytest.fixture
def una(founder: Una) -> Una:
    """Una, in a new group that has no key yet."""
    group = founder.call("POST", "/groups", {"name": "Hearth", "encryption": "required"})
    return Una(**vars(founder) | {"group_id": group["id"], "key": GroupKey.make()})


@pytest.fixture
def app(programs: Path, service: Run, tmp_path: Path) -> Callable[..., Json]:
    """Somebody's first Draugar app: each call a run of it, which prints what came of it."""

    def run(*call: str) -> Json:
        if call[0] == "join":
            call = ("join", f"http://127.0.0.1:{service.port}", *call[1:])
        return _run(programs / "first_app.mjs", tmp_path / "state.json", *call)

    return run


def _run(program: Path, *arguments: str | Path) -> Json:
    ran = subprocess.run(
        [tools.program("node"), program, *arguments], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    printed: Json = json.loads(ran.stdout)
    return printed


def test_the_app_reads_and_posts_once_a_member_has_confirmed_it(
    una: Una, app: Callable[..., Json]
) -> None:
    una.make_key()
    joined = app("join", f" {una.invite().lower()} ", " Ari ")
    waiting = app("register-key")

    una.confirm(joined["user"]["id"])
    given = app("group-key")
    posted = app("post", "64.1466", "-21.9426", "12")

    assert joined["status"] == 201
    assert joined["user"]["name"] == "Ari"
    assert waiting["status"] == 404
    assert given == {"status": 200, "keyBytes": 32, "keyVersion": 1}
    assert posted["status"] == 200
    assert una.latest_of(joined["user"]["id"]) == posted["location"]
    assert posted["location"]["latitude"] == 64.1466


def test_the_app_is_given_the_same_key_when_it_registers_again(
    una: Una, app: Callable[..., Json], tmp_path: Path
) -> None:
    una.make_key()
    joined = app("join", una.invite(), "Ari")
    app("register-key")
    una.confirm(joined["user"]["id"])

    given = app("register-key")

    kept = json.loads((tmp_path / "state.json").read_text())
    assert given == {"status": 200, "keyBytes": 32, "keyVersion": 1}
    assert GroupKey(from_base64url(kept["groupKey"])) == una.key
    assert app("me") == {"status": 200, "user": joined["user"]}


def test_the_app_never_takes_an_answer_without_a_key_for_one(
    una: Una, app: Callable[..., Json]
) -> None:
    app("join", una.invite(), "Ari")

    without_key = [app("group-key"), app("register-key"), app("group-key")]
    una.make_key()
    pending = [app("group-key"), app("register-key")]

    assert [answer["status"] for answer in without_key] == [409, 409, 409]
    assert [answer["status"] for answer in pending] == [404, 404]
    # The app shows this line, so there has to be one.
    assert all(isinstance(answer["shown"], str) for answer in without_key + pending)
    assert "Ask a member" in pending[0]["shown"]


def test_the_app_cannot_replace_its_key(una: Una, app: Callable[..., Json], tmp_path: Path) -> None:
    una.make_key()
    app("join", una.invite(), "Ari")
    app("register-key")
    state = tmp_path / "state.json"
    other = {"publicKey": to_base64url(DeviceKey.make().public)}
    state.write_text(json.dumps(json.loads(state.read_text()) | other))

    refused = app("register-key")

    assert refused["status"] == 409
    assert "another public key" in refused["shown"]


def test_another_libsodium_makes_the_same_of_every_vector(programs: Path) -> None:
    said = json.loads(VECTORS.read_text())
    envelope, location = said["envelope"], said["location"]

    opened = _run(programs / "vectors.mjs", VECTORS)

    key = envelope["opens"]["groupKey"].encode().hex()
    assert opened["onTheWire"] == opened["envelopes"][0] == key
    for vector, text in zip(envelope["refused"], opened["envelopes"][1:], strict=True):
        assert (text is not None) == vector["why"].startswith("inside: "), vector["why"]
    for vector, text in zip(
        location["opens"] + location["refused"], opened["locations"], strict=True
    ):
        if "json" in vector:
            assert text == vector["json"].encode().hex(), vector["what"]
        else:
            assert (text is not None) == vector["why"].startswith("inside: "), vector["why"]
    assert opened["passphrase"] == location["passphrase"]["text"].encode().hex()
    assert opened["firstApp"] == location["opens"][5]["json"].encode().hex()
    assert opened["owntracks"] == location["opens"][4]["json"].encode().hex()

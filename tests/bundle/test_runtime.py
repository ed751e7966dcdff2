"""The bundle runs whole in Lambda's runtime: every route, every job, and what goes wrong there."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chalicelib.web.endpoint import HEADERS
from tests.bundle.conftest import Bundle
from tests.bundle.runtime import (
    Function,
    as_task,
    declared,
    http_event,
    install_client,
    schedule_event,
)
from tests.database import PEPPER, Server, connect
from tests.factories import plain_point
from tests.features.site import files
from tests.owntracks import Android, Ios, basic
from tests.relay import Relay

LATITUDE, LONGITUDE = 64.13579135, -21.24680246
WITH_KEY = {"publicKey": "CoU5zJr3tXqN0bWfYk7HdLsGmVa2Pe9RiUoTx1ZcBnE"}
WRAPPED = {"wrappedKey": "bWFya21hcmttYXJr" * 6}
MOST_MEGABYTES = 256

# What none of the functions was made for, with something in it that is nobody's business.
SECRET = "Markmarkmark"
STRANGE_EVENTS = {
    "nothing": {},
    "a queue's": {"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": SECRET}]},
    "an HTTP API's": {
        "version": "2.0",
        "routeKey": "POST /api/locations",
        "rawPath": "/api/locations",
        "headers": {"authorization": f"Bearer {SECRET}"},
        "requestContext": {"http": {"method": "POST", "path": "/api/locations"}},
        "body": SECRET,
        "isBase64Encoded": False,
    },
    "a schedule's": schedule_event(SECRET),
    "a list": [SECRET],
    "a text": SECRET,
}


class Lambda:
    """The functions of a bundle, each started by its name in the template."""

    def __init__(self, bundle: Bundle, directory: Path) -> None:
        self._functions = declared(bundle.template)
        self._task = as_task(bundle.tree, directory / "task")
        self._client = install_client(directory / "client")

    @property
    def names(self) -> set[str]:
        return set(self._functions)

    def function(self, name: str, url: str, **environment: str) -> Function:
        """Return a function on a database, to be started with its context."""
        given = {"DATABASE_URL": url, "INVITE_CODE_PEPPER": PEPPER}
        return self.bare(name, **given | environment)

    def bare(self, name: str, **environment: str) -> Function:
        """Return a function with these settings alone."""
        return Function(
            self._task, self._functions[name], client=self._client, environment=environment
        )


class Client:
    """Requests to a running function, as API Gateway hands them on."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.requests: list[tuple[str, int]] = []

    def __call__(
        self,
        route: str,
        body: Any = None,
        *,
        by: str | None = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **ids: str,
    ) -> Any:
        """Send a request and return what the body of the answer says."""
        method, resource = route.split()
        event = http_event(method, resource, ids, token=by, query=query, body=body, headers=headers)
        answer = self.function.invoke(event)
        assert not answer.is_error
        self.requests.append((route, answer.payload["statusCode"]))
        text = answer.payload["body"]
        return json.loads(text) if text.startswith(("{", "[")) else text

    @property
    def status(self) -> int:
        """That of the last answer."""
        return self.requests[-1][1]


@pytest.fixture(scope="module")
def lambda_(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Lambda:
    return Lambda(bundle, tmp_path_factory.mktemp("lambda"))


@pytest.fixture(scope="module")
def url(lambda_: Lambda, server: Server) -> Iterator[str]:
    """A database that the migrate function has migrated."""
    with server.database() as name:
        url = server.url_of(name)
        with lambda_.function("Migrate", url) as migrate:
            assert not migrate.invoke({}).is_error
        yield url


@pytest.fixture(scope="module")
def function(lambda_: Lambda, url: str) -> Iterator[Function]:
    """The API's function, one process for many tests."""
    with lambda_.function("APIHandler", url) as function:
        yield function


@pytest.fixture
def api(function: Function) -> Client:
    return Client(function)


@pytest.fixture(scope="module")
def founding_code(lambda_: Lambda, url: str) -> Iterator[Callable[[], str]]:
    """Makes a founding invite."""
    with lambda_.function("CreateFoundingInvite", url) as create:
        yield lambda: str(create.invoke({}).payload["code"])


def found(api: Client, code: str, name: str = "Una") -> dict[str, Any]:
    group = {"name": "Hearth", "encryption": "optional"}
    joined: dict[str, Any] = api(
        "POST /api/auth/join", {"code": code, "name": name, "group": group, "device": WITH_KEY}
    )
    return joined


def share_a_key(api: Client, maker: dict[str, Any], other: dict[str, Any]) -> None:
    """Make the group's key, and hand it on to one who loses it once."""
    by, group = maker["token"], maker["group"]["id"]
    mine = WRAPPED | {"deviceId": maker["device"]["id"]}
    key = {"expectedVersion": 0, "commitment": WITH_KEY["publicKey"], "envelopes": [mine]}
    envelope = "/api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}"
    place = {"group_id": group, "key_version": "1", "device_id": other["device"]["id"]}
    api("POST /api/groups/{group_id}/keys", key, by=by, group_id=group)
    said = {"keyVersion": 1, "sealed": "A" * 80}
    api("PUT /api/groups/{group_id}/card", said, by=by, group_id=group)
    api("GET /api/groups/{group_id}/keys", by=by, group_id=group)
    api("GET /api/groups/{group_id}/keys/pending", by=by, group_id=group)
    api(f"PUT {envelope}", WRAPPED, by=by, **place)
    vouch = "/api/groups/{group_id}/keys/{key_version}/vouches/{device_id}"
    api(f"PUT {vouch}", {"entry": "A" * 80}, by=by, **place)
    api(f"DELETE {envelope}", by=other["token"], **place)
    api(f"PUT {envelope}", WRAPPED, by=by, **place)
    api("POST /api/crypto/register-key", WITH_KEY, by=other["token"])
    api("GET /api/crypto/group-key", by=other["token"])


def post_by_phone(api: Client, owner: dict[str, Any]) -> dict[str, str]:
    """Add a phone with OwnTracks, set it up again and let it post; return how it signs in."""
    by = owner["token"]
    added = {"name": "Old phone", "kind": "owntracks", "groupId": owner["group"]["id"]}
    phone = api("POST /api/devices", added, by=by)
    phone = api("POST /api/devices/{device_id}/renew", by=by, device_id=phone["id"])
    signed_in = basic(phone["username"], phone["password"])
    fix = {"_type": "location", "lat": LATITUDE, "lon": LONGITUDE, "tst": int(time.time())}
    sealed = {"_type": "encrypted", "data": "A" * 80}
    told = api("POST /owntracks", fix, headers=signed_in | Android.headers)
    nothing = api("POST /pub", sealed, headers=signed_in | Ios.headers)
    assert [element["lat"] for element in told if element["_type"] == "location"] == [LATITUDE]
    assert nothing == []
    return signed_in | {"password": phone["password"]}


def read_documents(api: Client) -> None:
    """Read what everyone may read, and ask for its headers."""
    for route in (
        *("GET /api/health", "GET /api/health/ready", "GET /api/docs"),
        *(f"GET /api/docs/{name}" for name in ("protocol.md", "errors.md", "vectors.json")),
    ):
        api(route)
        assert api(route.replace("GET", "HEAD")) == ""


def read_web_app(api: Client) -> None:
    """Load the page, and all that it loads."""
    for path in ("/", "/join", "/sw.js", "/manifest.webmanifest", "/web/config.json"):
        api(f"GET {path}")
    for name in files.names():
        if name.startswith("web/"):
            api("GET /web/{name}", name=name.removeprefix("web/"))


def point() -> dict[str, Any]:
    return plain_point(latitude=LATITUDE, longitude=LONGITUDE)


def hang_up(url: str) -> int:
    """Let the database end the functions' connections, and wait for it; return how many."""
    with connect(url) as operator:
        return len(
            operator.run(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


def test_every_route_works(api: Client, founding_code: Callable[[], str]) -> None:
    before = len(api.function.log)
    codes = [founding_code(), founding_code(), founding_code()]

    una = found(api, codes[0])
    by, group = una["token"], una["group"]["id"]
    invite = api("POST /api/invites", {"groupId": group}, by=by)
    codes.append(invite["code"])
    api("POST /api/invites/validate", {"code": invite["code"]})
    ari = api("POST /api/auth/join", {"code": invite["code"], "name": "Ari", "device": WITH_KEY})
    api("GET /api/auth/me", by=by)
    share_a_key(api, una, ari)
    tablet, watch = (
        api("POST /api/devices", {"name": name}, by=by) for name in ("Tablet", "Watch")
    )
    api("POST /api/auth/logout", by=tablet["token"])
    api("DELETE /api/devices/{device_id}", by=by, device_id=watch["id"])
    api("GET /api/devices", by=by)
    phone = post_by_phone(api, una)
    api("POST /api/locations", {"locations": [point(), point()]}, by=ari["token"])
    api("GET /api/locations/latest", by=by, query={"groupId": group})
    api("GET /api/locations", by=by, query={"groupId": group, "limit": "1"})
    api("GET /api/export", by=by)
    api("DELETE /api/locations", by=ari["token"], query={"groupId": group})
    revoked = api("POST /api/invites", {"groupId": group}, by=by)
    codes.append(revoked["code"])
    api("GET /api/invites", by=by)
    api("DELETE /api/invites/{invite_id}", by=by, invite_id=revoked["id"])
    api("GET /api/users", by=by)
    api("GET /api/users/{user_id}", by=by, user_id=ari["user"]["id"])
    api("PATCH /api/users/me", {"name": "Unnur"}, by=by)
    member = {"group_id": group, "user_id": ari["user"]["id"]}
    api("PATCH /api/groups/{group_id}/members/{user_id}", {"role": "admin"}, by=by, **member)
    api("PUT /api/groups/{group_id}/sharing", {"paused": True}, by=by, group_id=group)
    api("PATCH /api/groups/{group_id}", {"name": "Hall"}, by=by, group_id=group)
    api("DELETE /api/groups/{group_id}/members/{user_id}", by=by, **member)
    api("GET /api/groups", by=by)
    second = api("POST /api/groups", {"name": "Harbour"}, by=by)
    api("DELETE /api/groups/{group_id}", by=by, group_id=second["id"])
    api("POST /api/groups/join", {"code": codes[1], "group": {"name": "Harbour"}}, by=by)
    api("POST /api/groups/{group_id}/leave", by=by, group_id=group)
    api("DELETE /api/users/me", by=by)
    read_documents(api)
    read_web_app(api)
    contract = api("GET /api/openapi.json")

    assert [request for request in api.requests if request[1] >= 300] == []
    assert {route for route, _ in api.requests if not route.startswith("HEAD")} == {
        f"{method.upper()} {path}"
        for path, methods in contract["paths"].items()
        for method in methods
    }
    # And it has told that, line by line, and nothing else.
    log = api.function.log[before:]
    lines = [json.loads(line) for line in log.splitlines()]
    assert [(f"{line['method']} {line['route']}", line["status"]) for line in lines] == api.requests
    private = [
        una["token"],
        ari["token"],
        tablet["token"],
        watch["token"],
        *phone.values(),
        *codes,
        str(LATITUDE),
        str(-LONGITUDE),
    ]
    private += [code.replace("-", "") for code in codes]
    private += [
        "Una",
        "Ari",
        "Unnur",
        "Tablet",
        "Watch",
        "Old phone",
        "Hearth",
        "Hall",
        "Harbour",
        "192.0.2.7",
    ]
    assert [text for text in private if text in log] == []


def test_the_web_app_leaves_the_bundle_as_it_was_built(function: Function) -> None:
    for path, name in files.paths().items():
        resource, ids = path, {}
        if path.startswith("/web/"):
            resource, ids = "/web/{name}", {"name": path.removeprefix("/web/")}

        answer = function.invoke(http_event("GET", resource, ids))

        assert not answer.is_error
        told = answer.payload
        body = told["body"].encode()
        is_binary = name.endswith(".png")
        assert (told["statusCode"], told.get("isBase64Encoded", False)) == (200, is_binary)
        content = base64.b64decode(body) if is_binary else body
        assert files.digest(content) == files.hashes()[name]
        headers = told["headers"]
        assert headers["Content-Type"] == files.TYPES[Path(name).suffix]
        assert headers["Content-Security-Policy"] == files.POLICY
        kept = HEADERS.keys() - files.OWN_HEADERS
        assert {header: headers[header] for header in kept} == {
            header: HEADERS[header] for header in kept
        }


def test_a_family_s_first_day(
    lambda_: Lambda, server: Server, record_property: Callable[[str, object], None]
) -> None:
    with ExitStack() as stack:
        database = server.url_of(stack.enter_context(server.database()))
        functions = {
            name: stack.enter_context(lambda_.function(name, database)) for name in lambda_.names
        }

        migrated = functions["Migrate"].invoke({})
        founding = functions["CreateFoundingInvite"].invoke({"onlyIfNoUsers": True})
        api = Client(functions["APIHandler"])
        una = found(api, founding.payload["code"])
        unused, invite = (api("POST /api/invites", {}, by=una["token"]) for _ in range(2))
        ari = api("POST /api/auth/join", {"code": invite["code"], "name": "Ari"})
        stored = api("POST /api/locations", point(), by=ari["token"])
        seen = api("GET /api/locations/latest", by=una["token"])
        with connect(database) as operator:
            operator.run(
                "UPDATE invite_codes SET created_at = now() - interval '2 days',"
                " expires_at = now() - interval '1 day' WHERE id = :id",
                id=unused["id"],
            )
        purged = functions["PurgeExpiredInvites"].invoke(schedule_event("purge"))
        maintained = functions["MaintainLocations"].invoke(schedule_event("maintain"))
        restored = functions["AfterRestore"].invoke({})
        again = functions["Migrate"].invoke({})

        assert migrated.payload["from"] is None
        assert again.payload == {"from": migrated.payload["to"], "to": migrated.payload["to"]}
        assert [result["status"] for result in stored["results"]] == ["stored"]
        assert [(sight["userId"], sight["latitude"]) for sight in seen["locations"]] == [
            (ari["user"]["id"], LATITUDE)
        ]
        assert purged.payload == {"deleted": 1}
        assert maintained.payload["partitionsMade"] == 0
        assert restored.payload == {
            "invitesRevoked": 0,
            "groupsToRotate": 0,
            "partitionsMade": 0,
        }
        logs = {name: running.log for name, running in functions.items()}
        assert {name: log.count("\n") for name, log in logs.items()} == {
            "APIHandler": 6,
            "CreateFoundingInvite": 1,
            "Migrate": 2,
            "PurgeExpiredInvites": 1,
            "MaintainLocations": 1,
            "AfterRestore": 1,
        }
        lines = [json.loads(line) for log in logs.values() for line in log.splitlines()]
        assert [line for line in lines if line.get("fault") or line.get("failures")] == []
        assert founding.payload["code"] not in "".join(logs.values())
        peaks = {name: running.peak for name, running in functions.items()}
        for name, megabytes in peaks.items():
            record_property(f"peak memory of {name}, MB", round(megabytes))
        assert max(peaks.values()) < MOST_MEGABYTES


def test_the_bundle_is_left_as_it_was(bundle: Bundle, lambda_: Lambda, url: str) -> None:
    with lambda_.function("Migrate", url) as migrate:
        migrate.invoke({})

    kept = {path.relative_to(bundle.tree) for path in bundle.tree.rglob("*")}
    assert {path.relative_to(lambda_._task) for path in lambda_._task.rglob("*")} == kept


@pytest.mark.parametrize("event", STRANGE_EVENTS.values(), ids=STRANGE_EVENTS.keys())
def test_a_strange_event_fails_and_the_next_is_served(api: Client, event: Any) -> None:
    before = len(api.function.log)

    answer = api.function.invoke(event)

    # An object without a route is refused, of anything else Chalice makes an error.
    assert answer.is_error or answer.payload["statusCode"] == 400
    assert SECRET not in json.dumps(answer.payload)
    assert SECRET not in api.function.log[before:]
    api("GET /api/health/ready")
    assert api.status == 200


def test_a_job_that_fails_says_so_and_runs_again(lambda_: Lambda, url: str) -> None:
    with lambda_.function("CreateFoundingInvite", url) as create:
        failed = create.invoke([SECRET])
        made = create.invoke({})

        assert failed.is_error
        assert failed.payload["errorType"] == "JobFailed"
        assert SECRET not in json.dumps(failed.payload)
        assert SECRET not in create.log
        assert not made.is_error


def test_a_connection_that_was_ended_is_replaced(api: Client, url: str) -> None:
    api("GET /api/health/ready")

    ended = hang_up(url)
    api("GET /api/health/ready")

    assert ended > 0
    assert [status for _, status in api.requests] == [200, 200]


def test_a_process_that_was_frozen_goes_on(
    api: Client, url: str, founding_code: Callable[[], str]
) -> None:
    una = found(api, founding_code())
    api.function.freeze()
    hang_up(url)
    api.function.thaw()

    api("POST /api/locations", point(), by=una["token"])

    assert api.status == 200


def test_a_database_that_comes_back_is_found_again(
    lambda_: Lambda, url: str, tmp_path: Path
) -> None:
    with Relay(url, directory=tmp_path) as relay:
        way = relay.url
    with lambda_.function("APIHandler", way) as function:
        api = Client(function)

        api("GET /api/health/ready")
        with Relay(url, directory=tmp_path):
            api("GET /api/health/ready")
        api("GET /api/health/ready")
        with Relay(url, directory=tmp_path):
            api("GET /api/health/ready")

        assert [status for _, status in api.requests] == [503, 200, 503, 200]
        assert not function.has_ended


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"INVITE_CODE_PEPPER": PEPPER}, "DATABASE_URL"),
        ({"DATABASE_URL": f"postgresql://una:{SECRET}@localhost/draugar"}, "INVITE_CODE_PEPPER"),
        (
            {
                "DATABASE_URL": f"postgresql://una:{SECRET}@localhost/draugar",
                "INVITE_CODE_PEPPER": SECRET,
            },
            "INVITE_CODE_PEPPER",
        ),
    ],
    ids=["no database", "no pepper", "a weak pepper"],
)
def test_a_function_without_its_settings_refuses_to_start(
    lambda_: Lambda, settings: dict[str, str], named: str
) -> None:
    with lambda_.bare("APIHandler", **settings) as function:
        refusal = function.refusal()

        assert refusal["errorType"] == "SettingsError"
        assert named in refusal["errorMessage"]
        assert SECRET not in json.dumps(refusal)
        assert SECRET not in function.log


def test_a_job_without_its_settings_fails_by_their_name(lambda_: Lambda) -> None:
    with lambda_.bare("PurgeExpiredInvites", DATABASE_URL="") as function:
        answer = function.invoke(schedule_event("purge"))

        assert answer.is_error
        assert answer.payload["errorType"] == "SettingsError"
        assert "DATABASE_URL" in answer.payload["errorMessage"]

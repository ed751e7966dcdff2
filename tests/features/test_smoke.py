from sqlalchemy.orm import Session

from tests import factories
from tests.client import Api


def test_smoke(api: Api, session: Session) -> None:
    code = factories.founding_invite(session)
    r = api.post(
        "/api/auth/join",
        {
            "code": code.in_groups.lower(),
            "name": "Una",
            "group": {"name": "H", "encryption": "optional"},
        },
    )
    print(r)
    assert r.status == 201
    una = api.as_(r.json["token"])
    gid = r.json["group"]["id"]
    print(una.get("/api/auth/me"))
    print(una.get("/api/groups"))
    i = una.post("/api/invites", {})
    print(i)
    print(api.post("/api/invites/validate", {"code": i.json["code"]}))
    j = api.post(
        "/api/auth/join",
        {"code": i.json["code"], "name": "Ari"},
        headers={"Idempotency-Key": "a" * 30},
    )
    print(j)
    j = api.post(
        "/api/auth/join",
        {"code": i.json["code"], "name": "Ari"},
        headers={"Idempotency-Key": "a" * 30},
    )
    print(j)
    ari = api.as_(j.json["token"])
    print(una.get("/api/invites"))
    print(una.post("/api/locations", factories.plain_point()))
    print(
        una.post(
            "/api/locations",
            {
                "locations": [
                    factories.plain_point(),
                    {"x": 1},
                    {"latitude": 1, "longitude": 2, "accuracy": 3},
                ]
            },
        )
    )
    l = una.get("/api/locations/latest")
    print(l)
    print(una.call("GET", "/api/locations/latest", headers={"If-None-Match": l.headers["ETag"]}))
    print(una.get("/api/locations", limit=2))
    print(una.get("/api/export"))
    print(una.get("/api/users"))
    print(una.get("/api/devices"))
    print(api.get("/api/health/ready"))
    print(una.put(f"/api/groups/{gid}/sharing", {"paused": True}))
    print(una.post("/api/locations", factories.plain_point()))
    print(una.patch(f"/api/groups/{gid}", {"retentionDays": 300}))
    print(una.delete("/api/locations"))
    print(una.post(f"/api/groups/{gid}/leave"))
    print(ari.get("/api/groups"))
    print(ari.delete("/api/users/me"))
    print(ari.get("/api/auth/me"))
    print(ari.post("/api/auth/join", {"code": "AAAA", "name": "x", "bad": 1}))

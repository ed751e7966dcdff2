"""A group as its members' devices act on its key."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone


@dataclass(frozen=True)
class Hearth:
    """A group, and what can be done with its key by anybody."""

    group_id: UUID

    def rotate(self, by: Someone, key: dict[str, Any]) -> Reply:
        """Give the group a new key."""
        return Api(by.token).post(f"{self._path}/keys", key)

    def keys(self, by: Someone) -> Any:
        """Return what a device is told of the group's keys."""
        shown = Api(by.token).get(f"{self._path}/keys")
        assert shown.status == 200, shown.text
        return shown.json

    def pending(self, by: Someone) -> list[dict[str, Any]]:
        """Return the devices that wait."""
        listed = Api(by.token).get(f"{self._path}/keys/pending")
        assert listed.status == 200, listed.text
        devices: list[dict[str, Any]] = listed.json["devices"]
        return devices

    def hand_on(
        self,
        by: Someone,
        to: Someone,
        wrapped: str | None = None,
        *,
        version: int = 1,
        **fields: Any,
    ) -> Reply:
        """Give a device the key of a version."""
        body = {"wrappedKey": wrapped or factories.opaque(), **fields}
        return Api(by.token).put(self._place(to, version), body)

    def give_back(self, by: Someone, of: Someone | None = None, *, version: int = 1) -> Reply:
        """Delete an envelope, one's own unless another's is named."""
        return Api(by.token).delete(self._place(of or by, version))

    def post(self, by: Someone, point: dict[str, Any]) -> Reply:
        """Post a point."""
        return Api(by.token).post("/api/locations", point | {"groupId": str(self.group_id)})

    def post_sealed(self, by: Someone, version: int = 1) -> Reply:
        """Post a point that is sealed under a version of the key."""
        return self.post(by, factories.sealed_point(keyVersion=version))

    def invite(self, by: Someone, **fields: Any) -> Reply:
        """Make an invite."""
        return Api(by.token).post("/api/invites", {"groupId": str(self.group_id), **fields})

    def remove(self, by: Someone, who: Someone) -> Reply:
        """End somebody's membership."""
        return Api(by.token).delete(f"{self._path}/members/{who.user_id}")

    def leave(self, who: Someone) -> Reply:
        """End one's own."""
        return Api(who.token).post(f"{self._path}/leave")

    def is_confirmed(self, who: Someone) -> bool:
        """Whether a device may act in the group, as it is told itself."""
        told = self.keys(who)["confirmed"]
        (group,) = (
            group
            for group in Api(who.token).get("/api/groups").json["groups"]
            if group["id"] == str(self.group_id)
        )
        assert group["confirmed"] is told
        return bool(told)

    @property
    def _path(self) -> str:
        return f"/api/groups/{self.group_id}"

    def _place(self, device: Someone, version: int) -> str:
        return f"{self._path}/keys/{version}/envelopes/{device.device_id}"

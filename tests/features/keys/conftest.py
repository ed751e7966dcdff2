import pytest
from sqlalchemy.orm import Session

from tests import factories
from tests.api import Api
from tests.factories import Someone
from tests.features.keys.hearth import Hearth


@pytest.fixture
def una(session: Session) -> Someone:
    """The admin."""
    return factories.with_key(session, name="Una")


@pytest.fixture
def ari(session: Session) -> Someone:
    """A member."""
    return factories.with_key(session, name="Ari")


@pytest.fixture
def bera(session: Session, hearth: Hearth) -> Someone:
    """A member whose device nobody has confirmed."""
    bera = factories.with_key(session, name="Bera")
    factories.add_member(session, hearth.group_id, bera)
    return bera


@pytest.fixture
def hearth(api: Api, session: Session, una: Someone, ari: Someone) -> Hearth:
    """Una's group, which takes plaintext too; her device and Ari's hold its first key."""
    del api
    return Hearth(factories.group(session, una, ari, key_version=1))


@pytest.fixture
def keyless(api: Api, session: Session, una: Someone, ari: Someone) -> Hearth:
    """Una's and Ari's other group, which has no key yet."""
    del api
    return Hearth(factories.group(session, una, ari))

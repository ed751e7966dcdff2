"""The code of client/README.md, word for word, against a running service."""

import re
from pathlib import Path

import pytest

import draugar
from draugar.errors import NotJoined
from tests.client.family import Family, fix

README = Path(draugar.__file__).parents[1] / "README.md"
SHARING, JOINING = re.findall(
    r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL
)


def run(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102 -- our own


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home that a program opens by default."""
    monkeypatch.setenv("DRAUGAR_HOME", str(tmp_path / "library"))
    return tmp_path / "library"


@pytest.mark.usefixtures("home")
def test_a_program_joins_then_shares_and_reads(
    family: Family, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    una = family.found()
    link = una.invite().link
    assert link is not None
    monkeypatch.setattr("builtins.input", lambda _prompt: link.text)

    run(JOINING)
    una.share([fix(64.2)])
    joined = capsys.readouterr().out
    run(SHARING)

    assert "Joined: Hearth" in joined.splitlines()
    shown = capsys.readouterr().out.splitlines()
    assert any(line.startswith("Ari 64.1466 -21.9426 ") for line in shown)
    assert any(line.startswith("Una 64.2 -21.9426 ") for line in shown)
    assert {position.name for position in una.where()} == {"Una", "Ari"}


@pytest.mark.usefixtures("home")
def test_a_program_is_told_why_it_did_not_join(
    family: Family, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    una = family.found()
    invitation = una.invite()
    una.revoke_invite(invitation.id)
    assert invitation.link is not None
    text = invitation.link.text
    monkeypatch.setattr("builtins.input", lambda _prompt: text)

    run(JOINING)

    assert "Not joined: invite_not_valid" in capsys.readouterr().out


@pytest.mark.usefixtures("home")
def test_a_program_without_a_membership_fails() -> None:
    with pytest.raises(NotJoined):
        run(SHARING)


def test_the_public_names_are_there() -> None:
    names = {name: getattr(draugar, name) for name in draugar.__all__}

    assert names["errors"].Failure is names["Failure"]
    assert sorted(names) == draugar.__all__ == sorted(draugar.__all__)

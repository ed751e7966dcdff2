import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from draugar.crypto import InviteSecret
from draugar.links import ALPHABET, InviteLink, Unreadable, canonical, make_code

SECRET = InviteSecret(bytes(range(16)))
CODE = "RT5WLJ8BK2MNP4QX"
unhurried = settings(deadline=None)  # a machine may be busy with other tests


def link(url: str = "https://draugar.example", *, for_me: bool = False) -> InviteLink:
    return InviteLink(url=url, code=CODE, secret=SECRET, for_me=for_me)


def test_each_code_made_is_another_and_canonical() -> None:
    codes = [make_code() for _ in range(50)]

    assert [canonical(code) for code in codes] == codes
    assert {len(code) for code in codes} == {16}
    assert len({*codes}) == 50
    assert {*"".join(codes)} <= {*ALPHABET}


@unhurried
@given(
    code=st.text(ALPHABET, min_size=16, max_size=32) | st.text(ALPHABET, min_size=8, max_size=8),
    between=st.sampled_from(["", "-", " ", "\t", "\u2003"]),
)
def test_a_code_is_read_however_it_is_typed(code: str, between: str) -> None:
    assert canonical(between.join(code)) == code
    assert canonical(between.join(code.lower()) + "\n") == code


@pytest.mark.parametrize(
    "url",
    [
        "https://draugar.example",
        "https://draugar.example:8443",
        "https://draugar.example/v1",
        "https://draugar.example/a/b.c/join",
        "https://Draugar.Example",
        "https://192.0.2.1",
        "https://[2001:db8::1]:8443",
        "http://localhost:8000",
        "http://LOCALHOST",
        "http://127.0.0.1:8000/v1",
        "http://[::1]",
    ],
)
@pytest.mark.parametrize("for_me", [False, True])
def test_a_link_leads_to_the_service_that_made_it(url: str, *, for_me: bool) -> None:
    made = link(url, for_me=for_me)

    read = InviteLink.parse(f"  {made.text}\n")

    assert read == made
    assert (read.url, read.code, read.secret) == (url, CODE, SECRET)
    assert read.for_me is for_me


def test_a_slash_at_the_end_of_a_service_is_nothing() -> None:
    assert link("https://draugar.example/v1/") == link("https://draugar.example/v1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "draugar.example",
        "http://draugar.example",
        "https://localhost:8000",
        "http://127.0.0.1.example",
        "https://draugar.example?me",
        "https://draugar.example/#code",
        "https://draugar.example/a b",
        "https://draugar.example/%2e%2e",
        "https://draugar.example/..",
        "https://draugar.example:0x50",
        "https://draugar.example:70000",
        "https://una@draugar.example",
        "https://draugar.example\n",
        "https://-",
        "ftp://draugar.example",
    ],
)
def test_there_is_no_link_to_what_a_link_cannot_name(url: str) -> None:
    with pytest.raises(Unreadable):
        link(url)


@unhurried
@given(st.text(max_size=60) | st.from_regex(r"draugar://\S*/join(\?me)?#\S*\.\S*", fullmatch=True))
def test_whatever_is_read_is_a_link_or_refused(text: str) -> None:
    try:
        read = InviteLink.parse(text)
    except Unreadable:
        return
    assert InviteLink.parse(read.text) == read


def test_a_damaged_link_is_not_repeated() -> None:
    with pytest.raises(Unreadable) as caught:
        InviteLink.parse(link().text[:-1])

    assert CODE not in str(caught.value)
    assert SECRET.text[:-1] not in f"{caught.value} {caught.value.__context__}"


def test_neither_code_nor_secret_is_shown() -> None:
    shown = f"{link()} {link()!r}"

    assert CODE not in shown
    assert SECRET.text not in shown


def test_the_secret_stands_where_no_server_is_told_of_it() -> None:
    scheme, _, rest = link().text.partition(":")

    assert scheme == "draugar"
    assert rest.partition("#")[2] == f"{CODE}.{SECRET.text}"

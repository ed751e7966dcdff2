import pytest
from hypothesis import given
from hypothesis import strategies as st

from draugar.protocol.codes import ALPHABET, make_code
from draugar.protocol.links import InviteLink, Unreadable, canonical, is_link
from draugar.protocol.secrets import InviteSecret
from tests.client.saying import failing

SECRET = InviteSecret(bytes(range(16)))
CODE = "RT5WLJ8BK2MNP4QX"


def link(url: str = "https://draugar.example", *, for_me: bool = False) -> InviteLink:
    return InviteLink(url=url, code=CODE, secret=SECRET, for_me=for_me)


def test_each_code_made_is_another_and_canonical() -> None:
    codes = [make_code() for _ in range(50)]

    assert [canonical(code) for code in codes] == codes
    assert {len(code) for code in codes} == {16}
    assert len({*codes}) == 50
    assert {*"".join(codes)} <= {*ALPHABET}


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
        "https://localhost:8443",
        "https://127.0.0.1/v1",
    ],
)
@pytest.mark.parametrize("for_me", [False, True])
def test_a_link_leads_to_the_service_that_made_it(url: str, *, for_me: bool) -> None:
    made = link(url, for_me=for_me)

    read = InviteLink.parse(made.text)

    assert read == made == InviteLink.paste(f"  {made.text}\n")
    assert (read.url, read.code, read.secret) == (url, CODE, SECRET)
    assert read.for_me is for_me


PASTED = (
    *("{}.", "{},", "{}!", "{}?", "({})", "[{}]", "<{}>", '"{}"', "'{}'", "`{}`", "*{}*", "_{}_"),
    *("\u201c{}\u201d", "\u201e{}\u201c", "\u2018{}\u2019", "\u00ab{}\u00bb", "\u300c{}\u300d"),
    *(
        "\ufeff{}",
        "\u200b{}\u200b",
        "\u2068{}\u2069",
        "\t{}\r\n",
        "\u00a0{}\u3000",
        "{}\u2026",
        "{}\u2014",
    ),
    *(
        "Join us: {}",
        "Join us: {} See you!",
        "Hi!\n\n{}\n\nBye, Una",
        "> {}",
        "[Join]({})",
        "Join us:{}",
    ),
)


@pytest.mark.parametrize("around", PASTED, ids=ascii)
@pytest.mark.parametrize("for_me", [False, True])
def test_a_link_is_read_as_it_was_pasted(around: str, *, for_me: bool) -> None:
    made = link("https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/api", for_me=for_me)

    assert InviteLink.paste(around.format(made.text)) == made


@given(
    cuts=st.lists(st.integers(1, 100), max_size=3),
    wrap=st.sampled_from(["\n", "\r\n", " \n ", "\n> ", "\u2028", "\u200b", "\u00ad", "\ufeff"]),
    around=st.sampled_from(["{}", "Join us: {}", "{}.", '"{}"', "{}\nBye", "> {}"]),
    url=st.sampled_from(["https://draugar.example:8443/a-b", "http://127.0.0.1", "https://[::1]"]),
    for_me=st.booleans(),
)
def test_a_link_is_read_over_several_lines(
    *, cuts: list[int], wrap: str, around: str, url: str, for_me: bool
) -> None:
    made = link(url, for_me=for_me)
    text = made.text
    for cut in sorted(cuts, reverse=True):
        text = text[:cut] + wrap + text[cut:] if cut < len(made.text) else text

    assert InviteLink.paste(around.format(text)) == made


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("around", ["{}", "Hi!\n{}\nBye", "{}.\nBye", "> {}\n> Bye", "*{}*"])
def test_the_end_of_a_link_is_read_where_it_is_wrapped(around: str, cut: int) -> None:
    text = link(for_me=True).text

    assert InviteLink.paste(around.format(f"{text[:-cut]}\n{text[-cut:]}")).for_me
    assert InviteLink.paste(around.format(f"{text[:-3]}\n.\nm\ne")).for_me


@pytest.mark.parametrize(
    "after",
    [".\nme too", ".\nMe and Ari", ". me", " .me", ".mean", ".me2", ".me-2", "\nme", "\n.meet"],
)
def test_a_sentence_behind_a_link_makes_it_no_link_for_oneself(after: str) -> None:
    assert InviteLink.paste(f"Join: {link().text}{after}") == link()


@pytest.mark.parametrize("written", ["{}.me", "{}.ME", "{}.Me", "_{}.me_", "{}.me)", "{}\uff0eme"])
def test_a_link_for_oneself_is_read_as_apps_rewrite_it(written: str) -> None:
    assert InviteLink.paste(written.format(link().text)) == link(for_me=True)


def test_a_link_for_oneself_of_form_1_stays_valid() -> None:
    former = link(for_me=True).text.removesuffix(".me").replace("#", "?me#")

    assert InviteLink.parse(former) == InviteLink.paste(f"({former}).") == link(for_me=True)
    with pytest.raises(Unreadable):
        InviteLink.parse(f"{former}.me")


@pytest.mark.parametrize("cut", range(1, len("draugar://") + 1))
def test_a_link_is_read_where_its_scheme_is_wrapped(cut: int) -> None:
    text = link().text

    assert InviteLink.paste(f"Hi\n{text[:cut]}\n{text[cut:]}\nBye") == link()


def test_a_link_is_read_over_blanks_where_nothing_follows_it() -> None:
    text = link().text

    assert InviteLink.paste(f"{text[:40]} {text[40:]}") == link()
    with pytest.raises(Unreadable):
        InviteLink.paste(f"{text[:-1]} A letter too few")


@pytest.mark.parametrize(
    ("of", "becomes"),
    [
        ("draugar://", "Draugar://"),
        ("draugar://", "DRAUGAR://"),
        ("draugar://", "https://"),
        ("draugar://", "HTTPS://"),
        ("#", "%23"),
        ("-", "\u2011"),
        ("-", "\u2013"),
        ("_", "\\_"),
    ],
)
def test_a_link_is_read_as_apps_rewrite_it(of: str, becomes: str) -> None:
    secret = InviteSecret.read("q8Zt-cXy_k2m5nV1b7aRdg")
    made = InviteLink(url="https://draugar.example", code=CODE, secret=secret)

    assert InviteLink.paste(made.text.replace(of, becomes)) == made


@pytest.mark.parametrize("for_me", [False, True])
def test_a_link_without_its_front_is_of_the_service_that_is_named(*, for_me: bool) -> None:
    for url in ("https://draugar.example/v1", "http://127.0.0.1:8000", "https://localhost:8443"):
        made = link(url, for_me=for_me)
        _, _, place = made.text.partition("://")
        tail = made.text.partition("/join")[2]

        assert InviteLink.paste(place, url=url) == made
        assert InviteLink.paste(f"/join{tail}", url=url) == made
        assert InviteLink.paste(tail, url=url) == made
        assert InviteLink.paste(tail.removesuffix(".me"), url=url).code == CODE
        assert InviteLink.paste(f"“{tail[tail.index('#') + 1 :]}”.", url=url).secret == SECRET
    with failing(Unreadable, "beginning of this invite link is missing"):
        InviteLink.paste(f"{CODE}.{SECRET.text}")


def test_two_links_in_one_text_are_refused() -> None:
    text = f"{link().text} or {link('https://b.example').text}"

    with failing(Unreadable, "several invite links"):
        InviteLink.paste(text)
    assert InviteLink.paste(f"{link().text}\n{link().text}") == link()


def test_a_link_in_the_open_is_refused() -> None:
    with pytest.raises(Unreadable):
        InviteLink.paste(link().text.replace("draugar:", "http:"))


def test_a_code_is_no_link_and_what_is_left_of_a_link_is_no_code() -> None:
    assert not any(is_link(code) for code in ("7KQM-X2HD.", '"7KQM-X2HD"', "7KQM X2HD", CODE))
    assert all(is_link(text) for text in (link().text, f"{CODE}.{SECRET.text}", f"#{CODE}"))


@pytest.mark.parametrize(
    "around",
    [
        *("{}.", '"{}"', "*{}*", "\u201c{}\u201d", "\ufeff{}", "({})", "`{}`,", "{}\u3002"),
        *("\U0001f449{}\U0001f448", "\U0001f3e1\ufe0f {} \U0001f44d\U0001f3fd"),
    ],
)
def test_a_code_is_read_as_it_was_pasted(around: str) -> None:
    for written in ("7KQM-X2HD", "7KQM\u2014X2HD", "7kqm\u200b-x2hd", "7KQM\nX2HD"):
        assert canonical(around.format(written)) == "7KQMX2HD"


@pytest.mark.parametrize(
    "text", ["ABCDEF\u00df", "ABCDEFG\u017f", "ABCDEFG\u00b2", "ABCDEFGH\u24b6"]
)
def test_no_letter_of_another_script_is_taken_for_one_of_a_code(text: str) -> None:
    with pytest.raises(Unreadable):
        canonical(text)


def test_a_slash_at_the_end_of_a_service_is_nothing() -> None:
    assert link("https://draugar.example/v1/") == link("https://draugar.example/v1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "draugar.example",
        "http://draugar.example",
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
        "HTTPS://draugar.example",
        "https://draugar.example/api/docs",
        "https://xn--evil",
        "https://[::1]evil.example",
        "https://[1:2]",
        f"https://{64 * 'a'}.example",
        "https://..",
        "https://draugar..example",
        "https://1.2.3.999",
    ],
)
def test_there_is_no_link_to_what_a_link_cannot_name(url: str) -> None:
    with pytest.raises(Unreadable):
        link(url)


@given(
    st.text(max_size=60)
    | st.from_regex(r"draugar://\S*/join(\?me)?#\S*\.\S*(\.me)?", fullmatch=True)
)
def test_whatever_is_read_is_a_link_or_refused(text: str) -> None:
    try:
        read = InviteLink.paste(text)
    except Unreadable:
        return
    assert InviteLink.paste(read.text) == read


def test_a_damaged_link_is_not_repeated() -> None:
    with pytest.raises(Unreadable) as caught:
        InviteLink.paste(link().text[:-1])

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


def test_a_link_says_more_of_its_service_than_what_is_named_beside_it() -> None:
    link = InviteLink.paste(
        "https://localhost:8000/join#RT5WLJ8BK2MNP4QX.AAECAwQFBgcICQoLDA0ODw",
        url="http://localhost:8000",
    )

    assert link.url == "https://localhost:8000"


def test_a_link_among_other_lines_is_wrapped_over_eight_lines_at_most() -> None:
    link = "draugar://draugar.example/join#RT5WLJ8BK2MNP4QX.AAECAwQFBgcICQoLDA0ODw"

    def wrapped(lines: int) -> str:
        size = -(-len(link) // lines)
        pieces = [link[start : start + size] for start in range(0, len(link), size)]
        assert len(pieces) == lines
        return "\n".join(["Here it is:", *pieces, "See you there."])

    assert InviteLink.paste(wrapped(8)).text == link
    with pytest.raises(Unreadable):
        InviteLink.paste(wrapped(9))

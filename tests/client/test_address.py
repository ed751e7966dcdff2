"""The address of a service at its bounds."""

import pytest

from draugar.errors import AddressNotUsable
from draugar.protocol.address import service_url


def of_length(length: int) -> str:
    """Return a host of labels of 63 characters, and what is left."""
    whole, rest = divmod(length, 64)
    return ".".join([*[63 * "a"] * whole, rest * "b"])


@pytest.mark.parametrize(
    "url",
    [
        f"https://{63 * 'a'}.example",
        f"https://{of_length(253)}",
        "https://draugar.example:1",
        "https://draugar.example:65535",
        "https://a-b.example",
        "http://[::1]:8000",
    ],
)
def test_an_address_reaches_its_bounds(url: str) -> None:
    assert service_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        f"https://{64 * 'a'}.example",
        f"https://{of_length(254)}",
        "https://draugar.example:0",
        "https://draugar.example:65536",
        "https://a-.example",
        "https://a.-b.example",
        "https://a..example",
        "https://a.example!/api/docs",
        "https://1.2.3.256",
        "https://[::1",
        "https://[:::]",
        "https://xn--a-0.example",
    ],
)
def test_an_address_does_not_go_beyond_its_bounds(url: str) -> None:
    with pytest.raises(AddressNotUsable):
        service_url(url)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("HTTPS://Draugar.Example", "https://draugar.example"),
        ("https://draugar.example//", "https://draugar.example"),
        ("https://draugar.example]", "https://draugar.example"),
        ("(http://[::1])", "http://[::1]"),
        ("See https://draugar.example", "https://draugar.example"),
    ],
)
def test_an_address_is_read_as_it_was_pasted(text: str, url: str) -> None:
    assert service_url(text) == url

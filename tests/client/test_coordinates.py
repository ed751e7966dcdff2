"""Positions as people type them, and as maps copy them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from draugar.cli.coordinates import NotAPosition, parse_position
from draugar.cli.failures import told
from tests.client.saying import failing


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [("64.1466", "-21.9426"), ("64.1466,", "-21.9426"), (" 64.1466 ", "-2.19426e1")],
)
def test_a_position_is_read_as_people_and_maps_write_it(latitude: str, longitude: str) -> None:
    read = parse_position(latitude, longitude)

    assert read == (64.1466, -21.9426)


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        ("90.001", "0"),
        ("0", "-180.001"),
        ("nan", "0"),
        ("0", "inf"),
        ("1_0", "0"),
        ("٦٤", "0"),
        ("64,1466", "0"),
        ("", "0"),
        ("--1", "0"),
        ("1e999", "0"),
    ],
)
def test_what_is_no_position_is_refused_and_not_repeated(latitude: str, longitude: str) -> None:
    with pytest.raises(NotAPosition) as refused:
        parse_position(latitude, longitude)

    assert "is a number from -" in told(refused.value).reason
    assert all(
        given not in told(refused.value).reason for given in (latitude, longitude) if len(given) > 2
    )


@pytest.mark.parametrize(
    "text",
    [
        *("64.1466,-21.9426", "64.1466, -21.9426", "64.1466\t-21.9426", "64.1466; -21.9426"),
        *("64.1466 \u221221.9426", "64.1466, \u201321.9426", "64.1466,\u00a0-21.9426"),
        *("\ufeff64.1466,-21.9426", "64.1466\u200b, -21.9426", "64.1466\uff0c-21.9426"),
        *("64.1466,\n-21.9426", "64.1466/-21.9426", "+64.1466 -21.9426", "64.1466, -21.9426."),
        *('"64.1466, -21.9426"', "\u201c64.1466, -21.9426\u201d", "'64.1466 -21.9426'"),
        *("(64.1466, -21.9426)", "<64.1466,-21.9426>", "`64.1466,-21.9426`", "*64.1466 -21.9426*"),
        *("geo:64.1466,-21.9426", "geo:64.1466,-21.9426?z=15", "GEO:64.1466,-21.9426;u=35"),
        *("geo:64.1466,-21.9426,40;crs=wgs84", "geo:0,0?q=64.1466,-21.9426(Una%27s)"),
        *(
            "'geo:64.1466,-21.9426'",
            "\u201cgeo:64.1466,-21.9426\u201d",
            "geo:64.1466,\u221221.9426",
        ),
        *(
            "64.1466\u00b0 N, 21.9426\u00b0 W",
            "64.1466\u00b0N 21.9426\u00b0W",
            "N 64.1466 W 21.9426",
        ),
        *("64.1466\u00b0, -21.9426\u00b0", "21.9426\u00b0 W, 64.1466\u00b0 N", "64.1466n 21.9426w"),
        *("\U0001f4cd 64.1466, -21.9426", "\U0001f4cd64.1466\u00b0, -21.9426\u00b0 \U0001f44d"),
        *("64.1466|-21.9426", "latitude=64.1466&longitude=-21.9426", "64.1466, -21.9426\u3002"),
        *('{"lat": 64.1466, "lng": -21.9426}', "{'lon': -21.9426, 'lat': 64.1466}"),
        *("64.1466 north, 21.9426 west", "64.1466\u00b0 North 21.9426\u00b0 West"),
        *("geo:64.1466%2C-21.9426", "geo:0,0?q=64.1466%2C-21.9426", "64.1466~-21.9426"),
        *("Lat: 64.1466, Lon: -21.9426", "lat=64.1466 lng=-21.9426", "long -21.9426 lat 64.1466"),
    ],
    ids=ascii,
)
def test_a_position_is_read_as_it_was_copied(text: str) -> None:
    assert parse_position(text) == (64.1466, -21.9426)


@pytest.mark.parametrize(
    "text",
    [
        "64\u00b008'47.8\"N 21\u00b056'33.4\"W",
        "64\u00b008\u203247.8\u2033N, 21\u00b056\u203233.4\u2033W",
        "64\u00b0 8' 47.8\" N 21\u00b0 56' 33.4\" W",
        "64\u00b008'47.8\", -21\u00b056'33.4\"",
        "64\u00b008\u201947.8\u201dN 21\u00b056\u201933.4\u201dW",
        "64\u00b008.7967'N 21\u00b056.5567'W",
        "64\u00b008.7967', -21\u00b056.5567'",
        "N 64\u00b0 08.7967 W 021\u00b0 56.5567",
        "64 08 47.8 N 21 56 33.4 W",
        "64:08:47.8N, 21:56:33.4W",
    ],
    ids=ascii,
)
def test_degrees_minutes_and_seconds_are_read(text: str) -> None:
    assert parse_position(text) == pytest.approx((64.146611, -21.942611), abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        *("64,1466 -21,9426", "64,1466, -21,9426", "64,14", "64", "", "64.1 - 21.9", "64.1-21.9"),
        *("64 N 21 N", "-64 S 21 W", "64\u00b061'N 21\u00b0W", "1 2 3", "64.1466 -21.9426 x"),
        *("geo:0,0?q=Reykjavik", "geo:64,-21;crs=moon", "geo:..,..", "geo:64", "91 N 21 W"),
        *("64.1.2 3", "1e999 0", "lat 64 lat 21", "64 8 47.8 21 56 33.4", "64:08 21:56"),
        *("64.1466, -21.9426, 12", "64\u00b0 8 47.8 21 W", "Reykjavik", "///filled.count.soap"),
    ],
)
def test_nothing_is_guessed_of_what_is_no_position(text: str) -> None:
    with pytest.raises(NotAPosition):
        parse_position(text)


@pytest.mark.parametrize(
    "link",
    [
        "https://www.google.com/maps?q=64.1466,-21.9426",
        "https://maps.google.com/maps?q=64.1466%2C-21.9426&z=15",
        "https://maps.google.co.uk/?q=loc:64.1466,-21.9426",
        "https://maps.google.com/?q=64.1466,-21.9426(Una)",
        "https://www.google.com/maps/search/?api=1&query=64.1466%2C-21.9426",
        "https://www.google.com/maps/search/64.1466,+-21.9426?entry=tts",
        "https://www.google.com/maps/@64.1466,-21.9426,15z",
        "https://www.google.com/maps/place/Home/@64.1,-21.9,17z/data=!3m1!4b1!3d64.1466!4d-21.9426",
        "https://www.google.com/maps/place/64.1466,-21.9426/@64.1,-21.9,17z",
        "https://maps.apple.com/?ll=64.1466,-21.9426&q=Dropped%20Pin",
        "https://maps.apple.com/place?coordinate=64.1466,-21.9426&name=Home",
        "https://www.openstreetmap.org/?mlat=64.1466&mlon=-21.9426#map=15/64.1/-21.9",
        "https://www.openstreetmap.org/#map=15/64.1466/-21.9426",
        "https://www.bing.com/maps?cp=64.1466%7E-21.9426&lvl=15",
        "https://www.bing.com/maps?cp=64.1~-21.9&sp=point.64.1466_-21.9426_Home",
        "https://waze.com/ul?ll=64.1466,-21.9426&navigate=yes",
        "https://osmand.net/map?pin=64.1466,-21.9426#15/64.1/-21.9",
        "HTTPS://WWW.GOOGLE.COM/maps?q=64.1466,-21.9426",
        "<https://maps.google.com/?q=64.1466,-21.9426>.",
        "Dropped pin\nhttps://maps.google.com/?q=64.1466,-21.9426",
        "\U0001f4cd https://maps.google.com/?q=64.1466,-21.9426 \U0001f448",
    ],
)
def test_the_one_position_of_a_link_to_a_map_is_read(link: str) -> None:
    assert parse_position(link) == (64.1466, -21.9426)


@pytest.mark.parametrize(
    "link",
    [
        "https://maps.app.goo.gl/abcdef",
        "https://osm.org/go/e0abcd--?m=",
        "https://maps.google.com/?q=Reykjavik",
        "https://maps.google.com/?q=64.1466,-21.9426&ll=64.2,-21.7&destination=1,2",
        "https://maps.google.com/?q=64.1466,-21.9426 https://maps.google.com/?q=64.2,-21.7",
        # Of this site, the longitude comes first.
        "https://yandex.com/maps/?ll=21.94,64.14&z=15",
        "https://google.com.example.org/maps?q=64.1466,-21.9426",
        "https://[maps?q=64.1466,-21.9426",
    ],
)
def test_a_link_that_holds_no_one_position_is_explained(link: str) -> None:
    with pytest.raises(NotAPosition) as refused:
        parse_position(link)

    assert "link" in told(refused.value).reason
    assert "64.1466,-21.9426" not in told(refused.value).reason
    assert "copy the two numbers" in told(refused.value).next_step


def test_a_link_to_a_map_is_held_to_the_limits_of_a_position() -> None:
    with failing(NotAPosition, "-180 to 180"):
        parse_position("https://maps.google.com/?q=64.1466,-221.9426")


def test_a_zero_is_not_negative() -> None:
    assert (
        repr([*parse_position("-0", "-0.0"), *parse_position("0 S 0 W")]) == "[0.0, 0.0, 0.0, 0.0]"
    )


def test_swapped_numbers_are_told_apart_where_only_one_order_is_a_position() -> None:
    with failing(NotAPosition, "swapped"):
        parse_position("174.76 -36.85")


@given(st.text("0123456789.,-+ NSEW\u00b0'\"geo:\u2212", max_size=24))
def test_whatever_is_read_is_a_position_or_refused(text: str) -> None:
    try:
        latitude, longitude = parse_position(text)
    except NotAPosition:
        return

    assert abs(latitude) <= 90
    assert abs(longitude) <= 180

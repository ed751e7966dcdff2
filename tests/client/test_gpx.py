"""Reading tracks that come from anywhere, and writing ones that any program reads."""

import codecs
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from draugar.cli.failures import told
from draugar.maps import geojson, gpx
from draugar.maps.geo import GAP, Trail
from draugar.maps.track import Fault, NotATrack
from draugar.models import Fix
from draugar.text.display import stamp
from tests.client.saying import failing

NOON = datetime(2026, 8, 5, 12, tzinfo=UTC)
NOON_IN_NOVEMBER = datetime(2026, 11, 30, 12, tzinfo=UTC)
TWO_HOURS, MS_504 = timedelta(hours=2), timedelta(milliseconds=504)
MICROSECONDS = timedelta(microseconds=503_999)
IN_GPX = {"gpx": "http://www.topografix.com/GPX/1/1"}


def track(points: str, *, namespace: str = ' xmlns="http://www.topografix.com/GPX/1/1"') -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<gpx version="1.1" creator="test"{namespace}>'
        f"<trk><name>A walk</name><trkseg>{points}</trkseg></trk></gpx>"
    )


def point(latitude: object, longitude: object, inside: str = "") -> str:
    return f'<trkpt lat="{latitude}" lon="{longitude}">{inside}</trkpt>'


def saved(directory: Path, content: str | bytes) -> Path:
    file = directory / "track.gpx"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def fix(
    latitude: float, longitude: float, *, minute: int = 0, altitude: float | None = None
) -> Fix:
    return Fix(
        latitude=latitude,
        longitude=longitude,
        accuracy=10,
        altitude=altitude,
        at=NOON + timedelta(minutes=minute),
    )


def test_points_are_read_in_order_with_their_heights_and_times(tmp_path: Path) -> None:
    file = saved(
        tmp_path,
        track(
            point(46.4349, 13.7482, "<ele>1614.678</ele><time>2026-08-05T12:00:00Z</time>")
            + point("-46.5", " 13.75 ", "<time>2026-08-05T14:00:30.2073437+02:00</time>")
            + point(46.6, 13.76)
        ),
    )

    first, second, third = gpx.read(file).points

    assert (first.latitude, first.longitude) == (46.4349, 13.7482)
    assert (first.altitude, first.at) == (1614.678, NOON)
    assert (second.latitude, second.longitude, second.altitude) == (-46.5, 13.75, None)
    assert second.at == NOON + timedelta(seconds=30, microseconds=207343)
    assert (third.altitude, third.at) == (None, None)


def test_gpx_1_0_and_files_without_a_namespace_are_read_too(tmp_path: Path) -> None:
    older = track(point(1, 2), namespace=' xmlns="http://www.topografix.com/GPX/1/0"')
    bare = track(point(1, 2), namespace="")

    assert [gpx.read(saved(tmp_path, content)).count for content in (older, bare)] == [1, 1]


def test_waypoints_routes_and_what_extensions_say_are_no_part_of_a_track(tmp_path: Path) -> None:
    content = track(
        point(1, 2, "<extensions><time>1999-01-01T00:00:00Z</time><ele>7</ele></extensions>")
    ).replace("<trk>", '<wpt lat="9" lon="9"/><rte><rtept lat="8" lon="8"/></rte><trk>')

    (only,) = gpx.read(saved(tmp_path, content)).points

    assert (only.latitude, only.altitude, only.at) == (1, None, None)


def test_a_time_without_a_zone_is_utc_as_gpx_says(tmp_path: Path) -> None:
    assert times_of(tmp_path, "2026-08-05T12:00:00") == [NOON]


def test_a_height_that_is_none_is_left_out(tmp_path: Path) -> None:
    (only,) = gpx.read(saved(tmp_path, track(point(1, 2, "<ele>1e9</ele>")))).points

    assert only.altitude is None


def times_of(directory: Path, *times: str) -> list[datetime | None]:
    file = saved(directory, track("".join(point(1, 2, f"<time>{time}</time>") for time in times)))
    later = datetime(2027, 1, 1, tzinfo=UTC)
    return [point.at for point in gpx.read(file, later).recorded().points]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-29T24:00:00Z", datetime(2026, 11, 30, tzinfo=UTC)),
        ("2026-11-29T24:00:00.000+01:00", datetime(2026, 11, 29, 23, tzinfo=UTC)),
        ("2026-11-30T12:00:00.504+02:00[Europe/Brussels]", NOON_IN_NOVEMBER - TWO_HOURS + MS_504),
        ("2026-11-30T12:00Z", NOON_IN_NOVEMBER),
        ("2026-11-30T12:00Z[Etc/UTC]", NOON_IN_NOVEMBER),
        ("2026-11-30T12:00:00Z[UTC]", NOON_IN_NOVEMBER),
        ("2026-11-30t12:00:00z", NOON_IN_NOVEMBER),
        ("2026-11-30 12:00:00", NOON_IN_NOVEMBER),
        ("\n  2026-11-30T12:00:00Z\t", NOON_IN_NOVEMBER),
        ("2026-11-30T14:00:00.5039999999999+0200", NOON_IN_NOVEMBER + MICROSECONDS),
        ("2026-11-30T02:00:00-10:00", NOON_IN_NOVEMBER),
    ],
)
def test_times_are_read_as_xml_schema_and_java_write_them(
    tmp_path: Path, written: str, meant: datetime
) -> None:
    assert times_of(tmp_path, written) == [meant]


@pytest.mark.parametrize(
    ("time", "fault"),
    [
        ("", Fault.NO_TIME),
        (" \n", Fault.NO_TIME),
        ("yesterday", Fault.UNREADABLE),
        ("2026-00-00T00:00:00Z", Fault.UNREADABLE),
        ("2026-02-30T00:00:00Z", Fault.UNREADABLE),
        ("2026-11-30", Fault.UNREADABLE),
        ("12:00:00", Fault.UNREADABLE),
        ("2026-11-29T24:00:01Z", Fault.UNREADABLE),
        ("2026-11-29T25:00:00Z", Fault.UNREADABLE),
        ("9999-12-31T24:00:00Z", Fault.UNREADABLE),
        ("0001-01-01T00:00:00+14:00", Fault.UNREADABLE),
        ("0000-00-00T00:00:00Z", Fault.UNREADABLE),
        ("-2026-11-30T12:00:00Z", Fault.UNREADABLE),
        ("2026-11-30T12:00:00[Europe/Brussels]", Fault.UNREADABLE),
        ("1764504000", Fault.UNREADABLE),
        ("\u0662\u0660\u0662\u0666-11-30T12:00:00Z", Fault.UNREADABLE),
        ("1901-12-13T20:45:52.2073437Z", Fault.EARLY),
        ("1970-01-01T00:00:01Z", Fault.EARLY),
        ("1999-12-31T23:59:59Z", Fault.EARLY),
        ("2000-01-01T00:00:00Z", None),
        ("2026-08-05T12:09:59Z", None),
        ("2026-08-05T12:10:01Z", Fault.AHEAD),
        ("2043-10-14T14:14:09Z", Fault.AHEAD),
    ],
)
def test_a_wrong_time_leaves_out_its_point_alone(
    tmp_path: Path, time: str, fault: Fault | None
) -> None:
    good = "<time>2026-08-05T11:00:00Z</time>"
    file = saved(
        tmp_path, track(point(1, 2, good) + point(3, 4, f"<time>{time}</time>") + point(5, 6, good))
    )

    read = gpx.read(file, NOON).recorded()

    assert read.left_out == ({2: fault} if fault else {})
    assert [one.latitude for one in read.points] == ([1, 5] if fault else [1, 3, 5])


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [
        ('lat="90.1" lon="0"', Fault.SWAPPED),
        ('lat="139.7" lon="35.7"', Fault.SWAPPED),
        ('lat="180.1" lon="0"', Fault.LATITUDE),
        ('lat="139.7" lon="135.7"', Fault.LATITUDE),
        ('lat="-1e3" lon="0"', Fault.LATITUDE),
        ('lat="NaN" lon="0"', Fault.LATITUDE),
        ('lat="inf" lon="0"', Fault.LATITUDE),
        ('lat="" lon="0"', Fault.LATITUDE),
        ('lon="0"', Fault.LATITUDE),
        ('lat="64,1" lon="0"', Fault.LATITUDE),
        ('lat="0" lon="180.0000001"', Fault.LONGITUDE),
        ('lat="0" lon="nan"', Fault.LONGITUDE),
        ('lat="0"', Fault.LONGITUDE),
        ('Lat="1" Lon="2"', Fault.LATITUDE),
    ],
)
def test_a_wrong_position_leaves_out_its_point_alone(
    tmp_path: Path, attributes: str, fault: Fault
) -> None:
    file = saved(tmp_path, track(point(1, 2) + f"<trkpt {attributes}/>" + point(5, 6)))

    read = gpx.read(file)

    assert read.left_out == {2: fault}
    assert [one.latitude for one in read.points] == [1, 5]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "line 1"),
        ("not xml", "line 1"),
        ('{"type": "FeatureCollection"}', "line 1"),
        (track(point(1, 2))[:-20], "line 2 is broken"),
        (track(point(1, 2) + "<trkpt lat=1 lon=2/>"), "line 2 is broken"),
        (track(""), "no track points"),
        ("<kml><Placemark/></kml>", "no track points"),
        ('<?xml version="1.0" encoding="klingon"?><gpx/>', "encoding"),
        ('<?xml version="1.0" encoding="zlib"?><gpx/>', "encoding"),
        ('<?xml version="1.0" encoding="punycode"?><gpx/>', "encoding"),
        (track("<name>&nbsp;</name>"), "Line 2 uses an entity"),
        (track(point(1, 2)) + track(point(3, 4)), "is broken"),
        (track(point(1, 2)) + "<!DOCTYPE gpx><trkpt/>", "is broken"),
    ],
)
def test_a_file_that_is_no_track_is_refused_with_a_reason(
    tmp_path: Path, content: str, reason: str
) -> None:
    file = saved(tmp_path, content)

    with pytest.raises(NotATrack) as refused:
        gpx.read(file)

    assert reason in told(refused.value).reason


def test_of_a_file_without_a_track_it_is_said_what_it_holds(tmp_path: Path) -> None:
    content = "<wpt lat='1' lon='2'/><rte><rtept lat='1' lon='2'/><rtept lat='3' lon='4'/></rte>"

    with pytest.raises(NotATrack) as refused:
        gpx.read(saved(tmp_path, f"<gpx>{content}</gpx>"))

    assert told(refused.value).reason == (
        "The file holds no track points. It holds 1 waypoint and 2 route points: they say where to"
        " go, not where a device was. Only recorded tracks are shared."
    )


AROUND = {
    "an undeclared prefix": track(
        point(1, 2, "<extensions><gpxtpx:hr>90</gpxtpx:hr></extensions>")
    ),
    "an undeclared prefix of an attribute": track(point(1, 2)).replace(
        "<gpx ", '<gpx xsi:schemaLocation="http://www.topografix.com/GPX/1/1 gpx.xsd" '
    ),
    "an undeclared prefix of all": re.sub("<(/?)([a-z])", r"<\1gpx:\2", track(point(1, 2))),
    "a declared prefix of all": re.sub("<(/?)([a-z])", r"<\1g:\2", track(point(1, 2))).replace(
        " xmlns=", " xmlns:g="
    ),
    "a namespace declared to be none": track(point(1, 2)).replace("<gpx ", '<gpx xmlns:a="" '),
    "blanks before the declaration": " " * 10 + track(point(1, 2)),
    "lines before the declaration": "\r\n\n\t" + track(point(1, 2)),
    "marks before the declaration": "\ufeff \ufeff" + track(point(1, 2)),
    "a comment before the declaration": "<!-- made by a recorder -->" + track(point(1, 2)),
    "text before the declaration": "Content-Type: application/gpx+xml\n\n" + track(point(1, 2)),
    "a declaration of version 1.1": track(point(1, 2)).replace('version="1.0"', 'version="1.1"', 1),
    "a declaration of another encoding": track(point(1, 2)).replace("UTF-8", "UTF-16"),
    "zeros behind the end": track(point(1, 2)) + "\0" * 512,
    "blanks behind the end": track(point(1, 2)) + "\n\n  ",
    "control characters in a name": track(point(1, 2)).replace("A walk", "A\x00 w\x1balk\x1a"),
    "references to control characters": track(point(1, 2)).replace("A walk", "&#0;&#x1F;&#xFFFF;"),
    "text behind the end": track(point(1, 2)) + "\n<!-- uploaded --><p>Served by X & Y",
    "an ampersand in a name": track(point(1, 2)).replace("A walk", "Tom & Jerry &co?a=1&b=2"),
    "a processing instruction": track("<?strava pi?>" + point(1, 2)),
    "a CDATA section": track(point(1, 2)).replace("A walk", "<![CDATA[A & <walk>]]>"),
    "points in extensions": track(
        "<extensions><trkpt lat='8' lon='9'/></extensions>"
        + point(1, 2, "<extensions><trkpt lat='6' lon='7'><time>1</time></trkpt></extensions>")
    ),
    "elements of others in a point": track(point(1, 2, "<a:time>never</a:time><a:ele>x</a:ele>")),
    "waypoints with broken positions": track(point(1, 2)).replace("<trk>", "<wpt lat='x'/><trk>"),
}


@pytest.mark.parametrize("content", AROUND.values(), ids=AROUND)
def test_what_stands_around_track_points_refuses_no_file(tmp_path: Path, content: str) -> None:
    (only,) = gpx.read(saved(tmp_path, content)).points

    assert (only.latitude, only.longitude, only.at) == (1, 2, None)


@pytest.mark.parametrize("declared", ["UTF-8", None, "ascii"])
def test_bytes_that_do_not_decode_are_in_names_alone(tmp_path: Path, declared: str | None) -> None:
    content = track(point(1, 2)).replace("A walk", "Grüße")
    content = content.replace(' encoding="UTF-8"', f' encoding="{declared}"' if declared else "")

    assert gpx.read(saved(tmp_path, content.encode("latin-1"))).count == 1


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252", "shift_jis", "gb18030", "koi8-r"])
def test_encodings_that_hold_ascii_are_read(tmp_path: Path, encoding: str) -> None:
    content = track(point(1, 2)).replace("UTF-8", encoding)

    assert gpx.read(saved(tmp_path, content.encode(encoding))).count == 1


def test_of_two_times_of_a_point_the_first_counts(tmp_path: Path) -> None:
    inside = "<time>2026-08-05T12:00:00Z</time><time>2026-08-05T13:00:00Z</time>"

    (only,) = gpx.read(saved(tmp_path, track(point(1, 2, inside)))).points

    assert only.at == NOON


def test_a_broken_line_is_counted_from_the_start_of_the_file(tmp_path: Path) -> None:
    with failing(NotATrack, "line 6 is broken"):
        gpx.read(saved(tmp_path, "\n\n\n\n" + track("</trk>")))


def test_entities_are_refused_before_they_grow(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 12))
    bomb = f'<!DOCTYPE gpx [<!ENTITY l0 "ha">{laughs}]><gpx>&l11;</gpx>'

    with pytest.raises(NotATrack) as refused:
        gpx.read(saved(tmp_path, bomb))

    assert "document type" in told(refused.value).reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("64.1466")
    content = f'<!DOCTYPE gpx [<!ENTITY s SYSTEM "{secret.as_uri()}">]><gpx>&s;</gpx>'

    with failing(NotATrack, "document type"):
        gpx.read(saved(tmp_path, content.encode(encoding)))


def test_utf_16_is_read_as_xml_allows(tmp_path: Path) -> None:
    content = track(point(1, 2)).replace("UTF-8", "UTF-16").encode("utf-16-le")

    assert gpx.read(saved(tmp_path, codecs.BOM_UTF16_LE + content)).count == 1
    assert gpx.read(saved(tmp_path, content)).count == 1


def test_a_file_that_is_valid_and_too_large_is_refused_by_its_size(tmp_path: Path) -> None:
    filler = "<!--" + " " * gpx.SIZE + "-->"

    with failing(NotATrack, "larger than 32 MiB"):
        gpx.read(saved(tmp_path, filler + track(point(1, 2))))


def test_a_time_of_a_million_lines_is_none(tmp_path: Path) -> None:
    content = track(point(1, 2, f"<time>{chr(10) * 1_000_000}</time>"))

    (only,) = gpx.read(saved(tmp_path, content)).points

    assert only.at is None


names = st.text(max_size=30)
fixes = st.lists(
    st.builds(
        fix,
        st.floats(min_value=-90, max_value=90),
        st.floats(min_value=-180, max_value=180),
        minute=st.integers(0, 10_000),
        altitude=st.none() | st.floats(min_value=-500, max_value=9000),
    ),
    min_size=1,
    max_size=10,
)


DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
DATE_TIME = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?Z"
)
CHILDREN = {
    "gpx": ["metadata", "wpt", "rte", "trk", "extensions"],
    "trk": ["name", "cmt", "desc", "src", "link", "number", "type", "extensions", "trkseg"],
    "trkseg": ["trkpt", "extensions"],
    "trkpt": ["ele", "time", "magvar", "geoidheight", "name"],
}
"""What the schema of GPX 1.1 allows in an element of those that are written, in this order."""
ONE_OF_A_KIND = {"metadata", "name", "ele", "time"}


def is_valid(document: str) -> bool:
    """Check a document against the rules of the schema of GPX 1.1; fails where it breaks one."""
    root = ET.fromstring(document)  # noqa: S314 -- just written
    assert root.tag == f"{{{gpx.SPACE}}}gpx"
    assert root.attrib == {"version": "1.1", "creator": "draugar"}
    for element in root.iter():
        space, _, name = element.tag.rpartition("}")
        assert space == f"{{{gpx.SPACE}"
        children = [child.tag.rpartition("}")[2] for child in element]
        order = CHILDREN.get(name, [])
        assert children == sorted(children, key=order.index)
        assert all(children.count(child) == 1 for child in ONE_OF_A_KIND & set(children))
        assert name == "gpx" or element.attrib.keys() == (
            {"lat", "lon"} if name == "trkpt" else set()
        )
        if name == "trkpt":
            assert -90 <= Decimal(decimal(element.attrib["lat"])) <= 90
            assert -180 <= Decimal(decimal(element.attrib["lon"])) < 180
        elif name == "ele":
            decimal(element.text)
        elif name == "time":
            assert DATE_TIME.fullmatch(element.text or "")
        elif name in CHILDREN:
            assert not (element.text or "").strip()
    return True


def decimal(text: str | None) -> str:
    """Check an xsd:decimal that is no negative zero."""
    assert text
    assert DECIMAL.fullmatch(text)
    assert not text.startswith("-") or Decimal(text) < 0
    return text


@given(names, fixes)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_what_is_written_reads_back_whatever_the_name(
    tmp_path: Path, name: str, walked: list[Fix]
) -> None:
    document = gpx.written([Trail(name, walked)])

    back = gpx.read(saved(tmp_path, document)).recorded().points

    assert is_valid(document)
    for before, after in zip(walked, back, strict=True):
        assert after.latitude == before.latitude
        assert after.longitude == (-180 if before.longitude == 180 else before.longitude)
        assert (after.altitude, after.at) == (before.altitude, before.at)


@pytest.mark.parametrize(
    ("longitude", "written"),
    [
        (180.0, "-180.0"),
        (-180.0, "-180.0"),
        (179.99999999, "179.99999999"),
        (-0.0, "0.0"),
        (1e-7, "0.0000001"),
        (-1.5e-9, "-0.0000000015"),
        (-21.942612345678, "-21.942612345678"),
    ],
)
def test_numbers_are_written_exactly_as_gpx_has_them(longitude: float, written: str) -> None:
    document = gpx.written([Trail("Una", [fix(-0.0, longitude, altitude=-0.0)])])

    assert is_valid(document)
    assert f'<trkpt lat="0.0" lon="{written}">' in document
    assert "<ele>0.0</ele>" in document


def test_gpx_is_a_track_for_each_device_with_heights_before_times() -> None:
    written = gpx.written(
        [Trail("Una & <Ari>", [fix(64.1466, -21.9426, altitude=12.34)]), Trail("\x00\x1b", [])]
    )

    root = ET.fromstring(written)  # noqa: S314 -- just written
    names = [name.text for name in root.findall("gpx:trk/gpx:name", IN_GPX)]
    assert is_valid(written)
    assert names == ["Una & <Ari>", "\ufffd\ufffd"]
    (only,) = root.findall(".//gpx:trkpt", IN_GPX)
    assert only.attrib == {"lat": "64.1466", "lon": "-21.9426"}
    assert [(child.tag.rpartition("}")[2], child.text) for child in only] == [
        ("ele", "12.34"),
        ("time", "2026-08-05T12:00:00.000Z"),
    ]


def test_a_time_finer_than_a_millisecond_is_written_as_it_is() -> None:
    at = NOON + timedelta(microseconds=1)

    assert stamp(at) == "2026-08-05T12:00:00.000001Z"


def test_a_trail_is_split_where_reception_was_lost() -> None:
    walked = [
        fix(64, -21),
        fix(64.1, -21, minute=30),
        fix(65, -22, minute=61),
        fix(1, 2, minute=500),
    ]
    trail = Trail("Una", walked)

    segments = ET.fromstring(gpx.written([trail])).findall(".//gpx:trkseg", IN_GPX)  # noqa: S314
    features = geojson.written([trail])["features"]

    assert [len(segment) for segment in segments] == [2, 1, 1]
    assert [feature["geometry"]["type"] for feature in features] == ["LineString", "Point", "Point"]
    assert [feature["properties"]["name"] for feature in features] == ["Una"] * 3


def test_geojson_puts_longitude_first_and_times_beside() -> None:
    walked = [fix(64, -21), fix(65, -22, minute=1)]

    (feature,) = geojson.written([Trail("Una", walked)])["features"]

    assert feature["geometry"] == {"type": "LineString", "coordinates": [[-21, 64], [-22, 65]]}
    assert feature["properties"] == {
        "name": "Una",
        "times": ["2026-08-05T12:00:00.000Z", "2026-08-05T12:01:00.000Z"],
    }


def test_one_position_alone_is_a_point_and_none_is_nothing() -> None:
    (feature,) = geojson.written([Trail("Una", [fix(64, -21)]), Trail("Ari", [])])["features"]

    assert feature["geometry"] == {"type": "Point", "coordinates": [-21, 64]}


@pytest.mark.parametrize("side", [1, -1])
def test_a_line_across_the_antimeridian_is_cut_there(side: int) -> None:
    walked = [
        fix(-16, 178 * side),
        fix(-18, -178 * side, minute=4),
        fix(-18, -177 * side, minute=5),
    ]

    (feature,) = geojson.written([Trail("Una", walked)])["features"]

    assert feature["geometry"] == {
        "type": "MultiLineString",
        "coordinates": [
            [[178 * side, -16], [180 * side, -17]],
            [[-180 * side, -17], [-178 * side, -18], [-177 * side, -18]],
        ],
    }
    assert feature["properties"]["times"][0] == [
        "2026-08-05T12:00:00.000Z",
        "2026-08-05T12:02:00.000Z",
    ]


@given(fixes)
def test_lines_are_valid_exact_and_none_spans_half_the_world(walked: list[Fix]) -> None:
    ordered = sorted(walked, key=lambda one: one.at)

    document = json.loads(json.dumps(geojson.written([Trail("Una", ordered)])))

    met = []
    for feature in document["features"]:
        geometry, times = feature["geometry"], feature["properties"]["times"]
        if geometry["type"] == "Point":
            met.append(geometry["coordinates"])
            assert isinstance(times, str)
            continue
        is_cut = geometry["type"] == "MultiLineString"
        pieces = geometry["coordinates"] if is_cut else [geometry["coordinates"]]
        for piece, moments in zip(pieces, times if is_cut else [times], strict=True):
            assert len(piece) == len(moments) >= 2
            met += piece
            for (west, _), (east, _) in pairwise(piece):
                assert abs(east - west) <= 180
            for here, there in pairwise(map(datetime.fromisoformat, moments)):
                assert there - here <= GAP
    assert not any(str(number) == "-0.0" for position in met for number in position)
    assert all([one.longitude, one.latitude] in met for one in ordered)

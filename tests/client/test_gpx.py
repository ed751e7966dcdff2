"""Reading tracks that come from anywhere, and writing ones that any program reads."""

import codecs
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from draugar import gpx
from draugar.geo import Trail
from draugar.model import Fix

NOON = datetime(2026, 8, 5, 12, tzinfo=UTC)
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

    first, second, third = gpx.read(file)

    assert (first.latitude, first.longitude) == (46.4349, 13.7482)
    assert (first.altitude, first.at) == (1614.678, NOON)
    assert (second.latitude, second.longitude, second.altitude) == (-46.5, 13.75, None)
    assert second.at == NOON + timedelta(seconds=30, microseconds=207343)
    assert (third.altitude, third.at) == (None, None)


def test_gpx_1_0_and_files_without_a_namespace_are_read_too(tmp_path: Path) -> None:
    older = track(point(1, 2), namespace=' xmlns="http://www.topografix.com/GPX/1/0"')
    bare = track(point(1, 2), namespace="")

    assert [len(gpx.read(saved(tmp_path, content))) for content in (older, bare)] == [1, 1]


def test_waypoints_routes_and_what_extensions_say_are_no_part_of_a_track(tmp_path: Path) -> None:
    content = track(
        point(1, 2, "<extensions><time>1999-01-01T00:00:00Z</time><ele>7</ele></extensions>")
    ).replace("<trk>", '<wpt lat="9" lon="9"/><rte><rtept lat="8" lon="8"/></rte><trk>')

    (only,) = gpx.read(saved(tmp_path, content))

    assert (only.latitude, only.altitude, only.at) == (1, None, None)


def test_a_time_without_a_zone_is_utc_as_gpx_says(tmp_path: Path) -> None:
    (only,) = gpx.read(saved(tmp_path, track(point(1, 2, "<time>2026-08-05T12:00:00</time>"))))

    assert only.at == NOON


def test_a_height_that_is_none_is_left_out(tmp_path: Path) -> None:
    (only,) = gpx.read(saved(tmp_path, track(point(1, 2, "<ele>1e9</ele>"))))

    assert only.altitude is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "line 1"),
        ("not xml", "line 1"),
        ('{"type": "FeatureCollection"}', "line 1"),
        (track(point(1, 2))[:-20], "is broken"),
        (track(""), "no track points"),
        ("<kml><Placemark/></kml>", "no track points"),
        (track(point(90.1, 0)), "Track point 1 has no position"),
        (track(point(0, 0) + point(0, "NaN")), "Track point 2 has no position"),
        (track("<trkpt lat='1'/>"), "no position"),
        (track(point(1, 2, "<time>yesterday</time>")), "Track point 1 has a time"),
        (track(point(1, 2, "<time>0001-01-01T00:00:00+14:00</time>")), "nobody recorded"),
        ('<?xml version="1.0" encoding="klingon"?><gpx/>', "encoding"),
    ],
)
def test_a_file_that_is_no_track_is_refused_with_a_reason(
    tmp_path: Path, content: str, reason: str
) -> None:
    file = saved(tmp_path, content)

    with pytest.raises(gpx.NotATrack) as refused:
        gpx.read(file)

    assert reason in refused.value.reason


def test_entities_are_refused_before_they_grow(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 12))
    bomb = f'<!DOCTYPE gpx [<!ENTITY l0 "ha">{laughs}]><gpx>&l11;</gpx>'
    started = time.monotonic()

    with pytest.raises(gpx.NotATrack) as refused:
        gpx.read(saved(tmp_path, bomb))

    assert "document type" in refused.value.reason
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("64.1466")
    content = f'<!DOCTYPE gpx [<!ENTITY s SYSTEM "{secret.as_uri()}">]><gpx>&s;</gpx>'

    with pytest.raises(gpx.NotATrack, match="document type"):
        gpx.read(saved(tmp_path, content.encode(encoding)))


def test_utf_16_is_read_as_xml_allows(tmp_path: Path) -> None:
    content = track(point(1, 2)).replace("UTF-8", "UTF-16").encode("utf-16-le")

    assert len(gpx.read(saved(tmp_path, codecs.BOM_UTF16_LE + content))) == 1


def test_a_file_that_is_valid_and_too_large_is_refused_by_its_size(tmp_path: Path) -> None:
    filler = "<!--" + " " * gpx.SIZE + "-->"

    with pytest.raises(gpx.NotATrack, match="larger than 32 MiB"):
        gpx.read(saved(tmp_path, filler + track(point(1, 2))))


def test_a_time_of_a_million_lines_takes_no_longer_than_reading_them(tmp_path: Path) -> None:
    content = track(point(1, 2, f"<time>{chr(10) * 1_000_000}</time>"))
    started = time.monotonic()

    (only,) = gpx.read(saved(tmp_path, content))

    assert only.at is None
    assert time.monotonic() - started < 10


def points(times: Sequence[datetime | None]) -> list[gpx.Point]:
    return [gpx.Point(0, 0, None, at) for at in times]


def test_a_track_is_shifted_to_end_when_it_is_said_to() -> None:
    recorded = [NOON, NOON + timedelta(minutes=2), NOON + timedelta(minutes=3)]
    now = datetime(2027, 1, 1, tzinfo=UTC)

    shifted = gpx.ending(points(recorded), now)

    assert [point.at for point in shifted] == [
        now - timedelta(minutes=3),
        now - timedelta(minutes=1),
        now,
    ]


def test_points_without_a_time_are_a_second_after_those_before_them() -> None:
    shifted = gpx.ending(points([None, NOON, None, NOON + timedelta(minutes=1)]), NOON)

    seconds = [(NOON - point.at).total_seconds() for point in shifted if point.at]
    assert seconds == [61, 60, 59, 0]


def test_a_recorder_that_stamped_all_points_alike_gets_a_second_between_them() -> None:
    alike = datetime(1901, 12, 13, 20, 45, 52, tzinfo=timezone(timedelta(hours=1)))

    shifted = gpx.ending(points([alike] * 4), NOON)

    assert [(NOON - point.at).total_seconds() for point in shifted if point.at] == [3, 2, 1, 0]


@given(st.lists(st.none() | st.datetimes(NOON.replace(tzinfo=None)), min_size=1, max_size=30))
@settings(deadline=None)
def test_a_shifted_track_runs_forward_and_ends_on_time(times: list[datetime | None]) -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    recorded = [at and at.replace(year=2026, tzinfo=UTC, day=1) for at in times]

    shifted = [point.at or now for point in gpx.ending(points(recorded), now)]

    assert shifted[-1] == now
    assert all(earlier < later for earlier, later in pairwise(shifted))


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


@given(names, fixes)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_reads_back_whatever_the_name(
    tmp_path: Path, name: str, walked: list[Fix]
) -> None:
    file = saved(tmp_path, gpx.written([Trail(name, walked)]))

    back = gpx.read(file)

    for before, after in zip(walked, back, strict=True):
        assert after.latitude == pytest.approx(before.latitude, abs=1e-7)
        assert after.longitude == pytest.approx(before.longitude, abs=1e-7)
        assert after.at == before.at


def test_gpx_is_a_track_for_each_device_with_heights_before_times() -> None:
    written = gpx.written(
        [Trail("Una & <Ari>", [fix(64.1466, -21.9426, altitude=12.34)]), Trail("\x00\x1b", [])]
    )

    root = ET.fromstring(written)  # noqa: S314 -- just written
    assert root.attrib["version"] == "1.1"
    names = [name.text for name in root.findall("gpx:trk/gpx:name", IN_GPX)]
    assert names == ["Una & <Ari>", "\ufffd\ufffd"]
    (only,) = root.findall(".//gpx:trkpt", IN_GPX)
    assert only.attrib == {"lat": "64.1466000", "lon": "-21.9426000"}
    assert [(child.tag.rpartition("}")[2], child.text) for child in only] == [
        ("ele", "12.3"),
        ("time", "2026-08-05T12:00:00.000Z"),
    ]


def test_geojson_puts_longitude_first_and_times_beside() -> None:
    walked = [fix(64, -21), fix(65, -22, minute=1)]

    (feature,) = gpx.geojson([Trail("Una", walked)])["features"]

    assert feature["geometry"] == {"type": "LineString", "coordinates": [[-21, 64], [-22, 65]]}
    assert feature["properties"] == {
        "name": "Una",
        "times": ["2026-08-05T12:00:00.000Z", "2026-08-05T12:01:00.000Z"],
    }


def test_one_position_alone_is_a_point_and_none_is_nothing() -> None:
    (feature,) = gpx.geojson([Trail("Una", [fix(64, -21)]), Trail("Ari", [])])["features"]

    assert feature["geometry"] == {"type": "Point", "coordinates": [-21, 64]}


@pytest.mark.parametrize("side", [1, -1])
def test_a_line_across_the_antimeridian_is_cut_there(side: int) -> None:
    walked = [
        fix(-16, 178 * side),
        fix(-18, -178 * side, minute=4),
        fix(-18, -177 * side, minute=5),
    ]

    (feature,) = gpx.geojson([Trail("Una", walked)])["features"]

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
def test_no_piece_of_a_line_spans_half_the_world(walked: list[Fix]) -> None:
    ordered = sorted(walked, key=lambda one: one.at)

    (feature,) = gpx.geojson([Trail("Una", ordered)])["features"]

    pieces = feature["geometry"]["coordinates"]
    if feature["geometry"]["type"] == "MultiLineString":
        for piece in pieces:
            assert len(piece) >= 2
            for (west, _), (east, _) in pairwise(piece):
                assert abs(east - west) <= 180

"""Content codings for the servers on this machine, as API Gateway has them on AWS.

The bundle's functions answer with text. API Gateway compresses what is large enough
(`MinimumCompressionSize` in .chalice/template.yaml); here what is
public, which is the web app and the documents, is compressed once each.
"""

import gzip
import re
from functools import lru_cache

SMALLEST = 1024
"""Bytes below which nothing is compressed, as in .chalice/template.yaml."""

_COMPRESSED_TYPES = ("application/", "text/", "image/svg+xml")
_GZIP = re.compile(r"(?:gzip|\*)(?:\s*;\s*q=(?P<weight>[0-9.]+))?", re.IGNORECASE)


def coded(
    status: int, headers: dict[str, str], body: bytes, accepted: str | None
) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of an answer in the coding that its client accepts.

    `accepted` is the request's Accept-Encoding. The client decodes to the same bytes in any case.
    """
    if not _may_be_coded(headers):
        return headers, body
    headers = {**headers, "Vary": "Accept-Encoding"}
    if not _accepts_gzip(accepted or ""):
        return headers, body
    if "ETag" in headers:
        # The tag names the content; this is one of two codings of it (RFC 9110, section 8.8.1).
        headers["ETag"] = f"W/{headers['ETag'].removeprefix('W/')}"
    if status == 200 and len(body) >= SMALLEST:  # noqa: PLR2004
        return {**headers, "Content-Encoding": "gzip"}, _compressed(body)
    return headers, body


def _may_be_coded(headers: dict[str, str]) -> bool:
    # What is not public is an answer to one caller: it is not kept here.
    is_public = headers.get("Cache-Control", "").startswith("public")
    return is_public and headers.get("Content-Type", "").startswith(_COMPRESSED_TYPES)


def _accepts_gzip(accepted: str) -> bool:
    found = [match for part in accepted.split(",") if (match := _GZIP.fullmatch(part.strip()))]
    return any(_weight(match["weight"]) > 0 for match in found)


def _weight(text: str | None) -> float:
    try:
        return float(text or 1)
    except ValueError:
        return 0


@lru_cache(maxsize=64)
def _compressed(body: bytes) -> bytes:
    return gzip.compress(body, 9, mtime=0)

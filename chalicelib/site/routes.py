"""The web app: one page, and the files that it loads.

No byte of a file depends on the deployment: what does is in `GET /web/config.json`, and in the
header that says from where the page may load images.
"""

from collections.abc import Mapping

from chalice.app import Blueprint

from chalicelib.errors import NotFound
from chalicelib.settings import settings
from chalicelib.web import Access, File, endpoint

WHY_PUBLIC = "a page has no token before it runs, and the files hold no secret"
_UNTIL_CHANGED = "public, no-cache"
_FOREVER = "public, max-age=31536000, immutable"

blueprint = Blueprint(__name__)


@blueprint.route("/", methods=["GET"])
@endpoint(access=Access.PUBLIC, because=WHY_PUBLIC, etag=True, raises=(NotFound,))
def page() -> File:
    """Show the web app."""
    return _file("index.html")


@blueprint.route("/join", methods=["GET"])
@endpoint(access=Access.PUBLIC, because=WHY_PUBLIC, etag=True, raises=(NotFound,))
def join_page() -> File:
    """Show the web app to a person who follows an invitation; its end never reaches the service."""
    return _file("index.html")


@blueprint.route("/sw.js", methods=["GET"])
@endpoint(access=Access.PUBLIC, because=WHY_PUBLIC, etag=True, raises=(NotFound,))
def service_worker() -> File:
    """Give the part of the web app that starts it without a network."""
    return _file("sw.js")


@blueprint.route("/manifest.webmanifest", methods=["GET"])
@endpoint(access=Access.PUBLIC, because=WHY_PUBLIC, etag=True, raises=(NotFound,))
def manifest() -> File:
    """Say how the web app is installed on a home screen."""
    return _file("manifest.webmanifest")


@blueprint.route("/web/config.json", methods=["GET"])
@endpoint(access=Access.PUBLIC, because=WHY_PUBLIC, etag=True, raises=(NotFound,))
def web_config() -> File:
    """Say what differs between deployments: where street maps come from, if from anywhere."""
    from chalicelib.site import service  # noqa: PLC0415 -- few processes serve it

    _require_web()
    return File.of(service.config(settings().tiles), "application/json", _headers(_UNTIL_CHANGED))


@blueprint.route("/web/{name}", methods=["GET"])
@endpoint(access=Access.PUBLIC, because=WHY_PUBLIC, etag=True, raises=(NotFound,))
def web_file(name: str) -> File:
    """Give a file of the web app, whose name changes with its content."""
    return _file(f"web/{name}", _FOREVER)


def _file(name: str, kept: str = _UNTIL_CHANGED) -> File:
    """Raises NotFound."""
    from chalicelib.site import service  # noqa: PLC0415 -- few processes serve it

    _require_web()
    content, media_type = service.find(name)
    return File.of(content, media_type, _headers(kept))


def _require_web() -> None:
    """Raises NotFound where the web app is switched off."""
    if not settings().web:
        raise NotFound


def _headers(kept: str) -> Mapping[str, str]:
    """Return the headers of a file. The worker obeys those of its own file, not the page's."""
    tiles = settings().tiles
    images = " ".join(["'self'", "data:", *([tiles.origin] if tiles else [])])
    policy = (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"),
        *(f"img-src {images}", "manifest-src 'self'", "worker-src 'self'"),
        *("frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"),
    )
    return {"Cache-Control": kept, "Content-Security-Policy": "; ".join(policy)}

"""The errors a caller can meet.

A category owns the HTTP status; a leaf owns the stable `code` that clients decide by, and is
defined above the function that raises it. docs/errors.md lists them all.

    Problem
    ├── Malformed            400
    ├── Unauthenticated      401
    ├── Forbidden            403
    ├── NotFound             404   also for what a stranger may not know of
    ├── Conflict             409
    ├── TooLarge             413
    ├── UnsupportedMedia     415
    ├── UnsupportedCoding    415
    ├── Invalid              422
    ├── TooManyRequests      429   with Retry-After
    └── Unavailable          503   with Retry-After

Neither `detail` nor anything else here repeats what the caller sent, but for the names of a content
coding and of a field that is not known, where they are of the form and length that such names have.
"""

from typing import ClassVar


class Problem(Exception):
    """Something the caller is told about, as an RFC 9457 problem document."""

    status: ClassVar[int]
    title: ClassVar[str]
    code: ClassVar[str]
    detail: str

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None) -> None:
        if detail is not None:
            self.detail = detail
        super().__init__(self.detail)
        self.retry_after = retry_after


class Malformed(Problem):
    """The request cannot be read at all."""

    status = 400
    title = "Malformed request"


class Unauthenticated(Problem):
    """No token, or one that is unknown, revoked or idle for too long: all answered alike."""

    status = 401
    title = "Not signed in"
    code = "unauthenticated"
    detail = "A valid token is required."


class Forbidden(Problem):
    """The caller is known, and may not do this."""

    status = 403
    title = "Not allowed"


class NotFound(Problem):
    """It does not exist, or the caller may not know that it does."""

    status = 404
    title = "Not found"
    code = "not_found"
    detail = "There is no such thing, or it is not yours to see."


class Conflict(Problem):
    """The request is right, the present state does not allow it."""

    status = 409
    title = "Conflict"


class TooLarge(Problem):
    """The body is larger than its route takes."""

    status = 413
    title = "Too large"
    code = "body_too_large"
    detail = "The body is larger than this route takes."


class UnsupportedMedia(Problem):
    """The body is not said to be JSON."""

    status = 415
    title = "Unsupported media type"
    code = "unsupported_media_type"
    detail = "The body must be sent as application/json in UTF-8."


class UnsupportedCoding(Problem):
    """The body is compressed, or coded in another way."""

    status = 415
    title = UnsupportedMedia.title
    code = "unsupported_content_coding"
    detail = "The body must be sent without a content coding."


class Invalid(Problem):
    """The request is well-formed and says something that cannot be."""

    status = 422
    title = "Invalid request"


class TooManyRequests(Problem):
    """A bucket of the limiter is empty."""

    status = 429
    title = "Too many requests"
    code = "too_many_requests"
    detail = "Too many attempts. Wait before the next one."


class Unavailable(Problem):
    """The database is away, full, or busy with somebody else's lock."""

    status = 503
    title = "Temporarily unavailable"
    code = "temporarily_unavailable"
    detail = "The service cannot reach its database. Try again shortly."

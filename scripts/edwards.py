"""Edwards25519 and XEdDSA in whole numbers, written from RFC 8032 and Signal's specification.

The client leaves both to libsodium. This is a second writing of them, for the test vectors, and
for signatures that no honest device makes. It takes no constant time: use it for nothing else.
"""

import hashlib
from typing import NamedTuple, Self

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, P) % P
_ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


class Point(NamedTuple):
    """A point (x, y) of -x^2 + y^2 = 1 + d x^2 y^2."""

    x: int
    y: int

    @classmethod
    def of(cls, y: int, sign: int = 0) -> Self | None:
        """Return the point of this y whose x is odd or even; None where there is no such point."""
        square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        if x * x % P != square:
            x = x * _ROOT_OF_MINUS_1 % P
        if x * x % P != square or (x == 0 and sign):
            return None
        return cls(x if x % 2 == sign else P - x, y)

    def plus(self, other: "Point") -> "Point":
        """Add two points."""
        product = _D * self.x * other.x * self.y * other.y % P
        x = (self.x * other.y + other.x * self.y) * pow(1 + product, -1, P) % P
        y = (self.y * other.y + self.x * other.x) * pow(1 - product, -1, P) % P
        return Point(x, y)

    def times(self, scalar: int) -> "Point":
        """Add the point to itself so many times."""
        found: _Extended = (0, 1, 1, 0)
        power: _Extended = (self.x, self.y, 1, self.x * self.y % P)
        while scalar:
            if scalar & 1:
                found = _added(found, power)
            power = _added(power, power)
            scalar >>= 1
        x, y, z, _ = found
        inverse = pow(z, -1, P)
        return Point(x * inverse % P, y * inverse % P)

    @property
    def encoded(self) -> bytes:
        """The 32 bytes of RFC 8032."""
        return (self.y | self.x % 2 << 255).to_bytes(32, "little")

    @property
    def montgomery(self) -> bytes:
        """The 32 bytes of the X25519 public key that belongs to the point."""
        return ((1 + self.y) * pow(1 - self.y, -1, P) % P).to_bytes(32, "little")


_Extended = tuple[int, int, int, int]


def _added(one: _Extended, other: _Extended) -> _Extended:
    """Add two points as RFC 8032, section 5.1.4, has it: (X, Y, Z, T), without a division."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * _D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


NEUTRAL = Point(0, 1)
BASE = Point(
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    46316835694926478169428394003475163141307993866256225615783033603165251855960,
)


def of_order_8() -> Point:
    """Return a point of order 8, made from a point of the curve that is in no smaller group."""
    for y in range(2, 100):
        point = Point.of(y)
        if point and (found := point.times(ORDER)).times(4) != NEUTRAL:
            return found
    raise ArithmeticError


def edwards(public_key: bytes, sign: int = 0) -> Point | None:
    """Return the point that a device's public key stands for; None where there is none."""
    u = int.from_bytes(public_key, "little")
    if (u + 1) % P == 0:
        return None
    return Point.of((u - 1) * pow(u + 1, -1, P) % P, sign)


def scalar_of(secret: bytes) -> int:
    """Return the secret scalar of an X25519 secret key."""
    clamped = bytes([secret[0] & 248, *secret[1:31], secret[31] & 127 | 64])
    return int.from_bytes(clamped, "little")


def signed(secret: bytes, message: bytes, random: bytes) -> bytes:
    """Return the XEdDSA signature of a message, with Z given."""
    scalar = scalar_of(secret) % ORDER
    point = BASE.times(scalar)
    if point.x % 2:
        scalar, point = ORDER - scalar, BASE.times(ORDER - scalar)
    prefix = (2**256 - 2).to_bytes(32, "little")
    nonce = hashed(prefix, scalar.to_bytes(32, "little"), message, random)
    return signature(nonce, scalar, point, message)


def signature(nonce: int, scalar: int, point: Point, message: bytes) -> bytes:
    """Return the Ed25519 signature with this nonce by a scalar and the point it belongs to."""
    return ending(BASE.times(nonce).encoded, nonce, scalar, point.encoded, message)


def ending(commitment: bytes, nonce: int, scalar: int, public: bytes, message: bytes) -> bytes:
    """Return a signature that begins with any 32 bytes."""
    response = (nonce + hashed(commitment, public, message) * scalar) % ORDER
    return commitment + response.to_bytes(32, "little")


def hashed(*parts: bytes) -> int:
    """Return SHA-512 as a scalar."""
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER

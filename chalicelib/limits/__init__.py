"""The limiter, and the buckets there are."""

from chalicelib.limits.service import Bucket, admit, give_back

__all__ = ["Bucket", "admit", "give_back"]

"""The limiter, and the buckets there are."""

from chalicelib.limits.service import Bucket, admit, forget, give_back

__all__ = ["Bucket", "admit", "forget", "give_back"]

"""The limiter, and the buckets there are."""

from chalicelib.limits.service import Bucket, admit, admit_maker, forget, give_back

__all__ = ["Bucket", "admit", "admit_maker", "forget", "give_back"]

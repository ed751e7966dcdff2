"""A member's device: it holds the keys, and the service never does."""

"""The contract of all routes, and how it is read."""

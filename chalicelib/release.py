"""Which release this is. docs/releases.md lists all of them."""

VERSION = "1.1.0"
"""Its first number changes when a client that kept to the former contract would not be served."""

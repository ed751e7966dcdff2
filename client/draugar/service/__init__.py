"""The only HTTP, and what the service answers as values."""

"""docs/protocol.md as code: pure functions on bytes and texts."""

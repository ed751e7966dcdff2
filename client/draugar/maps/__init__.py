"""Maps, tracks and positions."""

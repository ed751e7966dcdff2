"""Locations: post, see the latest, page through history, delete one's own."""

"""Invites: the codes by which people come in, each once."""

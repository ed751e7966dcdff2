"""The devices that act for a person."""

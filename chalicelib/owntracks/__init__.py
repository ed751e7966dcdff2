"""OwnTracks: the unmodified apps for Android and iOS as phones of a group."""

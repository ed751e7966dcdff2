"""What a member can do: load, ask, decide, save, act."""

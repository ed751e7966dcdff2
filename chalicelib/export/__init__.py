"""All that is stored about the caller, to take away."""

"""People: those I share groups with, and all that is stored about myself."""

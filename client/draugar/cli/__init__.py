"""The command line: the only place with texts for people."""

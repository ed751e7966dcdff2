"""The schema's history, run by `chalicelib.jobs.migrate`.

Numbered, one concern each, in SQL, and never importing `chalicelib`: a migration says what was
true when it was written, while the models say what is true now.
"""

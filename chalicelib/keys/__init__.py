"""Group keys: versions, envelopes, who is confirmed. No key that opens anything is ever here."""

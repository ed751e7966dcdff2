"""Whom this device trusts and which keys it takes: decisions on values, without input or output."""

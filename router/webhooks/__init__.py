"""Delivering webhooks: from a due delivery to an answer of the receiver."""

"""Webhooks: who wants to hear of a job's end, and what is told."""

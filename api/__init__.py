"""The HTTP door: jobs in, events out."""

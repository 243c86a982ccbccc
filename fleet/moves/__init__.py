"""Every move of a job: one script each, one round trip."""

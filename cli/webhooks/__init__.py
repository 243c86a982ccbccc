"""`fleet webhooks`: secrets, and deliveries that are not made."""

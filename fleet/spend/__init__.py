"""What is spent on models that cost money: caps, reservations, the book of each day."""

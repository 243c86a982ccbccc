"""Answers that were given before, or are being given now, for whoever asks the same."""

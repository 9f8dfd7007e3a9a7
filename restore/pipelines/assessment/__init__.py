"""Measurements of a photo, and what they mean: which steps it needs, and why."""

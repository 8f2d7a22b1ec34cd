"""Cascades: what decides, what learns, and what is promised of both."""

"""Keeping what was said, and teaching a student from it."""

"""Settings of every test: property tests draw the same examples on every machine."""

from hypothesis import settings

settings.register_profile("pickllm", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("pickllm")

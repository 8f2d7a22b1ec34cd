"""The pool of real models behind `pickllm demo`: tasks, two Llamas trained here, and a server.

No key and no download: `tasks` makes prompts whose answers can be checked, `models` trains a small
and a larger Llama on them in two minutes of a laptop's time, `server` puts one of them behind
OpenAI's HTTP interface.
"""

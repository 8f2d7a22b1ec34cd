"""Real clients of OpenAI's kind, for the server in `tests.serving`."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import httpx
from langchain_openai import ChatOpenAI

from tests.serving import Server

__all__ = ["KEY", "Client", "clients"]

KEY = "sk-never-to-be-seen"

Client: TypeAlias = Callable[..., ChatOpenAI]
"""Makes a client of the model of that name; settings are `ChatOpenAI`'s own."""


@contextlib.contextmanager
def clients(server: Server) -> Iterator[Client]:
    """Makes clients whose connections are closed in the end."""
    with contextlib.ExitStack() as stack:

        def make(model: str, **settings: Any) -> ChatOpenAI:
            # without TLS there are no certificates to be read
            http = stack.enter_context(httpx.Client(verify=False))
            unkept = httpx.Limits(max_keepalive_connections=0)  # so that event loops may change
            return ChatOpenAI(
                **{
                    "model": model,
                    "base_url": server.url,
                    "api_key": KEY,
                    "max_retries": 0,
                    "stream_usage": True,
                    "http_client": http,
                    "http_async_client": httpx.AsyncClient(limits=unkept, verify=False),
                    **settings,
                }
            )

        yield make

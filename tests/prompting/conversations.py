"""Conversations of any kind, for properties."""

from hypothesis import strategies as st

from pickllm.types import Request, Role, Said

__all__ = ["conversations", "requests", "said"]

_TEXTS = st.lists(
    st.sampled_from(
        [
            *(
                "The roof leaks. ",
                "Ann mends it in spring. ",
                "Bob paints. ",
                "Why? ",
                "\n",
                "\n\n",
            ),
            *("It costs 12 pounds. ", "Do not touch it. ", "Dr. No is here. ", "日本語です。"),
            *(
                '{"a": [1, 2]}',
                "```py\nx = 1. y\n```\n",
                "| a | b |\n",
                "    code();\n",
                "<b>x</b>\n",
            ),
            *("Example: 1 + 1 =", "word ", "\t", "…", "[", "{"),
        ]
    ),
    max_size=12,
).map("".join)
_ROLES: tuple[Role, ...] = ("user", "assistant", "tool", "system")


def said() -> st.SearchStrategy[tuple[Role, str, bool]]:
    """One message: role, text, and whether it is nothing but text."""
    return st.tuples(
        st.sampled_from(_ROLES), st.one_of(_TEXTS, st.text(max_size=60)), st.booleans()
    )


def conversations() -> st.SearchStrategy[tuple[Said, ...]]:
    """Messages in any order, each with its place."""
    return st.lists(said(), max_size=14).map(
        lambda messages: tuple(
            Said(role=role, text=text, plain=plain, at=at)
            for at, (role, text, plain) in enumerate(messages)
        )
    )


def requests() -> st.SearchStrategy[Request]:
    """Requests that hold such conversations."""
    return conversations().map(lambda turns: Request(text="?", turns=turns))

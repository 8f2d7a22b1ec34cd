r"""When two texts are the same: character by character, but for what no reader sees.

Unicode's composed form, line ends, and blanks at the end of a line or around the whole. Blanks
inside stay as they are, for an indented line of Python is not the same as one that is not.

>>> settled("Cafe\u0301?  \r\n") == settled("Café?")
True
>>> settled("if x:\n    y") == settled("if x:\n  y")
False
"""

import re
import unicodedata

__all__ = ["settled"]

_LINE_ENDS = re.compile(r"[ \t]*(?:\r\n?|\n)")


def settled(text: str) -> str:
    """The one way in which all texts are written that are the same."""
    return _LINE_ENDS.sub("\n", unicodedata.normalize("NFC", text)).strip()

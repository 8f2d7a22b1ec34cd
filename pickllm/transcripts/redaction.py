"""Takes out of a text what points at a person or opens a door, before the text is kept.

    e-mail addresses · telephone numbers · payment cards (Luhn) · IBANs (mod 97) · IP addresses ·
    keys and tokens of the usual shapes

Names, addresses and whatever has no shape of its own are not found: for these hand a recogniser of
your own to whatever takes ``redact``, alone or after this one. Checks by digits keep sums and order
numbers from being taken for cards.

>>> redact_pii("Ask ann@example.org or +44 20 7946 0958; card 4111 1111 1111 1111, order 4111 2.")
'Ask [email] or [phone]; card [card], order 4111 2.'
"""

import re
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Redact", "redact_pii"]

Redact: TypeAlias = Callable[[str], str]
"""From a text to the same without what must not be kept."""

_KEY = re.compile(
    r"\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[abprs]|hf|AKIA|ASIA|AIza)[-_A-Za-z0-9]{16,200}\b"
    r"|\beyJ[\w-]{8,2000}\.[\w-]{8,4000}\.[\w-]{8,2000}"
)
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63}){1,4}")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"\b\d(?:[ -]?\d){12,18}\b")
_ADDRESS = re.compile(r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b")
_PHONE = re.compile(
    r"(?<![\w+])(?:\+|00)[1-9](?:[ ()./-]{0,2}\d){7,13}\b|\(0\d{1,5}\) ?\d[\d -]{4,10}\d"
)


def redact_pii(text: str) -> str:
    """The text with ``[email]``, ``[phone]``, ``[card]``, … in their places."""
    text = _KEY.sub("[key]", text)
    text = _EMAIL.sub("[email]", text)
    text = _IBAN.sub(lambda found: "[iban]" if _is_iban(found[0]) else found[0], text)
    text = _CARD.sub(lambda found: "[card]" if _is_card(found[0]) else found[0], text)
    text = _ADDRESS.sub("[ip address]", text)
    return _PHONE.sub("[phone]", text)


def _is_card(text: str) -> bool:
    """Luhn's check: every second digit from the right doubled, the sum a multiple of ten."""
    digits = [int(each) for each in text if each.isdigit()][::-1]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """ISO 13616: moved round and spelt in digits, it is 1 modulo 97."""
    plain = text.replace(" ", "")
    spelt = "".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])
    return int(spelt) % 97 == 1

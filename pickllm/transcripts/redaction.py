"""Takes out of a text what points at a person or opens a door, before the text is kept.

    e-mail addresses · telephone numbers · payment cards (Luhn) · IBANs (mod 97) · IP addresses ·
    keys and tokens of the usual shapes

What is found has a shape. Not found are names, postal addresses, dates of birth, passwords, numbers
of passports and insurances, e-mail addresses written out ("ann at example"), and telephone numbers
that begin neither with "+", "00" or "0" nor are grouped as in North America. For these hand a
recogniser of your own to whatever takes ``redact``, alone or after this one.

Check digits keep most sums and order numbers from being taken for cards, but one in ten numbers of
13 to 19 digits passes for one, and zeros before a number make it look like a telephone's.

>>> redact_pii("Ask ann@example.org or +44 20 7946 0958; card 4111 1111 1111 1111, order 4111 2.")
'Ask [email] or [phone]; card [card], order 4111 2.'
"""

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv6Address
from typing import TypeAlias

__all__ = ["Redact", "redact_pii"]

Redact: TypeAlias = Callable[[str], str]
"""From a text to the same without what must not be kept."""

# Where a number begins and ends. "\b" would not do: it sees no end between a digit and "号".
_FROM = r"(?<![A-Za-z\d])"
_TO = r"(?![A-Za-z\d])"

_KEY = re.compile(
    _FROM + r"(?:(?:[spr]k|glpat|xox[abprs]|xapp)[-_]|gh[oprsu]_|github_pat_|hf_|AIza|AKIA|ASIA)"
    r"[-_A-Za-z0-9]{16,}"
    r"|\beyJ[\w-]{8,2000}\.[\w-]{8,4000}\.[\w-]{8,2000}"
)
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63}){1,4}")
_IBAN = re.compile(_FROM + r"[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z\d]){11,30}")
_CARD = re.compile(_FROM + r"\d{4}(?:[ -]?\d){9,15}")
_IPV4 = re.compile(
    _FROM + r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)" + _TO
)
_IPV6 = re.compile(
    r"(?<![A-Za-z\d:])(?:[23][\da-f]{3}|f[c-e][\da-f]{2})(?::[\da-f]{0,4}){2,7}",
    re.IGNORECASE | re.ASCII,
)
"""Of the ranges that are given to somebody; ``a::b`` is code."""
_PHONE = re.compile(
    r"(?<![A-Za-z\d+])(?:\+|00)[1-9](?:[ ()./-]{0,2}\d){7,13}"
    + _TO  # abroad
    + r"|\(0\d{1,5}\) ?\d[\d -]{4,10}\d"
    r"|(?:(?<![A-Za-z\d])1[ .-])?\([2-9]\d{2}\)[ -]?\d{3}[ .-]?\d{4}"
    + _TO  # North America
    + r"|(?<![A-Za-z\d.,-])(?<!\d )(?:1[ .-])?[2-9]\d{2}([ .-])\d{3}\1\d{4}(?![ .-]?[A-Za-z\d])"
    r"|(?<![A-Za-z\d.,-])(?<!\d )0[1-9](?:(?:[ .-]\d{2}){4}|\d{8,9})(?![ .-]?\d)" + _TO
)
_PHONE_AT_HOME = re.compile(r"(?<![A-Za-z\d.,:/-])0[1-9]\d{0,4}[ /-]\d{3,8}(?:[ -]\d{2,5}){0,2}")


def redact_pii(text: str) -> str:
    """The text with ``[email]``, ``[phone]``, ``[card]``, … in their places."""
    text = _KEY.sub("[key]", text)
    text = _EMAIL.sub("[email]", text)
    text = _replaced(text, _IBAN, "[iban]", _is_iban)
    text = _replaced(text, _CARD, "[card]", _is_card)
    text = _IPV4.sub("[ip address]", text)
    text = _replaced(text, _IPV6, "[ip address]", _is_ipv6)
    text = _PHONE.sub("[phone]", text)
    return _replaced(text, _PHONE_AT_HOME, "[phone]", _is_phone_at_home)


def _replaced(text: str, shape: re.Pattern[str], name: str, is_one: Callable[[str], bool]) -> str:
    """The text with the longest beginning of each match that is one replaced.

    More may follow than belongs to it, as a card's date does. Matches are short: time stays linear.
    """
    parts: list[str] = []
    done = at = 0
    while found := shape.search(text, at):
        end = next((end for end in _ends(text, found) if is_one(text[found.start() : end])), None)
        if end is None:
            at = found.start() + 1
        else:
            parts += (text[done : found.start()], name)
            done = at = end
    return "".join((*parts, text[done:]))


def _ends(text: str, found: re.Match[str]) -> list[int]:
    """Where a match may end, the last place first: behind a letter or digit, before none."""
    inner = range(found.end(), found.start(), -1)
    whole = (end for end in inner if end == len(text) or not _is_plain(text[end]))
    return [end for end in whole if _is_plain(text[end - 1]) or text[end - 1] == ":"]


def _is_plain(character: str) -> bool:
    return character.isdecimal() or (character.isascii() and character.isalpha())


def _is_card(text: str) -> bool:
    """Luhn's check: every second digit from the right doubled, the sum a multiple of ten."""
    digits = [int(each) for each in text if each.isdigit()][::-1]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return len(digits) >= 13 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """ISO 13616: moved round and spelt in digits, it is 1 modulo 97; words have no eight digits."""
    plain = re.sub(r"[ -]", "", text)
    if len(plain) < 15 or sum(map(str.isdecimal, plain)) < 8:
        return False
    spelt = "".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])
    return int(spelt) % 97 == 1


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _is_phone_at_home(text: str) -> bool:
    return 9 <= sum(map(str.isdecimal, text)) <= 12

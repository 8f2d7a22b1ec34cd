"""What is taken out of a text before it is kept, and what is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm.transcripts import redact_pii

CARD = "4111 1111 1111 1111"
IBAN = "BE68 5390 0754 7034"

FOUND = [
    ("write to a.b+c@mail.example.co.uk now", "write to [email] now"),
    # cards, and what stands beside them
    ("card 4111-1111-1111-1111", "card [card]"),
    (f"{CARD} 12/27", "[card] 12/27"),
    (f"{CARD} 123", "[card] 123"),
    (f"{CARD} 12/27 123", "[card] 12/27 123"),
    (f"{CARD}-123.", "[card]-123."),
    ("4111111111111111 1227", "[card] 1227"),
    (f"2 {CARD}", "2 [card]"),
    (f"2024 {CARD}", "2024 [card]"),
    (f"{CARD} 5555 5555 5555 4444", "[card] [card]"),
    ("3782 822463 10005 1234", "[card] 1234"),
    ("卡号4111111111111111。", "卡号[card]。"),
    # IBANs
    ("pay to DE89 3704 0044 0532 0130 00 today", "pay to [iban] today"),
    (f"{IBAN} THX", "[iban] THX"),
    (f"{IBAN} AND MORE", "[iban] AND MORE"),
    (f"{IBAN} DE89 3704 0044 0532 0130 00", "[iban] [iban]"),
    ("de89370400440532013000", "[iban]"),
    ("gb29 nwbk 6016 1331 9268 19 please", "[iban] please"),
    ("NO93 8601 1117 947", "[iban]"),
    ("BE68-5390-0754-7034", "[iban]"),
    # addresses
    ("host 192.168.10.7 is up", "host [ip address] is up"),
    ("host 2001:db8::ff00:42:8329 is up", "host [ip address] is up"),
    ("at [2001:DB8:0:0:0:FF00:42:8329]:443", "at [[ip address]]:443"),
    ("fe80::1%eth0, 2001:db8::1: down", "[ip address]%eth0, [ip address]: down"),
    # telephones
    ("call +49 (0)30 901820 or 0049 30 901820", "call [phone] or [phone]"),
    ("call (555) 123-4567 or 555-123-4567", "call [phone] or [phone]"),
    ("call 1-800-555-0199, 555.123.4567", "call [phone], [phone]"),
    ("+1 (555) 123-4567", "[phone]"),
    ("030 901820, 0171/1234567, (030) 901820", "[phone], [phone], [phone]"),
    ("020 7946 0958 for 12", "[phone] for 12"),
    ("07700 900123 12 times", "[phone] 12 times"),
    ("06 12 34 56 78 ou 0612345678", "[phone] ou [phone]"),
    ("电话+86 138 0013 8000。", "电话[phone]。"),
    # keys
    ("OPENAI=sk-abcdefghijklmnop1234567890", "OPENAI=[key]"),
    ("sk_live_abcdefghijklmnop", "[key]"),
    ("token github_pat_11ABCDEFG0abcdefghijkl_mnopqrst", "token [key]"),
    ("ghp_abcdefghijklmnop1234567890, hf_abcdefghijklmnopqrst", "[key], [key]"),
    ("KEY_sk-" + "a1" * 200, "KEY_[key]"),
    ("Bearer eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4", "Bearer [key]"),
]

LEFT = [
    "Add: 1234567890123456+1",
    "4111 1111 1111 1112 fails Luhn",
    "version 1.2.3.4000, ratio 3.14159265358979",
    "GB00 1234 5678 is no IBAN",
    "in12 with some more words that have four letters",
    "2024-01-31 12:30:00 and 10,000,000",
    "01-02-2024 12:30, 01/02/24 12:30, 01.02.2024 12:30",
    "2024-01-31T09:30:15.123456Z",
    "std::vector, a::b, serde::de::Error, 12:30:45, 2024:01:31",
    "rows 00 01 02 03 04 05 06 07",
    "200 300 4000 5000",
    "0.0612345678 and 555 in 1234",
    "skateboarding-competitions, risk-assessment-procedures",
    "def f(x): return x @ y",
    "Ann Smith, 12 High Street",  # a limit, and told as one
]


@pytest.mark.parametrize(("text", "left"), FOUND)
def test_what_has_a_shape_is_found(text: str, left: str) -> None:
    """Addresses, numbers and keys of the usual forms, whatever stands around them."""
    assert left == redact_pii(text)


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_like_it_is_left(text: str) -> None:
    """Sums, dates and code stay what they are."""
    assert text == redact_pii(text)


@given(text=st.text(max_size=200) | st.text("01459+-. ():/abdeABDE@_\n", max_size=80))
def test_redaction_is_settled_after_once(text: str) -> None:
    """Whatever the text: nothing is found in what was redacted."""
    once = redact_pii(text)

    assert once == redact_pii(once)

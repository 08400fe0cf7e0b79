"""Hostile values for query strings, shared by the tests and `make fuzz`."""

import base64
from urllib.parse import quote


def encode(text: str) -> str:
    """Return a cursor of this JSON text."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


# Values in a URL, percent-encoded if necessary.
TEXTS = [
    *("", "%20", "NaN", "nan", "inf", "-inf", "Infinity", "1e999", "-1e999", "1e5", "-1", "-0"),
    *("0", "2147483648", "9223372036854775808", "18446744073709551616", "9" * 400, "9" * 5000),
    *("005", "1_0", "1.0", "0x10", "+1", "1%2B1", quote("١"), quote("１"), quote("²"), "%00"),
    *("a%00b", "%ff", "%ed%a0%80", "%", "%zz", "%F0%9F%8E%AC", "true", "null", "[]", "{}"),
    *("10000", "99999", "-99999", "1,2", "a|b,c", "%27%3B--", "%25", "_", "..%2F..", "%0A"),
    "%E2%80%AE",
    "x" * 100_000,
]  # fmt: skip
# Dates and moments that Python or PostgreSQL cannot represent, or only in other time zones.
MOMENTS = [
    *("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59+16:00"),
    *("2020-01-01T00:00:00-16:00", "2020-01-01T00:00:00+24:00", "2020-01-01T00:00:00"),
    *("10000-01-01T00:00:00+00:00", "0000-00-00T00:00:00Z", "2020-13-45", "-infinity", "infinity"),
    *("2020-02-30T00:00:00+00:00", "2020-01-01T25:61:61+00:00", "2020-W01-1", "now", "epoch", ""),
    *("2020-01-01T00:00:00.0000001+00:00", "20200101T000000Z", "1e9", "\\u0000", "\\ud800"),
]  # fmt: skip
# Their cursors, for lists that are ordered by a moment and an id, and for the feed.
MOMENT_CURSORS = [
    encode(text)
    for moment in MOMENTS
    for text in (f'["{moment}", 1]', f'["{moment}", "rated", "1"]')
]
# Cursors that decode to bad values, or not at all.
CURSORS = [
    *("W10", "bnVsbA", "e30", "W251bGxd", "%C3%A9", "A", "====", "%ff", "W1tbXV1d", "-_-_"),
    *(
        encode(text)
        for text in (
            "[NaN, 1]", "[1e999, 1]", "[Infinity, 1]", '["x", 1]', '["\\u0000", 1]', "[1, {}]",
            '["\\ud800", 1]', "[true, true]", f"[{2**63}, 1]", f"[{-(2**64)}, 1]", "[1, null]",
            "[null, null]", "[0, 9223372036854775807]", "[-1]", f"[{10**30}]", "[0.5]", "[1.5, 1.5]",
            '["2020-13-45", 1]', '["10000-01-01", 1]', '["0000-00-00T00:00:00Z", 1]', "[1, 2, 3, 4]",
            '["1e5", "1e5"]', '["", ""]', "[" * 900, '{"a": 1}', '"text"', "7", f"[1{'0' * 700}, 1]",
        )
    ),
]  # fmt: skip

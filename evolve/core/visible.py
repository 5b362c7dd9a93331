"""Texts of others, for looking at: characters that act become ones that show."""

from __future__ import annotations

#: Characters that do something to a terminal or to the order of a line, as ones that show.
_VISIBLE = {
    **{code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)},
    **dict.fromkeys((0x7F, *range(0x80, 0xA0), 0x200E, 0x200F, 0x061C), 0xFFFD),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),  # lone surrogates cannot be encoded
}


def visible(text: str) -> str:
    """Return ``text`` with visible characters for those that command a terminal or a page."""
    return text if text.isprintable() else text.translate(_VISIBLE)

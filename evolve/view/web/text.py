"""How values look on a page. Whatever is written there passes through `shown`, then is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from evolve.core.estimates import Estimate
from evolve.core.visible import visible

#: Characters of one text that a page shows; the rest is a click or a command away.
SHOWN = 200_000
_NUMBERS = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)


def shown(value: object) -> object:
    """Return ``value`` for a template: texts without characters that act, numbers made short."""
    if isinstance(value, float):
        return number(value)
    if type(value) is str:  # markup is a subclass, and stays as it is
        return visible(value)
    return "" if value is None else value


def number(value: float | None, digits: int = 6) -> str:
    """Return a number to so many significant digits, a dash for none."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    text = f"{value:.{digits}g}"
    return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text


def varied(known: Estimate | None) -> str:
    """Return a number, and where it varies half its 95 % interval: 0.713 ± 0.012 (n=8)."""
    return number(None if known is None else known.mean) + interval(known)


def interval(known: Estimate | None) -> str:
    """Return half the 95 % interval of a number that varies, and of how many samples it is."""
    width = None if known is None else known.half_width()
    return "" if known is None or width is None else f" ± {number(width, 2)} (n={known.n})"


def money(value: float | None) -> str:
    """Return US dollars, to the cent or to two significant digits below one."""
    if value is None:
        return "no price"
    if value == 0:
        return "$0"
    return f"${value:.2f}" if value >= 1 else f"${value:.2g}"


def percent(value: float | None) -> str:
    """Return a share in percent."""
    return "\N{EN DASH}" if value is None else f"{100 * value:.3g}%"


def duration(seconds: float | None) -> str:
    """Return a time span in two units at most."""
    if seconds is None:
        return "\N{EN DASH}"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def nanoseconds(value: int) -> str:
    """Return a time span given in nanoseconds."""
    return duration(value / 1e9)


def mebibytes(value: int) -> str:
    """Return an amount of memory."""
    return f"{value / 2**20:.3g} MiB" if value else "\N{EN DASH}"


def when(seconds: float | None) -> str:
    """Return a moment, in UTC."""
    if seconds is None:
        return "\N{EN DASH}"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def iso(seconds: float) -> str:
    """Return a moment as machines read it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def short(text: str, limit: int = 200) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def cut(text: str) -> str:
    """Return the beginning of a long text, and a line that says how much is missing."""
    if len(text) <= SHOWN:
        return text
    return f"{text[:SHOWN]}\n[… {len(text) - SHOWN} more characters; see `evolve program`]"


def cause(message: str) -> str:
    """Return what a failure message says of its cause, without the numbers that tell cases apart.

    The last line of a traceback names the exception; of other messages the first line counts.
    """
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if not lines:
        return "no message"
    line = lines[-1] if any("Traceback" in each for each in lines) else lines[0]
    return _NUMBERS.sub("#", short(line, 160))


def messages(prompt: str) -> list[tuple[str, str]]:
    """Return role and content of each message of a stored request; all of it when it is no such."""
    try:
        request = json.loads(prompt)
        return [(str(each["role"]), _content(each)) for each in request["messages"]]
    except (ValueError, TypeError, KeyError):
        return [("request", prompt)]


def _content(message: Mapping[str, object]) -> str:
    content = message["content"]
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    if not message.get("images"):
        return text
    return f"{text}\n[with images: {json.dumps(message['images'])}]"

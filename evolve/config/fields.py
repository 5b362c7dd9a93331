"""Types of single configuration values, with the checks that go beyond a range."""

from __future__ import annotations

import json
import re
from typing import Annotated, Protocol, TypeVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field, JsonValue

#: Names under which servers take keys.
_SECRET = re.compile(
    r"(?i)(x[-_])?(api[-_]?key|secret|signature|password|authorization|(access|auth)[-_]?token)"
)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_NamedT = TypeVar("_NamedT", bound=_Named)


def distinct_names(entries: tuple[_NamedT, ...]) -> tuple[_NamedT, ...]:
    """Return ``entries``, no two of which share a name.

    Raises:
        ValueError: two do.
    """
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the name '{name}' is given twice")
    return entries


def _name(text: str) -> str:
    if not text or text != text.strip():
        raise ValueError("must not be empty, or start or end with a space")
    return text


def _finite(options: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        json.dumps(options, allow_nan=False)
    except ValueError:
        raise ValueError("numbers must be finite") from None
    return options


def _without_secrets(body: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse fields that hold a key: what is configured is stored with the run and shown."""
    values: list[JsonValue] = [body]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            secret = next((name for name in value if _SECRET.fullmatch(name)), None)
            if secret is not None:
                raise ValueError(f"'{secret}' looks like a secret; use api_key_env")
            values += value.values()
        elif isinstance(value, list):
            values += value
    return body


def _variable_name(text: str) -> str:
    like_a_key = len(text) >= 24 and "_" not in text and any(map(str.isdigit, text))
    if like_a_key or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError(
            "give the NAME of an environment variable, such as OPENAI_API_KEY, never the key itself"
        )
    return text


def _server(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must start with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user name or password; use api_key_env")
    if any(_SECRET.fullmatch(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ValueError("must hold no key; use api_key_env")
    return url


PositiveInt = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(max_length=80), AfterValidator(_name)]
#: What a number is counted in, as people read it.
Unit = Annotated[str, Field(max_length=20)]
Options = Annotated[dict[str, JsonValue], AfterValidator(_finite)]
#: Further fields of a request, without credentials.
Body = Annotated[Options, AfterValidator(_without_secrets)]
#: The name of an environment variable, never what it holds.
VariableName = Annotated[str, AfterValidator(_variable_name)]
#: Base URL of a server, without credentials.
Server = Annotated[str, AfterValidator(_server)]

"""Keys come from environment variables, go to servers and programs, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterable

from evolve.config.models import ModelConfig
from evolve.core.errors import ModelUnavailable

#: Stands in for a key where a server of one's own wants none but the SDK does.
NO_KEY = "none"


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` with every secret replaced by ``[key]``."""
    for secret in secrets:
        text = text.replace(secret, "[key]")
    return text


def read_key(config: ModelConfig, default_env: str) -> tuple[str, str]:
    """Return the variable's name and the key; no name and `NO_KEY` where none is wanted.

    Raises:
        ModelUnavailable: the variable is not set, or holds what no key looks like.
    """
    env = key_variable(config, default_env)
    if not env:
        return "", NO_KEY
    key = os.environ.get(env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        state = "holds characters that no key has" if key else "is not set"
        raise ModelUnavailable(
            f"model {config.id}: the environment variable {env} {state}; export {env}=..., or "
            "set api_key_env to the NAME of another variable, then try `evolve models`"
        )
    return env, key


def key_variable(config: ModelConfig, default_env: str) -> str:
    """Return the name of the variable that holds the key; empty where none is wanted.

    The default variable is not read for a server of one's own: its key belongs to the vendor.
    """
    return config.api_key_env or ("" if config.base_url is not None else default_env)

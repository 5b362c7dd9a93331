"""Python sources as syntax trees, whatever is in them."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from functools import lru_cache


def parse_quietly(source: str) -> ast.Module | Exception:
    """Parse ``source`` without a warning, or return what is wrong with it."""
    return _attempt(_parse, source)


def syntax_of(source: str) -> ast.Module | Exception:
    """Return what `parse_quietly` does, for looking at only: others are given the same tree."""
    return _attempt(_parse_once, source)


def _attempt(parse: Callable[[str], ast.Module], source: str) -> ast.Module | Exception:
    try:
        return parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return error  # null bytes are a ValueError, too deep a nesting one of the last two


def _parse(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in a candidate is no news
        return ast.parse(source)


#: A candidate is looked at by one check after the other.
_parse_once = lru_cache(maxsize=8)(_parse)

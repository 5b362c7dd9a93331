"""Python sources as syntax trees, whatever is in them."""

from __future__ import annotations

import ast
import warnings


def parse_quietly(source: str) -> ast.Module | Exception:
    """Parse ``source`` without a warning, or return what is wrong with it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a candidate is no news
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return error  # null bytes are a ValueError, too deep a nesting one of the last two

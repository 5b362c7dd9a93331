"""Plain data: the only thing that crosses the boundary to and from a sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: JSON scalars, lists, string-keyed dictionaries, and numeric arrays (bool, int, float, complex).
Value: TypeAlias = (
    bool
    | int
    | float
    | str
    | Sequence["Value"]
    | Mapping[str, "Value"]
    | NDArray[np.generic]
    | None
)

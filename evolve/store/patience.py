"""Transactions that begin again after the server went away in their midst."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import isfunction, isgeneratorfunction
from typing import ParamSpec, TypeVar

from evolve.core.errors import StoreError, TransactionLost

#: How often one transaction is begun; between two tries a server that is away is waited for.
TRIES = 5
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Patient:
    """A class each public method of which begins again when its transaction is lost.

    A method must make at most one transaction that writes, and change nothing else before that is
    committed. Methods that yield are left as they are: what they gave cannot be taken back.
    """

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            public = not name.startswith("_") and name != "close"
            if public and isfunction(method) and not isgeneratorfunction(method):
                setattr(cls, name, _again(method))


def _again(method: Callable[_P, _T]) -> Callable[_P, _T]:
    @wraps(method)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        database = getattr(args[0], "_database", None)
        if database is not None and database.joined:  # it is for who began it to begin again
            return method(*args, **kwargs)
        for _ in range(TRIES - 1):
            try:
                return method(*args, **kwargs)
            except TransactionLost:
                continue
        try:
            return method(*args, **kwargs)
        except TransactionLost as error:  # whoever called may be such a method too
            raise StoreError(f"{error}; begun {TRIES} times, always in vain") from error

    return call

"""What happens below the SDKs: tries that may have been billed are not repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Failures before anything was sent, by name: the HTTP library underneath is the SDK's business.
NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")


class LostTry(BaseException):
    """A request was sent and its answer was lost.

    No `Exception`, so that an SDK does not try again: the server may have done, and billed, the
    work, and the money for a second time was not reserved.

    Args:
        why: Name of the failure.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def watched(http: type[Any], on_rate_limit: Callable[[float], None]) -> object:
    """Return an HTTP client for an SDK which tells of rate limits and repeats no lost try.

    Args:
        http: The SDK's own class of clients.
        on_rate_limit: Called at every 429 with the pause in seconds that the server asks for.
    """

    class Watched(http):  # type: ignore[misc]  # a base known at run time only
        async def send(self, request: object, **options: object) -> object:
            try:
                response = await super().send(request, **options)
            except Exception as error:
                if type(error).__name__ in NOT_SENT:
                    raise
                raise LostTry(type(error).__name__) from None
            if response.status_code == 429:
                on_rate_limit(_seconds(response.headers.get("retry-after")))
            return response

    return Watched()


def _seconds(header: str | None) -> float:
    """Return the pause a server asks for; 0 when it names none, or a date."""
    try:
        return max(float(header or 0), 0.0)
    except ValueError:
        return 0.0

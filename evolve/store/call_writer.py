"""Writing model calls: what is about to be asked, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from evolve.store.archive_writer import ArchiveWriter
from evolve.store.calls import NO_TOKENS, Reply, ReplyTokens
from evolve.store.database import Database
from evolve.store.rows import end_call, insert_row, put_blob, reply_values, token_values
from evolve.store.schema import completions
from evolve.store.sharing import Sharing


class CallWriter(ArchiveWriter):
    """The part of a store that commits model calls.

    Attributes:
        sharing: What the controllers of a shared run tell each other; None for a run of one.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        super().__init__(database, clock)
        self.sharing: Sharing | None = None

    def send_completion(
        self,
        proposal_id: int,
        model: str,
        prompt: str,
        parameters: Mapping[str, object],
        reserved_usd: float | None,
        most: ReplyTokens = NO_TOKENS,
    ) -> int:
        """Commit a request before it leaves.

        Args:
            proposal_id: What it is for.
            model: The reference asked for.
            prompt: The request as JSON.
            parameters: The settings sent along, without secrets.
            reserved_usd: What it costs if the reply is never seen; None when nobody knows.
            most: The tokens that it has used then.
        """
        with self._database.write() as connection:
            return insert_row(
                connection,
                completions,
                {
                    "proposal_id": proposal_id,
                    "model": model,
                    "parameters": dict(parameters),
                    "state": "sent",
                    "reserved_usd": reserved_usd,
                    **token_values(most, assumed=True),
                    "sent_at": self._clock(),
                    "prompt_blob": put_blob(connection, prompt),
                },
            )

    def receive_completion(
        self, completion_id: int, reply: Reply, cost_usd: float | None, note: str = ""
    ) -> None:
        """Commit a reply before it is used.

        Args:
            completion_id: The call.
            reply: What came.
            cost_usd: What it cost; None when its price is not known.
            note: Why its tokens are assumed; empty when the server counted them.

        Raises:
            StoreError: the call has ended already.
        """
        with self._database.write() as connection:
            values = reply_values(connection, reply) | {"cost_usd": cost_usd, "error": note}
            counted = token_values(reply.tokens, assumed=bool(note))
            self._end_call(connection, completion_id, values | counted)

    def fail_completion(
        self,
        completion_id: int,
        error: str,
        cost_usd: float | None = 0.0,
        used: ReplyTokens = NO_TOKENS,
    ) -> None:
        """Commit that a request brought no reply, and what counts as used and spent.

        Raises:
            StoreError: the call has ended already.
        """
        with self._database.write() as connection:
            values: dict[str, object] = {"state": "failed", "error": error, "cost_usd": cost_usd}
            counted = token_values(used, assumed=used.input > 0)
            self._end_call(connection, completion_id, values | counted)

    def _end_call(self, connection: Connection, call: int, values: Mapping[str, object]) -> None:
        end_call(connection, call, self._clock(), values)
        if self.sharing is not None:
            self.sharing.tell("called", call)

    @property
    def _controller(self) -> int | None:
        return None if self.sharing is None else self.sharing.member.controller

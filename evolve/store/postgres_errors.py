"""What PostgreSQL and the way to it complain of, and what to do about it."""

from __future__ import annotations

from sqlalchemy.engine import URL, ExceptionContext

from evolve.core.errors import DatabaseBusy, StoreError, TransactionLost

#: By the beginning of the SQLSTATE that a statement failed with.
_REMEDIES = {
    "53100": "the server's disk is full; free some space and run again to resume",
    "53200": "the server is out of memory; run again to resume once it has some",
    "54": "a text is larger than the database can hold",
    "42501": "this user may not do that; let it own the database, or GRANT it what is missing "
    "(CREATE ON SCHEMA for the first run, rights on the tables for every run)",
    "25006": "it cannot be written here; is this a standby? Name the primary in --db",
    "3F000": "the schema that search_path names is not there; CREATE SCHEMA makes it",
    "57014": "the server cancelled a statement; raise statement_timeout for this user",
    "58": "the server could not read or write its files; look at its log and its disk",
    "XX": "the server found its files damaged; look at its log before anything else",
}
#: Undone by the server to let another transaction pass.
_BEGIN_AGAIN = ("40001", "40P01")
#: The server is shutting down, or has ended a session that said nothing.
_ENDED = ("08", "57P01", "57P02", "57P03", "25P03", "25P04", "57P05")
#: By what a failed attempt to connect says: libpq gives no code. Later ones are more general.
_CONNECTING = {
    "password authentication failed": "the password is wrong, or there is no such user; give it in "
    "PGPASSWORD or ~/.pgpass rather than in a URL, which others may see",
    "no password supplied": "it wants a password; put it into PGPASSWORD or ~/.pgpass",
    "Peer authentication failed": "this socket takes the user of the operating system only; name "
    "that one, or connect with a host",
    "no pg_hba.conf entry": "the server lets nobody in from here as that user; add a line to its "
    "pg_hba.conf",
    "does not exist": "make it first, with `createdb` or `createuser` as a user who may",
    "permission denied for database": "this user may not connect to it; GRANT CONNECT",
    "definition of service": "there is no such service; see PGSERVICEFILE, ~/.pg_service.conf",
    "could not translate host name": "there is no such host",
    "Name or service not known": "there is no such host",
    "too many clients": "the server has no connection left; raise max_connections, or stop others",
    "remaining connection slots": "the server has no connection left; raise max_connections, or "
    "stop others",
    "invalid connection option": "the URL has an option that libpq does not know",
    "starting up": "the server is starting; try again in a moment",
    "not yet accepting": "the server is starting; try again in a moment",
    "shutting down": "the server is shutting down",
    "server closed the connection": "the server went away",
    "recovery mode": "the server recovers from a crash; try again in a moment",
    "Connection refused": "no server listens there; start it, or correct host and port",
    "No such file or directory": "no server has its socket there; start it, or name a host",
    "timeout expired": "no answer; is the host right, and does a firewall drop this?",
}
#: What passes by itself: worth waiting for even where no connection was ever made.
PASSING = ("starting up", "not yet accepting", "recovery mode")


def explain(context: ExceptionContext, name: str, url: URL) -> StoreError | None:
    """Return the `StoreError` for what SQLAlchemy caught; None for a mistake of ours.

    Args:
        context: What was caught.
        name: What messages call the database.
        url: Its URL, whose password is struck out wherever it may occur.
    """
    original = context.original_exception
    text = " ".join(str(original).split())
    if url.password:
        text = text.replace(str(url.password), "***")
    state = getattr(original, "sqlstate", None) or ""
    if context.connection is None and not state:
        return TransactionLost(f"{name}: {_remedy_of_connecting(text)} ({text})")
    if context.is_disconnect or state.startswith(_ENDED):
        return TransactionLost(f"{name}: the server went away ({text})")
    if state in _BEGIN_AGAIN:
        return TransactionLost(f"{name}: blocked by another transaction ({text})")
    if state == "55P03":
        return DatabaseBusy(
            f"{name}: another process has kept it locked for too long; stop that process and run "
            f"again to resume: nothing that was committed is lost ({text})"
        )
    remedy = next((each for key, each in _REMEDIES.items() if state.startswith(key)), None)
    return None if remedy is None else StoreError(f"{name}: {remedy} ({text})")


def _remedy_of_connecting(text: str) -> str:
    found = (remedy for part, remedy in _CONNECTING.items() if part in text)
    return next(found, "it cannot be reached")

"""A PostgreSQL server of the tests' own: a folder, a socket, no network, gone when they end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

#: Where Debian's packages keep the programs of each version.
_DEBIAN = Path("/usr/lib/postgresql")
#: A user that needs a password and may do nothing, and the password: awkward in a URL.
GUARDED, SECRET = "guarded", "hunter2/?@"
#: Processes of a crashed server are gone when this returns; files need not survive the machine.
_SETTINGS = "-c listen_addresses='' -c max_connections=60"
_QUICK = "-c fsync=off -c full_page_writes=off"


def programs() -> Path | None:
    """Return the folder with ``initdb`` and ``pg_ctl``, or None when there is none."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda each: int(each.parts[-3]))
    anywhere = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(anywhere).parent if anywhere else None


class Server:
    """A cluster that is made, started, restarted and removed; its user is ``postgres``.

    Args:
        durable: Whether its commits wait for the disk.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._settings = _SETTINGS if durable else f"{_SETTINGS} {_QUICK}"
        self.programs = programs()
        if self.programs is None:
            raise FileNotFoundError("no PostgreSQL server here: apt-get install postgresql")
        self.folder = Path(tempfile.mkdtemp(prefix="evolve-pg-", dir="/tmp"))  # a short socket path
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            shutil.chown(self.data, "postgres", "postgres")
        self._call(
            "initdb", "--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8",
            "--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8",
        )  # fmt: skip
        rules = self.data / "pg_hba.conf"
        rules.write_text(f"local all {GUARDED} scram-sha-256\n{rules.read_text()}")
        self.start()
        self.sql(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{SECRET}'")

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = f"{self._settings} -c unix_socket_directories={self.folder}"
        log = self.folder / "log"
        options = (f"--log={log}", f"--options={settings}")
        self._call("pg_ctl", "start", "--wait", "--timeout=300", "--silent", *options)

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``immediate`` is like a crash, ``fast`` ends sessions in order."""
        self._call("pg_ctl", "stop", "--wait", "--timeout=300", "--silent", f"--mode={mode}")

    def restart(self, mode: str) -> None:
        """Stop it and start it again."""
        self.stop(mode)
        self.start()

    def remove(self) -> None:
        """Stop it and delete its files."""
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.folder)

    def url(self, database: str, user: str = "postgres", password: str = "") -> str:
        """Return the URL of one of its databases."""
        who = f"{user}:{quote(password, safe='')}" if password else user
        return f"postgresql+psycopg://{who}@/{database}?host={self.folder}"

    def sql(self, statement: str, database: str = "postgres") -> None:
        """Execute a statement."""
        engine = create_engine(self.url(database), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def create(self, database: str, template: str = "template0") -> str:
        """Make a database and return its URL."""
        assert re.fullmatch("[a-z0-9_]+", database)
        self.sql(f"CREATE DATABASE {database} TEMPLATE {template}")
        return self.url(database)

    def _call(self, program: str, *arguments: str) -> None:
        self._run([program, f"--pgdata={self.data}", *arguments])

    def _run(self, command: Sequence[str]) -> None:
        assert self.programs is not None
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        done = subprocess.run(
            [*(as_user if os.geteuid() == 0 else []), self.programs / command[0], *command[1:]],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"

"""The database behind the pages: opened for reading, and opened anew when the file is another."""

from __future__ import annotations

import threading

from evolve.core.errors import StoreError
from evolve.store.page_reader import PageReader, open_page_reader
from evolve.view.web.folds import Folds
from evolve.view.web.links import Links
from evolve.view.web.site import Site

#: Seconds that a page waits for a database that another process has locked.
PATIENCE_S = 2.0


class Vanished(StoreError):
    """The file was there when the server started and is not there now."""


class Source:
    """Gives each request the database as it is now. Safe to use from several threads.

    Raises:
        StoreError: the database cannot be used when the server starts.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._links = Links()
        self._open()

    def site(self) -> Site:
        """Return what pages are made from.

        Raises:
            Vanished: the file is gone.
            StoreError: another file lies in its place and cannot be used.
        """
        with self._lock:
            identity = self._reader.identity()
            if identity is None:
                name = self._reader.name
                raise Vanished(f"{name}: the database has vanished; was it moved or deleted?")
            if identity != self._identity:
                self._reader.close()
                self._open()
            return Site(self._reader, self._folds, self._links)

    def close(self) -> None:
        """Close the database."""
        self._reader.close()

    def _open(self) -> None:
        self._reader: PageReader = open_page_reader(self._url, patience_s=PATIENCE_S)
        self._identity = self._reader.identity()
        self._folds = Folds()

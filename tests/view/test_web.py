"""The pages as an application: who may ask, what is escaped, paging, errors."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from threading import Event

import pytest
from starlette.testclient import TestClient

from evolve.core.errors import StoreError
from evolve.core.measures import Objective
from evolve.store.records import ProgramEntry, RunRecord
from evolve.store.store import open_store
from evolve.view.web.guard import POLICY
from evolve.view.web.links import Links
from evolve.view.web.runs import MapChoice
from evolve.view.web.serve import warm
from evolve.view.web.site import Site
from evolve.view.web.source import Source
from evolve.view.web.trees import ancestry
from tests.command import evolve_here
from tests.store.samples import new_run, program
from tests.view.conftest import TOKEN, client_of, client_on
from tests.view.hostile import ATTACK, DRAWING, add, evaluation

#: Everything the templates make; what is not here came from somebody else.
TAGS = set(
    re.findall(
        r"\w+",
        "html head meta title link script body a header nav svg rect ol ul li span button p main "
        "div dialog h1 h2 h3 h4 dl dt dd kbd form label input select option table thead tbody tr "
        "th td section g path text line circle details summary pre code strong time figure img "
        "figcaption",
    )
)
PAGES = [
    "/",
    "/?before=2",
    "/live",
    "/runs/1",
    "/runs/2",
    "/runs/1?island=0",
    "/runs/1/live",
    "/runs/1/programs",
    "/runs/1/programs?order=newest&text=script",
    "/runs/1/lineage",
    "/runs/1/lineage?program=2",
    "/runs/1/failures",
    "/runs/1/spending",
    "/runs/1/settings",
    "/programs/1",
    "/programs/2",
    "/programs/2/diff/1",
    "/programs/2/call/1",
    "/programs/8",
    "/compare?run=1&run=2",
    "/compare",
]


class Markup(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def check_harmless(text: str) -> Markup:
    """Fail when a page holds anything that the templates did not put there."""
    page = Markup(text)
    for tag, attributes in page.tags:
        assert tag in TAGS, (tag, attributes)
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action", "hx-get"):
            target = attributes.get(name) or ""
            ours = ("/", "#", "static/", "image-") if tag == "img" else ("/", "#", "static/")
            assert not target or target.startswith(ours) or target.endswith(".html")
        if tag == "script":
            assert attributes.get("src"), "an inline script"
            assert "hacked" not in str(attributes)
    assert "\x1b" not in text
    assert "\u202e" not in text
    return page


@pytest.mark.parametrize("path", PAGES)
def test_what_others_wrote_is_shown_and_never_obeyed(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = check_harmless(answer.text)
    scripts = [a["src"] for tag, a in page.tags if tag == "script"]
    assert scripts in ([], ["/static/vendor/htmx-4.0.1.min.js", "/static/page.js"])


def test_hostile_texts_are_there_to_be_read(client: TestClient) -> None:
    page = Markup(client.get("/programs/2").text)
    readable = (
        ATTACK.replace("\x1b", "\u241b").replace("\u202e", "\ufffd").replace("\ud800", "\ufffd")
    )
    assert page.text.count(readable) >= 4
    call = Markup(client.get("/programs/2/call/1").text)
    assert call.text.count(readable) == 3


def test_every_answer_is_confined(client: TestClient) -> None:
    for path in ("/", "/runs/99", "/static/page.js", "/nowhere", "/?token=wrong"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


def test_nothing_is_shown_without_the_token(hostile_database: Path) -> None:
    client = client_of(hostile_database)
    for path in (*PAGES, "/nowhere", "/?token=", "/?token=wrong", "/?token=%ff"):
        answer = client.get(path)
        assert answer.status_code == 401, path
        assert "evolve view" in answer.text
        assert TOKEN not in answer.text
    assert client.get("/", headers={"Cookie": "evolve-8642=wrong"}).status_code == 401
    assert client.get("/", headers={"Cookie": '"=;;='}).status_code == 401
    assert client.get("/", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/static/page.css").status_code == 200


def test_the_token_moves_from_the_address_into_a_cookie(hostile_database: Path) -> None:
    client = client_of(hostile_database)
    answer = client.get(f"/runs/1?island=0&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs/1?island=0")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("evolve-8642=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    followed = client.get("/runs/1")
    assert followed.status_code == 200
    assert TOKEN not in followed.text


def test_cookies_of_other_servers_of_this_machine_do_no_harm(hostile_database: Path) -> None:
    client = client_of(hostile_database)
    for others in ('theirs={"a": 1}', "the irs=1", '"=;;='):
        cookies = f"{others}; evolve-8642={TOKEN}; last={others}"
        assert client.get("/", headers={"Cookie": cookies}).status_code == 200


def test_a_redirect_never_leaves_this_server(hostile_database: Path) -> None:
    answer = client_of(hostile_database).get(f"//elsewhere.example/x?token={TOKEN}")
    assert answer.headers["location"].startswith("/")
    assert not answer.headers["location"].startswith("//")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8642", 200),
        ("localhost:9999", 200),
        ("[::1]:8642", 200),
        ("LOCALHOST", 200),
        ("attacker.example", 421),
        ("attacker.example:8642", 421),
        ("127.0.0.1.attacker.example:8642", 421),
        ("localhost.", 421),
        ("", 421),
    ],
)
def test_only_names_of_this_machine_are_answered_to(
    client: TestClient, host: str, status: int
) -> None:
    assert client.get("/", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(client: TestClient, method: str) -> None:
    answer = client.request(method, "/runs/1")
    assert answer.status_code == 405
    check_harmless(answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "/runs/99",
        "/runs/abc",
        "/runs/1/nowhere",
        "/runs/²",
        "/runs/999999999999999999999999",
        pytest.param("/runs/" + "9" * 5000, id="a number of 5000 digits"),
        "/programs/99",
        "/programs/-1",
        "/programs/%3Cscript%3E",
        "/programs/2/diff/99",
        "/programs/2/call/9",
        "/programs/1/call/1",
        "/runs/1?island=7",
        "/runs/1?x=nothing&y=length",
        "/runs/2/lineage?program=2",
        "/compare?run=99",
        "/static/../app.py",
        "/static/page.py",
        "/nowhere",
    ],
)
def test_what_is_not_there_is_explained(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    page = check_harmless(answer.text)
    assert "404" in page.text


@pytest.mark.parametrize(
    "query",
    ["start=,", "start=x,1", "start=1", "start=1,999999999999999999999", "outcome=no", "order=no"],
)
def test_an_odd_query_still_lists_programs(client: TestClient, query: str) -> None:
    assert client.get(f"/runs/1/programs?{query}").status_code == 200


def test_a_live_part_is_sent_only_when_something_changed(tmp_path: Path) -> None:
    path = tmp_path / "evolve.db"
    with open_store(str(path)) as store:
        run_id = store.create_run(new_run()).id
        store.claim(run_id, "here:1")
        client = client_of(path, Authorization=f"Bearer {TOKEN}")
        first = client.get(f"/runs/{run_id}").text
        assert "Nothing has entered the archive yet" in first
        (query,) = [a["hx-get"] for _, a in Markup(first).tags if "hx-get" in a]
        assert query
        assert client.get(query).status_code == 204
        seed = store.add_program(
            run_id, program(0), parent_ids=[], generation=0, operator="seed", summary=""
        ).id
        add(store, run_id, seed, 0, evaluation(3.0), cell=2)
        changed = client.get(query)
        assert changed.status_code == 200
        assert 'data-tip="program 2' in changed.text
        (query,) = [a["hx-get"] for _, a in Markup(changed.text).tags if "hx-get" in a]
        assert client.get(str(query)).status_code == 204


def test_a_run_whose_process_is_gone_is_shown_as_killed(tmp_path: Path) -> None:
    path = tmp_path / "evolve.db"
    with open_store(str(path)) as store:
        run_id = store.create_run(new_run()).id
        store.claim(run_id, "elsewhere:1")
        client = client_of(path, Authorization=f"Bearer {TOKEN}")
        asked = [live_part(client, address) for address in ("/", f"/runs/{run_id}")]
        assert [client.get(query).status_code for query in asked] == [204, 204]
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE runs SET expires_at = 0")  # nobody renews it
        for query in asked:
            changed = client.get(query).text
            assert 'class="status killed"' in changed
            assert 'class="status running"' not in changed


def test_the_list_of_runs_follows_them(tmp_path: Path) -> None:
    path = tmp_path / "evolve.db"
    with open_store(str(path)) as store:
        client = client_of(path, Authorization=f"Bearer {TOKEN}")
        query = live_part(client, "/")
        assert client.get(query).status_code == 204
        run_id = store.create_run(new_run()).id
        store.claim(run_id, "here:1")
        assert f'href="/runs/{run_id}"' in client.get(query).text
        query = live_part(client, query)
        assert client.get(query).status_code == 204
        seed = store.add_program(
            run_id, program(0), parent_ids=[], generation=0, operator="seed", summary=""
        ).id
        add(store, run_id, seed, 0, evaluation(3.0), cell=2)
        query = live_part(client, query)
        store.release(run_id, "finished", "evaluations")
        assert 'class="status finished"' in client.get(query).text
        assert live_part(client, f"/?before={run_id}").startswith(f"/live?before={run_id}&")


@pytest.mark.postgres
def test_pages_of_a_copy_on_a_server_are_the_same(
    hostile_database: Path, client: TestClient, tmp_path: Path, postgres_url: str
) -> None:
    copied = evolve_here(tmp_path, "db", "copy", hostile_database, postgres_url)
    assert copied.returncode == 0, copied.stderr
    with closing(Source(postgres_url)) as source:
        other = client_on(source, Authorization=f"Bearer {TOKEN}")
        for path in (*PAGES, "/programs/2/images/0/1"):
            here, there = client.get(path), other.get(path)
            assert there.status_code == here.status_code == 200, path
            assert there.content == here.content, path


def live_part(client: TestClient, address: str) -> str:
    """Return where a page asks for what may have changed on it."""
    answer = client.get(address)
    assert answer.status_code == 200
    (query,) = [a["hx-get"] for _, a in Markup(answer.text).tags if "hx-get" in a]
    assert query
    return query


def test_a_database_that_vanishes_or_is_replaced(hostile_database: Path, tmp_path: Path) -> None:
    path, away = tmp_path / "evolve.db", tmp_path / "away.db"
    shutil.copy(hostile_database, path)
    client = client_of(path, Authorization=f"Bearer {TOKEN}")
    assert client.get("/runs/2").status_code == 200
    path.rename(away)
    answer = client.get("/runs/2")
    assert answer.status_code == 503
    assert "vanished" in answer.text
    path.write_text("no database")
    assert client.get("/runs/2").status_code == 503
    path.unlink()
    away.rename(path)
    assert client.get("/runs/2").status_code == 200


def test_a_run_that_was_deleted(hostile_database: Path, tmp_path: Path) -> None:
    path = tmp_path / "evolve.db"
    shutil.copy(hostile_database, path)
    client = client_of(path, Authorization=f"Bearer {TOKEN}")
    assert client.get("/runs/2").status_code == 200
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM runs WHERE id = 2")
    connection.close()
    assert client.get("/runs/2").status_code == 404
    assert client.get("/runs/2/live").status_code == 404
    assert client.get("/").status_code == 200


def test_a_locked_database_is_said_to_be_busy(
    hostile_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evolve.view.web.source.PATIENCE_S", 0.05)
    path = tmp_path / "evolve.db"
    shutil.copy(hostile_database, path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=DELETE")
    client = client_of(path, Authorization=f"Bearer {TOKEN}")
    assert client.get("/").status_code == 200
    connection.execute("BEGIN EXCLUSIVE")
    answer = client.get("/")
    connection.close()
    assert answer.status_code == 503
    assert "busy" in answer.text


def test_no_database_yet(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such database; `evolve run` makes one"):
        Source(str(tmp_path / "none.db"))


def test_an_empty_database_says_how_to_begin(tmp_path: Path) -> None:
    open_store(str(tmp_path / "evolve.db")).close()
    answer = client_of(tmp_path / "evolve.db", Authorization=f"Bearer {TOKEN}").get("/")
    assert "evolve run quickstart" in answer.text


def test_pages_of_programs_lead_on_and_back(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evolve.view.web.programs.SIZE", 3)
    seen: list[str] = []
    path: str | None = "/runs/1/programs?order=oldest"
    links: dict[str, str | None] = {}
    while path is not None:
        page = Markup(client.get(path).text)
        links = {
            kind: next((a["href"] for _, a in page.tags if f"data-{kind}" in a), None)
            for kind in ("previous", "next")
        }
        seen += [
            str(a["href"]) for t, a in page.tags if t == "a" and "/programs/" in str(a.get("href"))
        ]
        path = links["next"]
    assert seen == [f"/programs/{number}" for number in range(1, 9)]
    assert links["previous"] is not None
    back = Markup(client.get(links["previous"]).text)
    assert "/programs/4" in [a.get("href") for _, a in back.tags]


def test_an_outlier_among_ancestors_does_not_flatten_the_tree() -> None:
    def entry(number: int, objective: float, parents: tuple[int, ...]) -> ProgramEntry:
        return ProgramEntry(
            id=number,
            run_id=1,
            hash="h",
            iteration=number,
            operator="diff",
            generation=number,
            island=0,
            parents=parents,
            summary="",
            created_at=0.0,
            outcome=None,
            objective=objective,
            measures={},
            message="",
        )

    found = [entry(3, 1.0, (1, 2)), entry(2, 900.0, (1,)), entry(1, 2.0, ())]
    tree = ancestry(found[0], found, Objective("loss", "minimize"), Links())
    assert tree is not None
    heights = {node.href: node.y for node in tree.nodes}
    assert heights["/programs/2"] == tree.top
    assert abs(heights["/programs/1"] - heights["/programs/3"]) > 100
    assert [node.end for node in tree.nodes] == [False, False, True]


def test_an_image_is_sent_as_one_only_if_it_is_one(client: TestClient) -> None:
    (shown,) = [
        dict(attrs)
        for tag, attrs in Markup(client.get("/programs/2").text).tags
        if tag == "img" and attrs["alt"] == "drawing"
    ]
    answer = client.get(str(shown["src"]))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.content == DRAWING
    place, _, number = str(shown["src"]).rpartition("/")
    assert number == "1"
    refused = [f"{place}/0", f"{place}/2", f"{place}/-1", f"{place}/x", "/programs/2/images/x/1"]
    for path in (*refused, "/programs/2/images/7/1", "/programs/999/images/0/1"):
        assert client.get(path).status_code == 404, path


def test_who_shares_a_run_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    with open_store(str(path)) as one, open_store(str(path)) as two:
        number = one.create_run(new_run()).id
        added = one.add_program(number, program(0), operator="seed")
        one.commit_evaluation(added.id, evaluation(1.0), [])
        one.join(number, "first:1")
        two.join(number, "<b>second:2</b>")
        one.release(number, "interrupted", "Ctrl-C")
        browser = client_of(path, Authorization=f"Bearer {TOKEN}")
        page = browser.get(f"/runs/{number}").text
    assert "1 at work on this run" in page
    assert "first:1</td><td>interrupted" in page
    assert "&lt;b&gt;second:2&lt;/b&gt;</td><td>working" in page


def test_no_page_is_made_ahead_once_the_server_has_ended(
    hostile_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    ended = Event()

    def run_view(_: Site, run: RunRecord, __: MapChoice) -> None:
        made.append(run.id)
        ended.set()

    monkeypatch.setattr("evolve.view.web.runs.run_view", run_view)
    monkeypatch.setattr("gc.freeze", lambda: None)  # other tests go on in this process
    with closing(Source(str(hostile_database))) as source:
        warm(source)
        assert made == [2, 1]
        warm(source, ended=ended)
        assert made == [2, 1]
        ended.clear()
        warm(source, ended=ended)
        assert made == [2, 1, 2]

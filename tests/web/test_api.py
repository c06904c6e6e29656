"""The API: rights, exact amounts, pages, tags, problems and what may be changed, asked by real HTTP."""

import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.pretend import KEY, earning
from tests.web.api_story import Keys, program, tell
from tests.world import World
from tracker import accounts, tokens
from tracker.connect.plans import iso_z

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
PROBLEM = "application/problem+json"


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLite, or what a test asks for."""
    if getattr(request, "param", "sqlite") == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'tracker.db'}"


@pytest.fixture
def keys(world: World) -> Keys:
    return tell(world)


@pytest.fixture
def reads(served: str, keys: Keys) -> Iterator[httpx.Client]:
    with program(served, keys.read) as one:
        yield one


@pytest.fixture
def writes(served: str, keys: Keys) -> Iterator[httpx.Client]:
    with program(served, keys.write) as one:
        yield one


@pytest.fixture
def nobody(served: str, keys: Keys) -> Iterator[httpx.Client]:
    with program(served, None) as one:
        yield one


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    found: dict[str, Any] = answer.json()
    assert (found["status"], found["type"]) == (status, f"urn:income-tracker:problem:{kind}")
    assert found["title"]
    assert found["detail"].endswith((".", "…"))
    return found


def operations(one: httpx.Client) -> list[tuple[str, str]]:
    """Every method and address there is, about something that does not exist."""
    paths = one.get("/openapi.json").json()["paths"]
    return [
        (method.upper(), re.sub(r"\{\w+\}", "999", path).replace("letters/999", "letters/2026-06"))
        for path, methods in paths.items()
        for method in methods
    ]


# --- rights ---


def test_nothing_is_told_without_a_token(nobody: httpx.Client, world: World) -> None:
    every = operations(nobody)
    assert len(every) > 30
    cookie = {"Cookie": f"tracker_session={accounts.open_session(world.engine, 1, world.now)}"}
    assert nobody.get(str(nobody.base_url.copy_with(path="/")), headers=cookie).status_code == 200
    for method, path in every:
        for headers in ({}, cookie, {"Authorization": "Basic b3duZXI6eA=="}, {"Authorization": "Bearer"}):
            answer = nobody.request(method, path, headers=headers, json={})
            problem(answer, 401, "token")
            assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_that_may_only_read_changes_nothing(reads: httpx.Client, nobody: httpx.Client, world: World) -> None:
    before = world.dump(without=["last_used_at"])
    changing = [(method, path) for method, path in operations(nobody) if method != "GET"]
    assert len(changing) >= 9
    for method, path in changing:
        body = {"title": "x", "stream": "reviews", "program": "x"}
        problem(reads.request(method, path, json=body), 403, "scope")
    assert "insufficient_scope" in reads.post("/streams", json={"title": "x"}).headers["www-authenticate"]
    assert world.dump(without=["last_used_at"]) == before


def test_a_token_that_was_revoked_or_is_over_opens_nothing(
    reads: httpx.Client, writes: httpx.Client, world: World
) -> None:
    assert reads.get("/me").json()["scope"] == "read"
    mine = next(one for one in tokens.every(world.engine) if one.name == "reads")
    tokens.revoke(world.engine, mine.id)
    answer = reads.get("/me")
    assert "revoked" in problem(answer, 401, "token")["detail"]
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    end = world.now + timedelta(days=1)
    text = tokens.make_for_owner(world.engine, "short", "read", world.now, expires_at=end)
    short = {"Authorization": f"Bearer {text}"}
    assert writes.get("/me", headers=short).json()["expires_at"] == "2026-06-16T10:00:00Z"
    world.later(days=1)
    problem(writes.get("/me", headers=short), 401, "token")


def test_wrong_tokens_are_counted_for_each_sender_and_right_ones_go_on_working(
    served: str, keys: Keys, world: World
) -> None:
    with program(served, "itk_wrong") as guesser, program(served, keys.read) as reader:
        assert [guesser.get("/me").status_code for _ in range(22)] == [401] * 20 + [429] * 2
        answer = guesser.get("/me")
        problem(answer, 429, "too-many")
        assert answer.headers["retry-after"] == "901"
        assert reader.get("/me").status_code == 200
        with program(served, "itk_wrong", sender="198.51.100.7") as other:
            assert other.get("/me").status_code == 401
        world.later(minutes=16)
        assert guesser.get("/me").status_code == 401


def test_credentials_are_told_to_nobody(writes: httpx.Client, nobody: httpx.Client, keys: Keys, world: World) -> None:
    told = [writes.get(path).text for method, path in operations(nobody) if method == "GET"]
    told += [writes.get(f"/connections/{slug}").text for slug in ("network", "bank")]
    everything = "".join(told)
    assert "network" in everything
    assert [secret for secret in (KEY, quote(KEY), *keys, "credentials", "token_digest") if secret in everything] == []


def test_browsers_of_other_sites_get_no_leave(nobody: httpx.Client, reads: httpx.Client) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    problem(nobody.options("/income", headers=asked), 405, "method")
    answer = reads.get("/income", headers=asked)
    assert [name for name in answer.headers if name.startswith("access-control")] == []
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


# --- figures ---


def test_amounts_are_exact_to_the_millionth(reads: httpx.Client) -> None:
    rows = {row["external_id"]: row for row in reads.get("/earnings?connection=network").json()["rows"]}
    assert {name: row["net"] for name, row in rows.items()} == {
        "c0": "1234.56", "c1": "0.000001", "c2": "7000000000000.10", "c3": "0.30", "c4": "9.99", "c5": "-5.00",
    }  # fmt: skip
    assert {name: row["counted"] for name, row in rows.items()} == {
        "c0": True, "c1": True, "c2": True, "c3": "pending", "c4": "declined", "c5": True,
    }  # fmt: skip
    first = rows["c0"]
    assert (first["earned_at"], first["stream"], first["fee"]) == ("2026-06-10T10:00:00Z", "Reviews", None)
    report = reads.get("/income?from=2026-06&to=2026-06&by=connection").json()
    sums = {row["group"]: Decimal(row["total"]) for row in report["rows"]}
    assert (report["from"], report["currency"]) == ("2026-06", "EUR")
    assert sums["bank"] == Decimal(40)
    assert Decimal("7000000001229.66") <= sums["network"] <= Decimal("7000000001229.660001")
    (payout,) = reads.get("/payouts?status=paid").json()["rows"]
    assert (payout["amount"], payout["earnings_net"], payout["difference"]) == ("40.00", "40.00", "0.00")
    items = reads.get(f"/payouts/{payout['id']}/earnings").json()["rows"]
    assert sorted((row["earning_id"] is not None, row["amount"]) for row in items) == [(True, "10.00")] * 4
    mrr = reads.get("/mrr").json()
    assert (mrr["mrr"], mrr["customers"], mrr["movements"]["end"]) == ("9.00", 1, "9.00")


def test_an_earning_is_told_with_its_history_and_the_row_it_came_from(reads: httpx.Client, world: World) -> None:
    world.later(hours=1)
    changed = earning("c3", status="approved", net="0.25", email="somebody@example.com", updated=iso_z(world.now))
    world.provider.put("/commissions", changed)
    world.sync("network")
    by_name = {row["external_id"]: row for row in reads.get("/earnings").json()["rows"]}
    found = reads.get(f"/earnings/{by_name['c3']['id']}").json()
    assert {name: found[name] for name in by_name["c3"]} == by_name["c3"]
    assert {change["what"] for change in found["changes"]} >= {"status", "net"}
    assert {change["changed_at"] for change in found["changes"]} == {"2026-06-15T11:00:00Z"}
    assert (json.loads(found["raw"]["text"])["net"], "somebody" in found["raw"]["text"]) == ("0.25", False)
    assert (found["stream_by"], found["payout_id"]) == ("connection", None)
    refund = reads.get(f"/earnings/{by_name['c5']['id']}").json()
    assert refund["related"] == [by_name["c0"]["id"]]
    dollars = reads.get(f"/earnings/{by_name['c1']['id']}").json()
    assert (Decimal(dollars["rate"]) > 0, dollars["stream_by"]) == (True, "rule")
    (payout,) = reads.get("/payouts?status=paid").json()["rows"]
    assert reads.get(f"/earnings/{by_name['m0']['id']}").json()["payout_id"] == payout["id"]
    problem(reads.get("/earnings/999"), 404, "not-found")


def test_the_letter_and_the_report_say_the_same(reads: httpx.Client) -> None:
    letter = reads.get("/letters/2026-06").json()
    report = reads.get("/income?from=2026-06&to=2026-06").json()
    assert sum(Decimal(row["total"]) for row in report["rows"]) == Decimal(letter["total"]["total"]["amount"])
    assert [one["rows"] for one in letter["quarantine"]] == [1]
    words = reads.get("/letters/2026-06/words").json()
    assert "June 2026" in words["subject"]
    assert reads.get("/letters").json()["rows"][0] == "2026-06"
    problem(reads.get("/letters/2026-07"), 404, "not-found")


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_every_row_comes_once_however_the_pages_are_cut(reads: httpx.Client, world: World) -> None:
    for minutes in range(3):
        world.later(minutes=minutes)
        world.sync("network")
    for path in ("/earnings", "/earnings?sort=largest", "/payouts", "/subscriptions", "/connections/network/runs"):
        whole = reads.get(path, params={"limit": 200} | dict(httpx.URL(path).params)).json()
        assert whole["next"] is None
        assert len(whole["rows"]) >= 2
        for limit in (1, 3):
            rows, at = [], str(httpx.URL(path).copy_merge_params({"limit": limit}))
            while at:
                answer = reads.get(at)
                found = answer.json()
                rows += found["rows"]
                assert len(found["rows"]) <= limit
                link = re.fullmatch(r'<(/api/v1/.*)>; rel="next"', answer.headers.get("link", ""))
                assert bool(link) == bool(found["next"])
                at = str(httpx.URL(str(reads.base_url)).join(link[1])) if link else ""
            assert rows == whole["rows"], path


def test_the_quarantine_is_told_in_pages_too(reads: httpx.Client, world: World) -> None:
    for number in range(3):
        world.provider.put("/commissions", earning(f"odd{number}", world.now, status="unheard-of"))
    world.later(minutes=5)
    world.sync("network")
    ids, cursor = [], ""
    while cursor is not None:
        page = reads.get("/quarantine", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        ids += [row["row_key"] for row in page["rows"]]
        cursor = page["next"]
    assert (sorted(ids), page["total"]) == (["bad", "odd0", "odd1", "odd2"], 4)


# --- tags ---


def test_an_answer_that_is_known_is_not_sent_again(reads: httpx.Client, writes: httpx.Client) -> None:
    first = reads.get("/streams")
    tag = first.headers["etag"]
    assert (first.headers["cache-control"], first.headers["vary"]) == ("private, no-cache", "Authorization")
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = reads.get("/streams", headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert reads.get("/streams", headers={"If-None-Match": '"other"'}).json() == first.json()
    writes.post("/streams", json={"title": "New"})
    changed = reads.get("/streams", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)
    assert reads.get("/streams/nothing", headers={"If-None-Match": "*"}).status_code == 404


# --- problems ---


def test_every_error_is_a_problem(reads: httpx.Client, writes: httpx.Client) -> None:
    problem(reads.get("/nothing"), 404, "not-found")
    problem(reads.get("/streams/"), 404, "not-found")
    answer = reads.delete("/streams")
    problem(answer, 405, "method")
    assert answer.headers["allow"] == "GET, POST"
    assert reads.post("/rules/1").headers["allow"] == "DELETE"
    for path, parameter in (
        ("/earnings?conection=network", "conection"),
        ("/earnings?from=2026-02-31", "from"),
        ("/earnings?min=1e3", "min"),
        ("/earnings?limit=501", "limit"),
        ("/income?currency=XXX", "currency"),
        ("/income?by=moon", "by"),
        ("/letters/2026-13", "month"),
    ):
        (fault,) = problem(reads.get(path), 422, "invalid")["errors"]
        assert fault["parameter"] == parameter
    assert "network2" in problem(reads.get("/earnings?connection=network2"), 422, "invalid")["detail"]
    problem(reads.get("/earnings?cursor=nonsense"), 422, "invalid")
    problem(reads.get("/mrr?month=2026-07"), 422, "invalid")
    found = problem(writes.post("/streams", json={"titel": "x", "title": ""}), 422, "invalid")
    assert sorted(fault["pointer"] for fault in found["errors"]) == ["#/titel", "#/title"]
    for content in (b'{"title": ', b"\xff", b"[]", b'{"title": "a\\u0000b"}'):
        headers = {"Content-Type": "application/json"}
        problem(writes.post("/streams", content=content, headers=headers), 422, "invalid")
    problem(writes.post("/streams", json={"title": "Reviews"}), 422, "invalid")


def test_what_is_refused_before_it_is_read_is_a_problem_too(writes: httpx.Client) -> None:
    assert "262144 bytes" in problem(writes.post("/streams", content=b"x" * 300_000), 413, "too-large")["detail"]
    problem(writes.get("/me", headers={"Host": "evil.example"}), 400, "unreadable")


def test_a_ledger_that_cannot_be_read_is_a_problem_for_a_while(reads: httpx.Client, world: World) -> None:
    with world.engine.begin() as conn:
        conn.exec_driver_sql("alter table sync_run rename to gone")
    answer = reads.get("/connections/network/runs")
    assert "gone" not in problem(answer, 503, "unavailable")["detail"]
    assert answer.headers["retry-after"] == "30"


def test_what_the_api_itself_does_not_understand_is_its_own_fault(reads: httpx.Client, world: World) -> None:
    with world.engine.begin() as conn:
        conn.exec_driver_sql("update payout set status = 'odd'")
    assert "odd" not in problem(reads.get("/payouts"), 500, "fault")["detail"]


# --- changes ---


def test_a_sync_is_asked_for_and_the_connection_paused_and_resumed(writes: httpx.Client, world: World) -> None:
    world.later(minutes=1)
    assert writes.get("/connections/network").json()["state"] == "waiting"
    answer = writes.post("/connections/network/sync")
    assert (answer.status_code, answer.json()["state"]) == (202, "due")
    paused = writes.post("/connections/network/pause").json()
    assert (paused["state"], paused["paused_reason"]) == ("paused", "the token writes paused it.")
    assert "paused" in problem(writes.post("/connections/network/sync"), 422, "invalid")["detail"]
    assert writes.post("/connections/network/resume").json()["state"] == "due"
    problem(writes.post("/connections/nothing/sync"), 404, "not-found")
    trail = world.ask("select actor, action, subject, sender from audit_event where actor = 'token writes' order by id")
    assert trail == [
        ("token writes", action, "network", "203.0.113.5")
        for action in ("sync asked for", "connection paused", "connection resumed")
    ]


def test_an_earning_is_what_its_owner_says_until_that_is_taken_back(writes: httpx.Client, world: World) -> None:
    row = next(row for row in writes.get("/earnings?q=c2").json()["rows"])
    assert (row["recurrence"], row["stream_slug"]) == ("one_off", "network")
    path = f"/earnings/{row['id']}/override"
    said = writes.put(path, json={"recurrence": "recurring", "stream": "reviews"}).json()
    assert (said["recurrence"], said["stream"], said["external_id"]) == ("recurring", "Reviews", "c2")
    assert writes.get("/earnings?q=c2").json()["rows"][0]["stream_slug"] == "reviews"
    assert writes.delete(path).json()["stream"] == "Network"
    problem(writes.put(path, json={}), 422, "invalid")
    problem(writes.put(path, json={"stream": "nothing"}), 422, "invalid")
    problem(writes.put("/earnings/999/override", json={"recurrence": "one_off"}), 404, "not-found")
    subjects = world.ask("select subject from audit_event where action = 'earning overridden' order by id")
    assert subjects == [("c2: recurrence recurring, stream reviews",), ("c2: cleared",)]


def test_what_must_wait_for_a_sync_says_so(writes: httpx.Client, world: World) -> None:
    until = f"{world.now + timedelta(minutes=5):%Y-%m-%d %H:%M:%S}.000000"
    with world.engine.begin() as conn:
        conn.exec_driver_sql(f"update connection set leased_until = '{until}', leased_by = 'elsewhere:1:0'")  # noqa: S608
    answer = writes.put("/earnings/1/override", json={"recurrence": "recurring"})
    problem(answer, 409, "busy")
    assert answer.headers["retry-after"] == "30"
    problem(writes.post("/quarantine/1/retry"), 409, "busy")


def test_streams_and_rules_are_made_tried_and_removed(writes: httpx.Client, world: World) -> None:
    made = writes.post("/streams", json={"title": "  Fine  prints ", "delivery": "one_to_many"})
    assert (made.status_code, made.json()["slug"], made.json()["title"]) == (201, "fine-prints", "Fine prints")
    renamed = writes.patch("/streams/fine-prints", json={"title": "Prints"}).json()
    assert (renamed["slug"], renamed["delivery"]) == ("prints", "one_to_many")
    problem(writes.get("/streams/fine-prints"), 404, "not-found")
    rule = {"stream": "prints", "product": "Atlas*"}
    tried = writes.post("/rules/plan", json=rule).json()
    assert tried["earnings"] == 1
    assert len(writes.get("/rules").json()["rows"]) == 1
    kept = writes.post("/rules", json=rule).json()
    assert kept["streams"] == tried["streams"]
    assert writes.get("/streams/prints").json()["net"] == {"EUR": "7000000000000.10"}
    assert writes.delete(f"/rules/{kept['rule']}").json()["earnings"] == 1
    problem(writes.delete(f"/rules/{kept['rule']}"), 404, "not-found")
    problem(writes.post("/rules", json={"stream": "prints", "product": "*"}), 422, "invalid")
    actions = world.ask("select action, subject from audit_event where actor = 'token writes' order by id")
    assert actions == [
        ("stream added", "fine-prints"),
        ("stream renamed", "fine-prints -> prints"),
        ("rule added", f"{kept['rule']} for prints"),
        ("rule removed", str(kept["rule"])),
    ]


def test_a_row_in_quarantine_is_shown_and_tried_again(writes: httpx.Client) -> None:
    (row,) = writes.get("/quarantine?connection=network").json()["rows"]
    assert (row["row_key"], "unheard-of" in row["error"]) == ("bad", True)
    assert json.loads(writes.get(f"/quarantine/{row['id']}").json()["payload"])["id"] == "bad"
    tried = writes.post(f"/quarantine/{row['id']}/retry").json()
    assert (tried["tried"], tried["understood"], tried["held"]) == (1, 0, 1)
    assert writes.get("/quarantine").json()["rows"][0]["tries"] == row["tries"] + 1


# --- the documentation ---


def curl(line: str, one: httpx.Client, token: str) -> httpx.Response:
    """Send what a line of the documentation would."""
    words = shlex.split(line.replace("$API", str(one.base_url).rstrip("/")).replace("$TOKEN", token))
    method, headers, body, url = "GET", {}, None, ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "--json":
            body = json.loads(next(rest))
        else:
            assert not word.startswith("-"), word
            url = word
    return one.request(method, url, headers=headers, json=body)


def test_the_commands_of_the_documentation_work_in_their_order(nobody: httpx.Client, keys: Keys) -> None:
    lines = [line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("curl ")]
    assert len(lines) > 10
    for line in lines:
        answer = curl(line, nobody, keys.write)
        assert answer.status_code in (200, 201, 202), (line, answer.text)


def test_the_documentation_names_every_problem(nobody: httpx.Client) -> None:
    told = dict(re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", DOCS.read_text("utf-8"), re.M))
    statuses = {
        status
        for methods in nobody.get("/openapi.json").json()["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
        if status >= "400"
    }
    assert set(told) == statuses | {"405"}

"""Postbacks and webhooks: kept first, answered fast, believed only where nothing else can be asked."""

import hashlib
import hmac
import json
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.pretend import Reply, earning
from tests.web.conftest import Browser
from tests.world import World
from tracker import connections, inbound, keyring
from tracker.connect.rows import decode
from tracker.errors import UsageError
from tracker.inbound import BODY_MAX, Sent
from tracker.web import guard
from tracker.web.app import make_app
from tracker.web.listen import Pages, listen

PART = b'--b 1\r\nContent-Disposition: form-data; name="id"\r\n\r\n1\r\n'
PARTS = (
    PART
    + b"--b 1\r\nContent-Type: text/plain\r\ncontent-disposition: form-data;name=n\r\n\r\n\xc3\xbc\r\n\r\n"
    + b'--b 1\r\nContent-Disposition: form-data; name="file"; filename="me.png"\r\n\r\n\xff\xd8\r\n'
    + b'--b 1\r\nContent-Disposition: form-data; name="j"\r\n\r\n{"x":[]}\r\n'
    + PART.replace(b"\r\n1\r\n", b"\r\n2\r\n")
    + b"--b 1--\r\n"
)
COMMISSION = earning("c1", status="approved", net="12.50")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'tracker.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def provider(browser: Browser) -> httpx.Client:
    return browser()


def address(world: World, provider: str, **more: Any) -> str:
    """The path at which a newly connected provider sends; its first sync is over."""
    world.add(provider, **more)
    if provider not in ("caller", "signer"):
        assert world.sync(provider).outcome == "ok"
    else:
        world.sync(provider)
    world.later(minutes=5)
    return f"/in/{inbound.new_address(world.deps, provider)}"


def kept(world: World) -> list[tuple[Any, ...]]:
    return [
        (times, decode(bytes(content)))
        for times, content in world.ask("select times, content from inbound order by id")
    ]


def due(world: World, slug: str) -> bool:
    row = world.connection(slug)
    return bool(row.next_sync_at <= world.now and row.queued_until is None)


# --- what is kept, and what follows from it ---


def test_a_postback_is_kept_and_makes_the_next_sync_due(world: World, provider: httpx.Client) -> None:
    path = address(world, "network")
    assert not due(world, "network")
    answer = provider.get(f"{path}?click=77&status=approved&status=late")
    assert (answer.status_code, answer.content) == (204, b"")
    assert kept(world) == [(1, {"click": "77", "status": ["approved", "late"]})]
    assert due(world, "network")
    assert world.earnings() == {}  # it is not believed
    world.provider.put("/commissions", COMMISSION | {"updated": "2026-06-15T10:04:00Z"})
    assert world.sync("network").new == 1
    assert not due(world, "network")


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b'{"amount": 1.10, "items": []}', "application/json", {"amount": "1.10", "items": []}),
        (b'[{"id": "1"}]', "application/vnd.api+json; charset=utf-8", [{"id": "1"}]),
        (b"a=1&b=&a=2", "application/x-www-form-urlencoded", {"a": ["1", "2"], "b": ""}),
        (b'data={"x":[1]}&bad={no', "application/x-www-form-urlencoded", {"data": {"x": [1]}, "bad": "{no"}),
        (PARTS, 'multipart/form-data; charset=utf-8; boundary="b 1"', {"id": ["1", "2"], "n": "ü\r\n", "j": {"x": []}}),
        (b'"ping"', "text/plain", {"value": "ping"}),
        (b"", "application/json", {}),
    ],
)
def test_forms_and_json_are_understood(
    world: World, provider: httpx.Client, body: bytes, kind: str, expected: object
) -> None:
    path = address(world, "network")
    assert provider.post(path, content=body, headers={"Content-Type": kind}).status_code == 204
    [(_, found)] = kept(world)
    assert json.loads(msgspec.json.encode(found)) == expected
    assert due(world, "network")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<xml/>", "text/xml"),
        (b"{", "application/json"),
        (b"\xff=1", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=1" for _ in range(600)), "application/x-www-form-urlencoded"),
        (b"[" * 100_000, "application/json"),
        (PARTS, "multipart/form-data"),
        (PARTS, "multipart/form-data; boundary=other"),
        (PARTS.removesuffix(b"--b 1--\r\n"), 'multipart/form-data; boundary="b 1"'),
        (PARTS.replace(b"name=", b"nome="), 'multipart/form-data; boundary="b 1"'),
        (PARTS.replace(b"\xc3", b"\xff"), 'multipart/form-data; boundary="b 1"'),
        (PART * 600 + b"--b 1--", 'multipart/form-data; boundary="b 1"'),
        (PART.replace(b"id", b'"' * 200_000) + b"--b 1--", 'multipart/form-data; boundary="b 1"'),
    ],
)
def test_what_is_neither_form_nor_json_is_refused(world: World, provider: httpx.Client, body: bytes, kind: str) -> None:
    path = address(world, "network")
    assert provider.post(path, content=body, headers={"Content-Type": kind}).status_code == 400
    assert (kept(world), due(world, "network")) == ([], False)


def test_the_same_again_is_counted_and_still_makes_a_sync_due(world: World, provider: httpx.Client) -> None:
    path = address(world, "network")
    for _ in range(2):
        assert provider.post(path, json={"id": 1}).status_code == 204
    world.sync("network")
    world.later(minutes=5)
    assert not due(world, "network")
    assert provider.post(path, json={"id": 1}).status_code == 204
    assert provider.post(path, json={"id": 2}).status_code == 204
    assert kept(world) == [(3, {"id": 1}), (1, {"id": 2})]
    assert due(world, "network")


def test_personal_fields_are_not_kept_wherever_they_stand(world: World, provider: httpx.Client) -> None:
    path = address(world, "network")
    row = {"id": "c1", "email": "eva@example.org", "customer": "Eva"}
    inner = {"event": "x", "data": {"object": row}, "list": [dict(row)]}
    assert provider.post(path, json=inner).status_code == 204
    assert provider.get(f"{path}?email=eva@example.org&note=n").status_code == 204
    assert provider.post(path, data={"data": json.dumps(row)}).status_code == 204
    stand_in = world.deps.vault.pseudonym("payer", "eva")
    clean = {"id": "c1", "customer": stand_in}
    assert [content for _, content in kept(world)] == [
        {"event": "x", "data": {"object": clean}, "list": [clean]}, {"note": "n"}, {"data": clean},
    ]  # fmt: skip
    assert "eva" not in str(world.ask("select content from inbound")).lower()


def test_what_comes_during_a_sync_is_followed_by_another(world: World, provider: httpx.Client) -> None:
    path = address(world, "network")
    world.provider.put("/commissions", COMMISSION)

    def and_then(progress: object) -> None:
        provider.post(path, json={"id": 2})

    world.sync("network", progress=and_then)
    assert due(world, "network")
    world.later(seconds=1)
    assert world.sync("network").outcome == "ok"
    assert not due(world, "network")


def test_after_trouble_the_back_off_is_kept(world: World, provider: httpx.Client) -> None:
    path = address(world, "network")
    world.provider.always("/commissions", Reply(b"", 503, {"Retry-After": "3000"}))
    assert world.sync("network").outcome == "failed"
    waits_until = world.connection("network").next_sync_at
    assert provider.post(path, json={"id": 1}).status_code == 204
    assert world.connection("network").next_sync_at == waits_until > world.now
    assert len(kept(world)) == 1


def test_quiet_hours_stay_quiet(world: World, provider: httpx.Client) -> None:
    path = address(world, "network", quiet="12:00-14:00")  # it is 12:05 in Berlin
    assert provider.post(path, json={"id": 1}).status_code == 204
    at = world.connection("network").next_sync_at
    assert world.now.replace(hour=12, minute=0) <= at < world.now.replace(hour=12, minute=30)


# --- rows that come in no other way ---


def test_rows_that_only_come_so_reach_the_ledger_with_the_next_sync(world: World, provider: httpx.Client) -> None:
    path = address(world, "caller")
    first = COMMISSION | {"email": "eva@example.org", "payer": "Eva"}
    assert provider.post(path, json=[first, earning("c2")]).status_code == 204
    assert provider.get(path, params={**earning("c3"), "net": "3.00"}).status_code == 204
    assert provider.post(path, json=earning("c1", status="reversed", net="12.50", payer="Eva")).status_code == 204
    assert world.earnings() == {}
    report = world.sync("caller")
    assert (report.outcome, report.new, report.quarantined) == ("ok", 3, 0)
    found = world.earnings()
    assert {key: (row.status, row.net) for key, row in found.items()} == {
        "c1": ("reversed", 12.5), "c2": ("pending", 10), "c3": ("pending", 3),
    }  # fmt: skip
    assert found["c1"].payer == world.deps.vault.pseudonym("payer", "eva")
    before = world.dump("earning", "raw_row")
    world.later(minutes=5)
    assert provider.post(path, json=[first, earning("c2")]).status_code == 204  # an old one, sent again
    assert (world.sync("caller").rows, world.dump("earning", "raw_row")) == (0, before)


def test_a_row_that_nobody_understands_is_quarantined(world: World, provider: httpx.Client) -> None:
    path = address(world, "caller")
    provider.post(path, json={"hello": "world"})
    provider.post(path, json=earning("c1", status="strange"))
    provider.post(path, json=earning("c2"))
    report = world.sync("caller")
    assert (report.outcome, report.new, report.quarantined) == ("partial", 1, 2)
    assert list(world.earnings()) == ["c2"]


def test_what_a_killed_sync_had_not_taken_is_taken_by_the_next(world: World, provider: httpx.Client) -> None:
    path = address(world, "caller")
    assert provider.post(path, json=[earning(f"c{number}") for number in range(5)]).status_code == 204
    statement = 1
    while world.killed_at(statement, "caller"):
        assert len(world.earnings()) in (0, 5)
        statement += 1
    assert len(world.earnings()) == 5
    assert world.ask("select count(*) from inbound where taken_at is null") == [(0,)]
    assert statement > 10


def test_what_was_taken_is_forgotten_after_thirty_days_and_what_waits_is_not(
    world: World, provider: httpx.Client
) -> None:
    path = address(world, "network")
    provider.post(path, json={"id": 1})
    world.sync("network")
    world.later(days=31)
    provider.post(path, json={"id": 2})
    world.later(days=31)
    provider.post(path, json={"id": 3})
    world.sync("network")
    assert [content for _, content in kept(world)] == [{"id": 2}, {"id": 3}]
    world.later(days=31)
    provider.post(path, json={"id": 3})
    provider.post(path, json={"id": 4})
    world.sync("network")
    assert [content for _, content in kept(world)] == [{"id": 3}, {"id": 4}]


# --- who may send ---


def signed(secret: str, body: bytes) -> dict[str, str]:
    return {
        "X-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "Content-Type": "application/json",
    }


def test_a_signature_is_checked_with_the_stored_secret(world: World, provider: httpx.Client) -> None:
    path, body = address(world, "signer"), msgspec.json.encode(COMMISSION)
    assert provider.post(path, content=body, headers=signed("guessed", body)).status_code == 401  # none is stored yet
    inbound.keep_secret(world.deps, "signer", " whsec-4711 ")
    assert provider.post(path, content=body, headers=signed("guessed", body)).status_code == 401
    assert provider.post(path, content=body + b" ", headers=signed("whsec-4711", body)).status_code == 401
    assert provider.post(path, content=body, headers={"Content-Type": "application/json"}).status_code == 401
    twice = [*signed("whsec-4711", body).items(), ("X-Signature", "0")]
    assert provider.post(path, content=body, headers=twice).status_code == 401
    assert kept(world) == []
    assert provider.post(path, content=body, headers=signed("whsec-4711", body)).status_code == 204
    assert world.sync("signer").new == 1
    assert "whsec-4711" not in str(world.dump())


def test_the_secret_moves_to_a_new_key_with_the_others(world: World, provider: httpx.Client) -> None:
    path, body = address(world, "signer"), msgspec.json.encode(COMMISSION)
    inbound.keep_secret(world.deps, "signer", "whsec-4711")
    assert keyring.rotate(world.deps) == 2
    assert keyring.retire(world.deps) == 1
    assert provider.post(path, content=body, headers=signed("whsec-4711", body)).status_code == 204


def test_a_wrong_token_is_told_nothing(world: World, provider: httpx.Client) -> None:
    path = address(world, "network")
    answers = [
        provider.request(method, f"/in/{token}")
        for token in ("x", path[4:-1], path[4:] + "x", "%00")
        for method in ("GET", "POST")
    ]
    assert {(one.status_code, one.text) for one in answers} == {(404, "There is nothing here.\n")}
    assert kept(world) == []


def test_a_new_address_ends_the_old_one_and_the_database_gives_none_away(world: World, provider: httpx.Client) -> None:
    old = address(world, "network")
    with pytest.raises(UsageError, match="shown only once"):
        inbound.new_address(world.deps, "network")
    new = f"/in/{inbound.new_address(world.deps, 'network', replace=True)}"
    assert [provider.get(path).status_code for path in (old, new)] == [404, 204]
    assert new[4:] not in str(world.dump())
    assert inbound.end_address(world.deps, "network")
    assert not inbound.end_address(world.deps, "network")
    assert provider.get(new).status_code == 404


def test_what_came_goes_with_its_connection(world: World, provider: httpx.Client) -> None:
    path = address(world, "network")
    provider.get(path)
    connections.remove(world.deps, "network")
    assert (kept(world), provider.get(path).status_code) == ([], 404)


# --- limits ---


def test_a_body_has_a_limit_whether_its_length_is_told_or_not(world: World, provider: httpx.Client) -> None:
    path = address(world, "network")
    fits = b'"' + b"x" * (BODY_MAX - 2) + b'"'
    assert provider.post(path, content=fits).status_code == 204
    assert provider.post(path, content=fits + b" ").status_code == 413
    assert provider.post(path, content=iter([fits, b" "])).status_code == 413
    assert len(kept(world)) == 1


def test_a_flood_is_put_off(world: World, provider: httpx.Client) -> None:
    path = address(world, "network")
    answers = [provider.get(path, params={"n": number % 3}) for number in range(601)]
    assert {one.status_code for one in answers[:600]} == {204}
    assert (answers[600].status_code, int(answers[600].headers["retry-after"])) == (429, 61)
    world.later(seconds=61)
    assert provider.get(path).status_code == 204


def test_when_too_much_waits_it_is_asked_for_later(
    world: World, provider: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "WAITING_MAX", 3)
    path = address(world, "network")
    answers = [provider.get(path, params={"n": number}).status_code for number in (1, 2, 3, 4, 1)]
    assert answers == [204, 204, 204, 503, 204]
    world.sync("network")
    assert provider.get(path, params={"n": 4}).status_code == 204


def test_two_at_once_are_one_row(world: World) -> None:
    world.add("network")
    row = inbound.connection_at(world.engine, inbound.new_address(world.deps, "network"))
    sent = Sent(method="POST", headers={}, body=b'{"id": 1}')
    together = [threading.Thread(target=inbound.receive, args=(world.deps, row, sent)) for _ in range(6)]
    for one in together:
        one.start()
    for one in together:
        one.join(30)
    [(times, content)] = kept(world)
    assert content == {"id": 1}
    assert 1 <= times <= 6


# --- over the wire ---


def test_no_log_has_a_token_or_what_was_sent(
    world: World, provider: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    path = address(world, "signer")
    assert provider.get(f"{path}?key=in-the-query").status_code == 401
    assert provider.post(path, content=b"<in-the-body>").status_code == 401
    told = capsys.readouterr()
    assert "inbound refused" in told.out
    assert not [word for word in (path[4:], "in-the-query", "in-the-body") if word in told.out + told.err]


def test_a_slow_body_is_cut_off(world: World) -> None:
    bound = listen(world.deps)
    app = guard.Guard(make_app(world.deps), hosts=(), uploads={}, welcome=lambda headers: False, body_s=0.2)
    pages = Pages(app, bound)
    try:
        with socket.create_connection(bound.getsockname(), timeout=20) as slow:
            slow.sendall(b"POST /in/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nonly this")
            assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
    finally:
        pages.stop()

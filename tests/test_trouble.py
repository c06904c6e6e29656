"""Bad input and bad weather: each gives a clear message, and nothing is lost."""

import gzip
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
import requests

from tests.pretend import KEY, START, Asked, Reply, contract, earning
from tests.world import World
from tracker import connections
from tracker.connect.plans import iso_z
from tracker.errors import UsageError
from tracker.store.writes import unpack_batch

PATH = "/commissions"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        world.add("network")
        for number in range(7):
            world.provider.put(PATH, earning(f"c{number}"))
        yield world


def good_then(world: World, bad: Callable[[Asked], Reply], good: int = 1) -> Callable[[], None]:
    """Answers `bad` to every request for a later page, and everything as usual again when the result is called."""

    def answer(asked: Asked) -> Reply:
        return bad(asked) if "cursor" in asked.query else world.provider.listing(asked)

    world.provider.answers[PATH] = answer
    return lambda: world.provider.answers.clear()


def recovers(world: World) -> None:
    """After the trouble everything is there."""
    world.provider.answers.clear()
    world.later(hours=7)
    report = world.sync("network")
    assert (report.outcome, report.error) == ("ok", None)
    assert sorted(world.earnings()) == [f"c{number}" for number in range(7)]


def fails(world: World, error: str, *words: str) -> str:
    """A failed sync with an error of that name, whose message says all the words. Answers the message."""
    report = world.sync("network")
    assert (report.outcome, report.error) == ("failed", error), report
    message = str(report.message)
    for word in words:
        assert word in message
    run = world.ask("select outcome, error, message, finished_at from sync_run order by id desc limit 1")[0]
    assert run[:3] == ("failed", error, message)
    assert run[3] is not None
    row = world.connection("network")
    assert (row.last_error, row.leased_by, row.as_of) == (message, None, None)
    return message


# --- keys and rights ---


def test_a_wrong_key_pauses_the_connection_and_says_so(world: World) -> None:
    world.provider.key = "another"
    message = fails(world, "AuthRejected", "127.0.0.1 refused the credentials", "make a new key")
    row = world.connection("network")
    assert (row.paused_at, row.paused_reason, row.next_sync_at) == (START, message, START)
    connections.replace_credentials(world.deps, "network", {"key": "another"})
    assert world.connection("network").paused_at is None
    recovers(world)


def test_a_key_revoked_in_the_middle_keeps_what_was_read(world: World) -> None:
    good_then(world, lambda asked: Reply.json({"message": "key revoked"}, 401))
    fails(world, "AuthRejected", "refused the credentials", "key revoked")
    assert len(world.earnings()) == 3
    assert world.connection("network").paused_at == START
    connections.resume(world.deps, "network")
    recovers(world)


def test_a_missing_right_is_named_and_does_not_pause(world: World) -> None:
    world.provider.answers[PATH] = lambda asked: Reply.json({"message": "no"}, 403)
    fails(world, "RightMissing", "does not allow this key to read commissions", "It needs: commissions:read.")
    assert world.connection("network").paused_at is None
    recovers(world)


def test_a_missing_right_for_one_resource_does_not_stop_the_others(world: World) -> None:
    world.add("bank")
    world.provider.put("/movements", earning("m1", kind="sale", status="approved", payouts=[]))
    world.provider.put("/payouts", earning("po", status="paid"))
    world.provider.answers["/contracts"] = lambda asked: Reply.json({}, 403)
    report = world.sync("bank")
    assert (report.outcome, report.error, report.new) == ("failed", "RightMissing", 2)
    assert "contracts" in str(report.message)


# --- the way there ---


def test_a_wrong_host_is_named(world: World) -> None:
    world.add("network", "lost", options={"base_url": "https://nowhere.invalid"})
    world.deps.http = requests.Session
    report = world.sync("lost")
    assert (report.error, world.slept) == ("Unavailable", [0.5, 2.0, 8.0])
    assert "nowhere.invalid cannot be reached (its name is not known)" in str(report.message)


def test_a_refused_connection_is_told_from_other_trouble(world: World) -> None:
    url = world.server.url
    world.server.close()
    world.deps.http = requests.Session
    fails(world, "Unavailable", "127.0.0.1 cannot be reached (the connection was refused)")
    assert url.startswith("http://127.0.0.1")


def test_plain_http_to_another_machine_is_refused_before_a_key_is_sent(world: World) -> None:
    with pytest.raises(UsageError, match="must be reached by https"):
        world.add("network", "open", options={"base_url": "http://192.0.2.7"})


def test_a_redirect_is_not_followed_and_names_the_target(world: World) -> None:
    world.provider.answers[PATH] = lambda asked: Reply(b"", 301, {"Location": "https://elsewhere.example/x?token=1"})
    message = fails(world, "UnexpectedData", "redirects to elsewhere.example (301)", "as base_url")
    assert "token" not in message
    recovers(world)


# --- answers ---


def test_a_web_page_instead_of_data(world: World) -> None:
    page = Reply(b"<!doctype html><title>Log in</title>", headers={"Content-Type": "text/html"})
    good_then(world, lambda asked: page)
    fails(world, "UnexpectedData", "answered with a web page instead of data", "maintenance page")
    assert len(world.earnings()) == 3
    recovers(world)


def test_truncated_json(world: World) -> None:
    good_then(world, lambda asked: Reply(world.provider.page(asked)[:-40]))
    fails(world, "UnexpectedData", "truncated", "Nothing was lost")
    assert len(world.earnings()) == 3
    recovers(world)


def test_an_answer_that_breaks_off(world: World) -> None:
    good_then(world, lambda asked: Reply([b'{"rows": ['], headers={"Content-Length": "500"}))
    fails(world, "Unavailable", "the answer broke off")
    recovers(world)


def test_status_200_with_an_error_body(world: World) -> None:
    good_then(world, lambda asked: Reply.json({"error": "internal trouble"}))
    fails(world, "Unavailable", "The provider says: internal trouble")
    assert world.connection("network").paused_at is None
    recovers(world)


def test_status_200_with_a_key_refused_in_the_body_pauses(world: World) -> None:
    world.provider.answers[PATH] = lambda asked: Reply.json({"error": f"bad key {KEY}"})
    message = fails(world, "AuthRejected", "refused: bad key ***")
    assert KEY not in message
    assert world.connection("network").paused_at == START


def test_a_list_that_is_not_there(world: World) -> None:
    world.provider.answers[PATH] = lambda asked: Reply.json({"data": []})
    fails(world, "UnexpectedData", "no list at 'rows'")
    recovers(world)


def test_a_repeated_cursor_does_not_go_round_for_ever(world: World) -> None:
    world.deps.settings = world.deps.settings.model_copy(update={"pages_limit": 50})
    page = [earning("c0")]
    world.provider.answers[PATH] = lambda asked: Reply.json({"rows": page, "next": "c0"})
    fails(world, "UnexpectedData", "the same cursor twice")
    assert len(world.provider.asked) < 5
    recovers(world)


def test_an_endless_chain_of_pages_comes_to_an_end(world: World) -> None:
    world.deps.settings = world.deps.settings.model_copy(update={"pages_limit": 6})
    count = iter(range(1_000_000))
    world.provider.answers[PATH] = lambda asked: Reply.json({"rows": [], "next": str(next(count))})
    fails(world, "UnexpectedData", "more than 6 pages in one listing")
    assert next(count) == 6
    recovers(world)


def peak_of(action: Callable[[], object]) -> int:
    """The most memory, in bytes, that Python held during the action."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_page_of_200_mb_is_cut_off_without_filling_the_memory(world: World) -> None:
    world.deps.settings = world.deps.settings.model_copy(update={"page_bytes_limit": 4 * 1024 * 1024})
    sent = 0

    def huge() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield b" " * 1024 * 1024

    world.provider.answers[PATH] = lambda asked: Reply(huge())
    peak = peak_of(lambda: fails(world, "UnexpectedData", "larger than 4 MB"))
    assert peak < 16 * 1024 * 1024
    assert sent < 50
    recovers(world)


def test_a_gzip_bomb_is_cut_off_without_filling_the_memory(world: World) -> None:
    world.deps.settings = world.deps.settings.model_copy(update={"page_bytes_limit": 4 * 1024 * 1024})
    bomb = gzip.compress(gzip.compress(b" " * 200 * 1024 * 1024, 1), 1)
    assert len(bomb) < 1024 * 1024
    packed = gzip.decompress(bomb)
    world.provider.answers[PATH] = lambda asked: Reply(packed, headers={"Content-Encoding": "gzip"})
    assert peak_of(lambda: fails(world, "UnexpectedData", "larger than 4 MB")) < 24 * 1024 * 1024
    world.provider.answers[PATH] = lambda asked: Reply(b"no gzip", headers={"Content-Encoding": "gzip"})
    fails(world, "Unavailable", "badly compressed")
    recovers(world)


# --- provider trouble ---


def test_a_short_pause_is_waited_for(world: World) -> None:
    answers = iter([Reply.json({}, 429, Retry_After="7")])
    world.provider.answers[PATH] = lambda asked: next(answers, None) or world.provider.listing(asked)
    assert world.sync("network").outcome == "ok"
    assert world.slept == [7.0]
    assert len(world.earnings()) == 7


def test_a_long_pause_moves_the_next_sync(world: World) -> None:
    good_then(world, lambda asked: Reply.json({}, 429, Retry_After="1800"))
    fails(world, "RateLimited", "asked to slow down")
    assert world.slept == []
    wait = world.connection("network").next_sync_at - START
    assert timedelta(seconds=1800) <= wait <= timedelta(seconds=1980)
    assert len(world.earnings()) == 3
    recovers(world)


def test_errors_of_the_server_are_tried_again(world: World) -> None:
    answers = iter([Reply(b"", 500), Reply(b"<html>", 502), Reply.json({}, 503)])
    world.provider.answers[PATH] = lambda asked: next(answers, None) or world.provider.listing(asked)
    assert world.sync("network").outcome == "ok"
    assert world.slept == [0.5, 2.0, 8.0]


def test_the_pause_grows_with_every_failure_and_ends_with_the_trouble(world: World) -> None:
    world.provider.answers[PATH] = lambda asked: Reply(b"", 500)
    waits = []
    for turn in range(1, 12):
        report = world.sync("network")
        assert report.next_sync_at is not None
        waits.append((report.next_sync_at - world.now).total_seconds())
        assert world.connection("network").failures == turn
        world.now = report.next_sync_at
    for turn, wait in enumerate(waits):
        usual = min(60 * 2**turn, 6 * 3600)
        assert 0.8 * usual - 1 <= wait <= 1.2 * usual + 1
    recovers(world)
    assert (world.connection("network").failures, world.connection("network").last_error) == (0, None)


# --- rows ---


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"status": "enhanced"}, "status: unknown word 'enhanced'"),
        ({"currency": "EUX"}, "currency: unknown currency 'EUX'"),
        ({"net": "12,5O"}, "net: not an amount: '12,5O'"),
        ({"net": True}, "net: not an amount"),
        ({"at": "1970-01-01T00:00:00Z"}, "earned_at: time out of range: 1970"),
        ({"at": "2999-01-01T00:00:00Z"}, "earned_at: time out of range: 2999"),
        ({"at": "2026-06-30T00:00:00Z"}, "earned_at: lies in the future"),
        ({"at": "yesterday"}, "earned_at: not a time: 'yesterday'"),
        ({"id": None}, "id: 'id' is missing"),
        ({"id": ""}, "id: 'id' is missing"),
        ({"id": {"a": 1}}, "id: expected text"),
        ({"net": None}, "net: 'net' is missing"),
    ],
)
def test_a_row_that_cannot_be_understood_is_kept_and_shown(world: World, bad: dict[str, object], reason: str) -> None:
    world.provider.shelves[PATH]["c3"] |= bad
    report = world.sync("network")
    assert (report.outcome, report.quarantined, report.new) == ("partial", 1, 6)
    [(error, payload)] = world.ask("select error, payload from quarantine")
    assert reason in error
    assert msgspec.json.decode(payload)["kind"] == "commission"
    world.sync("network")
    assert world.ask("select count(*) from quarantine") == [(1,)]
    world.provider.shelves[PATH]["c3"] |= earning("c3") | {"updated": iso_z(START)}
    recovers(world)
    if bad.keys() != {"id"}:  # a row without an id cannot be known again
        assert world.ask("select * from quarantine") == []


@pytest.mark.parametrize(
    "raw", [b'"a string"', b"17", b"null", b'{"id": "\xff\xfe"}', b'{"id": "x", "net": 1E9999999999999999999}']
)
def test_a_row_that_is_no_object_or_no_text_stops_nobody_else(world: World, raw: bytes) -> None:
    good = msgspec.json.encode(earning("c0"))
    world.provider.answers[PATH] = lambda asked: Reply(b'{"rows": [' + raw + b"," + good + b'], "next": null}')
    report = world.sync("network")
    assert (report.outcome, report.new) == ("partial", 1)
    assert world.ask("select count(distinct fingerprint) from quarantine") == [(1,)]


def test_the_same_id_twice_in_one_answer_keeps_both_and_says_so(world: World) -> None:
    twice = [earning("c0", net="1"), earning("c0", net="2"), earning("c1"), earning("c1")]
    world.provider.answers[PATH] = lambda asked: Reply.json({"rows": twice, "next": None})
    for tries in (1, 2):
        report = world.sync("network", since=START - timedelta(days=3))
        assert (report.outcome, report.quarantined) == ("partial", 1)
        [(error, payload, counted)] = world.ask("select error, payload, tries from quarantine")
        assert "came twice in one answer" in error
        assert (msgspec.json.decode(payload)["net"], counted) == ("2", tries)
    assert int(world.earnings()["c0"].net) == 1


# --- secrets ---


def test_a_key_is_found_nowhere(
    world: World, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    world.provider.put(PATH, earning("c7", email="ann@people.example", customer="Ann@People.example"))
    world.sync("network")
    for reply in (
        Reply.json({"message": f"Bearer {KEY} is bad, {quote(KEY, safe='')}"}, 400),
        Reply.json({"message": KEY}, 403),
        Reply.json({"error": KEY}),
        Reply.json({"message": KEY}, 500),
        Reply.json({"message": KEY}, 401),
    ):
        world.provider.always(PATH, reply)
        report = world.sync("network")
        assert report.outcome == "failed"
        assert KEY not in repr(report)
    batches = b"".join(bytes(row) for (blob,) in world.ask("select rows from raw_batch") for row in unpack_batch(blob))
    world.engine.dispose()
    kept = batches + b"".join(file.read_bytes() for file in world.folder.parent.rglob("*") if file.is_file())
    printed = "".join(capfd.readouterr()) + caplog.text
    for secret in (KEY, quote(KEY, safe=""), "ann@people.example", "Ann@People.example"):
        assert secret.encode() not in kept
        assert secret not in printed
    assert world.deps.vault.pseudonym("payer", "ann@people.example").encode() in batches


def test_a_full_list_that_comes_back_empty_ends_nothing(world: World) -> None:
    world.add("club")
    for number in range(6):
        world.provider.put("/members", contract(f"m{number}"))
    world.sync("club")
    world.provider.shelves["/members"].clear()
    report = world.sync("club")
    assert (report.outcome, report.error) == ("failed", "UnexpectedData")
    assert "came back empty" in str(report.message)
    assert world.ask("select distinct status, ended_at from subscription") == [("active", None)]

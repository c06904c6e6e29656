"""Samples: a recorded exchange gives the same records, and keeps neither keys nor people."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.pretend import KEY, Provider, Reply, Server, earning, network
from tests.world import Unhurried
from tracker.connect.fetch import Client, Limits, post_form
from tracker.connect.plans import Leg
from tracker.connect.replay import MemoryTokens, RecordAdapter, Sample, load, replay
from tracker.connect.rows import csv_as_json
from tracker.connect.session import http_session

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def server(provider: Provider) -> Iterator[Server]:
    server = Server(provider.answer)
    yield server
    server.close()


def record(server: Server) -> Sample:
    """A sample of all commissions, recorded from the pretend provider."""
    resource = network.resource("commissions")
    adapter = RecordAdapter(resource, [(KEY, "sample-key")], server.url, "https://api.pretend.example")
    with http_session(allow_private=True) as http:
        http.mount("http://", adapter)
        client = Client(
            network, slug="s", credentials={"key": KEY}, options={"base_url": server.url}, tokens=MemoryTokens(NOW),
            http=http, pace=Unhurried(),
        )  # fmt: skip
        for leg in resource.plan.legs({}, _when(), None, lambda leg: iter(())):  # type: ignore[arg-type]
            list(client.pages(resource, leg))
    options = {"base_url": "https://api.pretend.example"}
    return Sample(
        source="recorded", resource="commissions", now=NOW, since=datetime(2026, 6, 1, tzinfo=UTC), options=options,
        exchanges=adapter.exchanges, credentials={"key": "x"},
    )  # fmt: skip


def _when() -> Any:
    from tracker.connect.plans import When

    return When(now=NOW, since=datetime(2026, 6, 1, tzinfo=UTC))


def test_what_was_recorded_is_replayed_to_the_same_records(server: Server, provider: Provider) -> None:
    for number in range(7):
        provider.put("/commissions", earning(f"c{number}", net="1.10"))
    provider.put("/commissions", earning("bad", status="odd"))
    sample = load(msgspec.json.encode(record(server)))
    lines = [msgspec.json.decode(line) for line in replay(network, sample)]
    assert [line["Earning"]["external_id"] for line in lines if "Earning" in line] == [f"c{n}" for n in range(7)]
    assert [line["Earning"]["net"] for line in lines if "Earning" in line] == ["1.10"] * 7
    assert [line["quarantine"] for line in lines if "quarantine" in line] == ["bad"]
    assert not [line for line in lines if "never asked for" in line]


def test_a_recording_holds_neither_keys_nor_people(server: Server, provider: Provider) -> None:
    provider.put("/commissions", earning("c1", email="ann@people.example", customer="Ann", program=f"echo {KEY}"))
    text = msgspec.json.encode(record(server)).decode()
    assert "ann@" not in text
    assert "Ann" not in text
    assert KEY not in text
    assert "echo sample-key" in text


def test_a_token_that_is_handed_out_is_not_recorded(server: Server, provider: Provider) -> None:
    provider.always("/token", Reply.json({"access_token": "acc-4711", "expires_in": 600}))
    key = {"Authorization": f"Bearer {KEY}"}
    adapter = RecordAdapter(network.resource("commissions"), [("a secret/+", "sample-secret")], server.url, server.url)
    with http_session(allow_private=True) as http:
        http.mount("http://", adapter)
        post_form(http, Limits(), f"{server.url}/token", {"client_secret": "a secret/+"}, key)
        http.get(f"{server.url}/commissions?access_token=acc-4711", headers=key, timeout=5)
    text = msgspec.json.encode(adapter.exchanges).decode()
    assert "acc-4711" not in text
    assert "secret%2F" not in text
    assert text.count("sample-access_token") == 2


def test_people_are_found_in_an_answer_that_is_converted(server: Server, provider: Provider) -> None:
    provider.always("/commissions", Reply(b"id,email\r\nc1,Ann at home\r\n"))
    table = msgspec.structs.replace(network.resource("commissions"), rows="", convert=csv_as_json, drop=("email",))
    adapter = RecordAdapter(table, [], server.url, server.url)
    with http_session(allow_private=True) as http:
        http.mount("http://", adapter)
        http.get(f"{server.url}/commissions", headers={"Authorization": f"Bearer {KEY}"}, timeout=5)
    assert bytes(adapter.exchanges[0].answer.body) == b'[{"id":"c1"}]'


def test_a_request_that_was_not_recorded_fails(server: Server, provider: Provider) -> None:
    provider.put("/commissions", earning("c1"))
    sample = record(server)
    del sample.exchanges[-1]
    with pytest.raises(AssertionError, match="not in the sample"):
        list(replay(network, sample))


def test_an_error_answer_is_the_last_line_but_one(server: Server, provider: Provider) -> None:
    provider.key = "another"
    with pytest.raises(Exception, match="refused the credentials"):
        record(server)
    assert Leg(key="all").params == {}

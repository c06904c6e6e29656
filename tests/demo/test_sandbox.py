"""The sandbox itself: one clock, one seed, and trouble on demand."""

import gzip
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from urllib3.exceptions import ProtocolError

from tests.demo.conftest import NOW, Get
from tracker.demo.faults import Fault, Trouble
from tracker.demo.networks import PLAYED
from tracker.demo.server import Sandbox
from tracker.errors import UsageError


def everything(sandbox: Sandbox, http: requests.Session) -> list[bytes]:
    """One large answer of each provider, byte for byte."""
    awin, cj, woo = (sandbox.credentials(name) for name in ("awin", "cj", "woocommerce"))
    key = sandbox.credentials("stripe")["api_key"]
    publisher = f"{sandbox.url('awin')}/publishers/{awin['publisher_id']}"
    query = (
        f'{{ publisherCommissions(forPublishers: ["{cj["publisher_cid"]}"]) {{ count records {{ commissionId }} }} }}'
    )
    window = "startDate=2026-05-15T12:00:00&endDate=2026-06-15T12:00:00"
    answers = [
        http.get(
            f"{publisher}/transactions/?{window}", headers={"Authorization": "Bearer " + awin["token"]}, timeout=10
        ),
        http.post(
            f"{sandbox.url('cj')}/query",
            json={"query": query},
            headers={"Authorization": "Bearer " + cj["personal_access_token"]},
            timeout=10,
        ),
        http.get(
            f"{sandbox.url('stripe')}/v1/balance_transactions?limit=100&expand[]=data.source",
            headers={"Authorization": f"Bearer {key}"},
            timeout=10,
        ),
        http.get(
            f"{sandbox.url('woocommerce')}/wp-json/wc/v3/orders?per_page=100",
            auth=(woo["consumer_key"], woo["consumer_secret"]),
            timeout=10,
        ),
    ]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.content for answer in answers]


def test_equal_seed_and_now_give_equal_bytes(http: requests.Session) -> None:
    with Sandbox(now=NOW, seed=7) as first:
        told = everything(first, http)
    with Sandbox(now=NOW, seed=7) as second:
        assert everything(second, http) == told
    with Sandbox(now=NOW, seed=8) as other:
        assert everything(other, http) != told


def test_the_same_start_tells_the_same_rows_in_a_later_month() -> None:
    start = datetime(2024, 6, 1, tzinfo=NOW.tzinfo)
    later = NOW + timedelta(days=40)
    with Sandbox(now=NOW, start=start) as june, Sandbox(now=later, start=start) as july:
        for told in (
            lambda story: {sale.id: (sale.sale, sale.paid) for sale in story.sales if sale.occurred <= later},
            lambda story: {action.id: action.commission for action in story.actions if action.posted <= later},
            lambda story: {payment.id: payment.amount for payment in story.payments if payment.created <= later},
            lambda story: {order.id: order.total for order in story.orders if order.created <= later},
            lambda story: {row.id: row.net for row in story.movements if row.created <= NOW},
            lambda story: {member.id: member.person.email for member in story.members if member.joined <= later},
        ):
            apart = set(told(june.history).items()) ^ set(told(july.history).items())
            assert not list(apart)[:5]


def test_the_clock_stays_inside_the_history(sandbox: Sandbox) -> None:
    sandbox.now = NOW + timedelta(days=100)
    with pytest.raises(UsageError, match="no history"):
        sandbox.now = NOW + timedelta(days=200)
    with pytest.raises(UsageError, match="time zone"):
        Sandbox(now=datetime(2026, 6, 15))  # noqa: DTZ001 - the mistake itself


def test_nothing_is_answered_before_the_start_and_after_the_end(http: requests.Session) -> None:
    sandbox = Sandbox(now=NOW)
    with pytest.raises(UsageError, match="does not listen"):
        sandbox.url("awin")
    with sandbox:
        url = sandbox.url("awin") + "/accounts"
        assert http.get(url, timeout=10).status_code == 401
        with pytest.raises(UsageError, match="no provider"):
            sandbox.url("paypal")
    with pytest.raises(requests.ConnectionError):  # the kept connection ends as well
        http.get(url, timeout=10)


def test_the_log_tells_what_was_asked_and_no_secret(sandbox: Sandbox, woo: Get, http: requests.Session) -> None:
    woo("orders", per_page=1)
    keys = sandbox.credentials("woocommerce")
    http.get(f"{sandbox.url('woocommerce')}/wp-json/wc/v3/orders", params={"per_page": "2"} | keys, timeout=10)
    first, second = sandbox.requests
    assert (first.provider, first.method, first.path, first.query) == (
        "woocommerce",
        "GET",
        "/wp-json/wc/v3/orders",
        "per_page=1",
    )
    assert second.status == 200
    assert second.query == "per_page=2&consumer_key=***&consumer_secret=***"
    sandbox.forget_requests()
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (Trouble.SERVER_ERROR, 500),
        (Trouble.UNAVAILABLE, 503),
        (Trouble.RATE_LIMITED, 429),
        (Trouble.FORBIDDEN, 403),
        (Trouble.HTML, 200),
        (Trouble.TRUNCATED, 200),
        (Trouble.ERROR_BODY, 200),
    ],
)
@pytest.mark.parametrize("name", ["awin", "cj", "stripe", "woocommerce", "ghost"])
def test_trouble_strikes_the_next_answers_and_then_no_more(
    sandbox: Sandbox, http: requests.Session, name: str, trouble: Trouble, status: int
) -> None:
    sandbox.fail(name, trouble, times=2, skip=1, retry_after_s=17)
    seen = [http.get(f"{sandbox.url(name)}/somewhere", timeout=10) for _ in range(4)]
    assert [answer.status_code for answer in seen[1:3]] == [status] * 2
    assert seen[0].content == seen[3].content
    assert all(answer.content != seen[0].content for answer in seen[1:3])
    assert all(answer.headers["Retry-After"] == "17" for answer in seen[1:3])


def test_a_fault_strikes_only_its_path(sandbox: Sandbox, stripe: Get) -> None:
    sandbox.fail("stripe", Trouble.SERVER_ERROR, path="/payouts", times=None)
    assert stripe("charges").status_code == 200
    assert stripe("payouts").status_code == stripe("payouts").status_code == 500
    sandbox.heal()
    assert stripe("payouts").status_code == 200


def test_an_own_body_can_be_put_in_the_place_of_an_answer(http: requests.Session) -> None:
    fault = Fault("ghost", Trouble.BODY, body=b'{"members": [{"id": 1, "status": "elsewhere"}]}')
    with Sandbox(now=NOW, faults=[fault]) as sandbox:
        assert http.get(sandbox.url("ghost") + "/ghost/api/admin/members/", timeout=10).json()["members"][0]["id"] == 1


def test_a_connection_can_break_in_the_middle(sandbox: Sandbox, stripe: Get) -> None:
    sandbox.fail("stripe", Trouble.RESET)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError, ProtocolError)):
        stripe("charges")
    assert stripe("charges").status_code == 200


def test_a_slow_answer_is_the_right_answer_late(sandbox: Sandbox, stripe: Get) -> None:
    sandbox.fail("stripe", Trouble.SLOW, delay_s=0.3)
    answer = stripe("charges")
    assert answer.elapsed >= timedelta(seconds=0.3)
    assert answer.json()["data"]


def test_a_huge_answer_is_streamed_without_a_length(sandbox: Sandbox, http: requests.Session) -> None:
    sandbox.fail("awin", Trouble.HUGE, size_bytes=20_000_000)
    with http.get(sandbox.url("awin") + "/accounts", stream=True, timeout=10) as answer:
        assert "Content-Length" not in answer.headers
        assert sum(len(piece) for piece in answer.iter_content(1 << 16)) > 19_000_000


def test_a_reader_may_leave_a_huge_answer_early(sandbox: Sandbox, http: requests.Session) -> None:
    sandbox.fail("awin", Trouble.HUGE)
    with http.get(sandbox.url("awin") + "/accounts", stream=True, timeout=10) as answer:
        assert next(answer.iter_content(1024))
    assert http.get(sandbox.url("awin") + "/accounts", timeout=10).status_code == 401


def test_a_gzip_bomb_is_small_on_the_wire(sandbox: Sandbox, http: requests.Session) -> None:
    sandbox.fail("awin", Trouble.GZIP_BOMB, size_bytes=30_000_000)
    with http.get(sandbox.url("awin") + "/accounts", stream=True, timeout=10) as answer:
        packed = answer.raw.read(decode_content=False)
    assert len(packed) < 300_000
    assert len(gzip.decompress(packed)) > 29_000_000


def test_awin_has_no_pages_to_repeat(sandbox: Sandbox) -> None:
    with pytest.raises(UsageError, match="no pages"):
        sandbox.fail("awin", Trouble.ENDLESS)


@pytest.mark.parametrize(("trouble", "moves"), [(Trouble.REPEATED_CURSOR, False), (Trouble.ENDLESS, True)])
def test_pages_can_go_on_for_ever(
    sandbox: Sandbox,
    stripe: Get,
    woo: Get,
    ghost: Get,
    cj: Callable[..., dict[str, Any]],
    trouble: Trouble,
    moves: bool,
) -> None:
    for name in ("stripe", "woocommerce", "ghost", "cj"):
        sandbox.fail(name, trouble, times=None)
    cursors: dict[str, list[Any]] = {"stripe": [], "woocommerce": [], "ghost": [], "cj": []}
    page, token, link = 1, "0", "orders"
    for _ in range(3):
        after = [("starting_after", cursors["stripe"][-1])] if cursors["stripe"] else []
        body = stripe("charges", after).json()
        assert body["has_more"]
        cursors["stripe"].append(body["data"][-1]["id"])
        link = woo(link).links["next"]["url"]
        cursors["woocommerce"].append(link)
        page = ghost("members/", page=page).json()["meta"]["pagination"]["next"]
        cursors["ghost"].append(page)
        found = cj(f'sinceCommissionId: "{token}"', "count payloadComplete maxCommissionId")["data"][
            "publisherCommissions"
        ]
        assert not found["payloadComplete"]
        token = found["maxCommissionId"]
        cursors["cj"].append(token)
    assert {name: len(set(seen)) == 3 for name, seen in cursors.items()} == dict.fromkeys(cursors, moves)


def test_the_networks_beside_the_story_are_played_and_not_told(sandbox: Sandbox) -> None:
    assert sandbox.providers == ("awin", "cj", "stripe", "woocommerce", "ghost")
    for name in PLAYED:
        assert sandbox.url(name).endswith(f"/{name}")
        assert sandbox.credentials(name).keys() == PLAYED[name].keys("0" * 96).keys()

"""Ghost in the sandbox keeps Ghost's rules, and its members are the subscribers at Stripe."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
import requests

from tests.demo.conftest import NOW, Get
from tracker.demo.server import Sandbox


def everyone(ghost: Get, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    page: int | None = 1
    while page and page < 100:
        body = ghost("members/", limit=100, page=page, **params).json()
        rows += body["members"]
        page = body["meta"]["pagination"]["next"]
    return rows


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ({"seconds": 301}, "INVALID_JWT"),
        ({"issued": 1_000_000_000}, "INVALID_JWT"),
        ({"issued": 9_000_000_000}, "INVALID_JWT"),
        ({"audience": "/v2/admin/"}, "INVALID_JWT"),
        ({"kid": "somebody-else"}, "UNKNOWN_ADMIN_API_KEY"),
        ({"raw": True}, "INVALID_JWT"),
    ],
)
def test_a_token_is_checked_for_real(
    ghost: Get, ghost_token: Callable[..., str], spoilt: dict[str, Any], code: str
) -> None:
    answer = ghost("members/", token=ghost_token(**spoilt))
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["code"] == code
    assert answer.json()["errors"][0]["type"] == "UnauthorizedError"


def test_without_a_token_nothing_but_the_site_is_shown(sandbox: Sandbox, http: requests.Session) -> None:
    base = sandbox.url("ghost") + "/ghost/api/admin/"
    refused = http.get(base + "members/", timeout=10)
    assert refused.status_code == 403
    assert refused.json()["errors"][0]["type"] == "NoPermissionError"
    assert http.get(base + "site/", timeout=10).json()["site"]["title"]


def test_a_token_is_good_by_the_machines_clock_as_well(http: requests.Session) -> None:
    with Sandbox(now=NOW, unix_time=lambda: 2_000_000_000.0) as sandbox:
        kid, _, secret = sandbox.credentials("ghost")["admin_api_key"].partition(":")
        claims = {"iat": 2_000_000_000, "exp": 2_000_000_300, "aud": "/admin/"}
        token = jwt.encode(claims, bytes.fromhex(secret), algorithm="HS256", headers={"kid": kid})
        url = sandbox.url("ghost") + "/ghost/api/admin/members/"
        assert http.get(url, headers={"Authorization": f"Ghost {token}"}, timeout=10).status_code == 200
        assert http.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code == 401


def test_members_are_paged_by_at_most_a_hundred(ghost: Get) -> None:
    body = ghost("members/", limit="all").json()
    assert len(body["members"]) == body["meta"]["pagination"]["limit"] == 100
    assert ghost("members/").json()["meta"]["pagination"]["limit"] == 15
    members = everyone(ghost)
    assert len(members) == len({member["id"] for member in members}) == body["meta"]["pagination"]["total"]
    assert ghost("members/", page="two").status_code == 422
    assert ghost("members/", order="email asc").status_code == 400


def test_members_can_be_filtered_and_ordered(ghost: Get) -> None:
    members = everyone(ghost)
    assert {member["status"] for member in members} == {"free", "paid", "comped"}
    paid = everyone(ghost, filter="status:paid", order="updated_at desc")
    assert {member["id"] for member in paid} == {member["id"] for member in members if member["status"] == "paid"}
    assert [member["updated_at"] for member in paid] == sorted((member["updated_at"] for member in paid), reverse=True)
    recent = everyone(ghost, filter="updated_at:>'2026-06-01'+status:-free")
    assert recent
    assert all(member["updated_at"] > "2026-06-01" and member["status"] != "free" for member in recent)
    assert ghost("members/", filter="nonsense").status_code == 400


def test_a_paying_member_is_a_subscription_at_stripe(ghost: Get, all_of: Callable[..., list[dict[str, Any]]]) -> None:
    contracts = {contract["id"]: contract for contract in all_of("subscriptions", ("status", "all"))}
    seen = 0
    for member in everyone(ghost):
        for held in member["subscriptions"]:
            if not held["id"]:
                assert held["price"]["nickname"] == "Complimentary"
                continue
            seen += 1
            contract = contracts[held["id"]]
            price = contract["items"]["data"][0]["price"]
            assert held["status"] == contract["status"]
            assert held["customer"]["id"] == contract["customer"]
            assert (held["price"]["price_id"], held["price"]["amount"]) == (price["id"], price["unit_amount"])
            assert held["cancel_at_period_end"] == contract["cancel_at_period_end"]
    assert seen > 250


def test_mrr_follows_ghosts_own_rule(ghost: Get) -> None:
    sums = {"eur": 0, "usd": 0}
    for member in everyone(ghost):
        for held in member["subscriptions"]:
            if held["id"] and held["status"] != "canceled" and not held["cancel_at_period_end"]:
                price = held["price"]
                amount = price["amount"] // 12 if price["interval"] == "year" else price["amount"]
                sums[price["currency"].lower()] += amount
    body = ghost("members/stats/mrr/").json()
    assert {row["currency"]: row["mrr"] for row in body["meta"]["totals"]} == sums
    assert len({row["date"] for row in body["stats"]}) == 90


def test_a_member_leaves_when_the_clock_moves_on(ghost: Get, sandbox: Sandbox) -> None:
    before = {member["id"]: member["status"] for member in everyone(ghost)}
    sandbox.now = NOW + timedelta(days=40)
    after = {member["id"]: member for member in everyone(ghost)}
    left = [
        after[number] for number, status in before.items() if status == "paid" and after[number]["status"] == "free"
    ]
    assert left
    assert all(member["subscriptions"][0]["status"] == "canceled" for member in left)
    assert len(after) > len(before)

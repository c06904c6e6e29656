"""CJ in the sandbox keeps CJ's rules."""

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests

from tests.demo.conftest import NOW
from tracker.demo.server import Sandbox

Ask = Callable[..., dict[str, Any]]
ENVELOPE = "count limit payloadComplete maxCommissionId"
RECORD = (
    "commissionId original originalActionId actionStatus actionType advertiserId advertiserName postingDate eventDate "
    "lockingDate lockingMethod validationStatus saleAmountPubCurrency pubCommissionAmountPubCurrency shopperId "
    "correctionReason"
)
SINCE = 'sincePostingDate: "2024-01-01T00:00:00Z" beforePostingDate: "2027-01-01T00:00:00Z"'


def page(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer["data"]["publisherCommissions"]
    return found


def everything(cj: Ask, arguments: str = SINCE) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    last = "0"
    for _ in range(30):
        found = page(cj(f'{arguments} sinceCommissionId: "{last}"', f"{ENVELOPE} records {{ {RECORD} }}"))
        assert found["count"] == len(found["records"]) <= found["limit"] == 250
        rows += found["records"]
        if found["payloadComplete"]:
            return rows
        assert found["maxCommissionId"] > last
        last = found["maxCommissionId"]
    raise AssertionError("the pages do not end")


def test_a_wrong_token_is_http_200_with_errors(cj: Ask) -> None:
    answer = cj(SINCE, ENVELOPE, token="nonsense")
    assert answer["data"] is None
    assert "Authentication" in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("arguments", "fields", "message"),
    [
        (SINCE, "count records { currency }", "Field 'currency' in type 'PublisherCommission' is undefined"),
        (SINCE, "count total", "Field 'total'"),
        (SINCE + ' page: "2"', ENVELOPE, "Unknown field argument page"),
        ('sincePostingDate: "2026-01-01"', ENVELOPE, "sincePostingDate must be"),
        ("sinceCommissionId: 12", ENVELOPE, "sinceCommissionId"),
        (SINCE, "records", "Sub selection required"),
        (SINCE, "count }", "Invalid syntax"),
        (SINCE + ' forPublishers: ["1"]', ENVELOPE, "Not authorized"),
    ],
)
def test_a_broken_rule_is_an_error_in_the_answer(cj: Ask, arguments: str, fields: str, message: str) -> None:
    assert message in cj(arguments, fields)["errors"][0]["message"]


def test_the_query_is_accepted_as_text_and_as_json(sandbox: Sandbox, http: requests.Session) -> None:
    keys = sandbox.credentials("cj")
    headers = {"Authorization": "Bearer " + keys["personal_access_token"]}
    text = f'query Own {{ publisherCommissions(forPublishers: ["{keys["publisher_cid"]}"]) {{ {ENVELOPE} }} }}'
    with_variables = text.replace("Own", "Own($cid: [String!]!)").replace(f'["{keys["publisher_cid"]}"]', "$cid")
    url = sandbox.url("cj") + "/query"
    answers = [
        http.post(url, data=text, headers=headers, timeout=10),
        http.post(url, json={"query": text}, headers=headers, timeout=10),
        http.post(
            url,
            json={"query": with_variables, "variables": {"cid": [keys["publisher_cid"]]}},
            headers=headers,
            timeout=10,
        ),
    ]
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["data"]["publisherCommissions"]["count"] == 250


def test_only_what_is_selected_is_answered(cj: Ask) -> None:
    found = page(cj(SINCE, "count records { commissionId items { sku } }"))
    assert set(found) == {"count", "records"}
    assert set(found["records"][0]) == {"commissionId", "items"}
    assert set(found["records"][0]["items"][0]) == {"sku"}


def test_pages_advance_by_the_highest_id_and_hold_each_row_once(cj: Ask) -> None:
    rows = everything(cj)
    assert len({row["commissionId"] for row in rows}) == len(rows) > 24 * 30
    assert [row["postingDate"] for row in rows] == sorted(row["postingDate"] for row in rows)


def test_corrections_are_new_signed_rows(cj: Ask) -> None:
    rows = everything(cj)
    by_action: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_action[row["originalActionId"]].append(row)
    corrected = [group for group in by_action.values() if len(group) > 1]
    sums = [sum(Decimal(row["pubCommissionAmountPubCurrency"]) for row in group) for group in corrected]
    assert 0 in sums  # declined
    assert any(total > 0 for total in sums)  # restated
    assert all(total >= 0 for total in sums)
    for group in corrected:
        first, *later = sorted(group, key=lambda row: int(row["commissionId"]))
        assert first["original"]
        assert first["correctionReason"] is None
        assert not any(row["original"] for row in later)
        assert all(row["correctionReason"] and row["postingDate"] < row["lockingDate"] for row in later)


def test_all_states_occur_and_a_zero_sum_open_order_is_declined(cj: Ask) -> None:
    rows = everything(cj)
    assert {row["actionStatus"] for row in rows} == {"new", "extended", "locked", "closed"}
    assert {row["validationStatus"] for row in rows} == {"AUTOMATED", "PENDING", "ACCEPTED", "DECLINED"}
    assert any(Decimal(row["pubCommissionAmountPubCurrency"]) % Decimal("0.01") for row in rows)


def test_since_is_inclusive_and_before_is_exclusive(cj: Ask) -> None:
    at = everything(cj)[100]["postingDate"]
    ids = {row["postingDate"] for row in everything(cj, f'sincePostingDate: "{at}"')}
    assert at in ids
    assert at not in {row["postingDate"] for row in everything(cj, f'beforePostingDate: "{at}"')}


def test_a_locking_window_and_ids_find_what_changed_without_a_new_row(cj: Ask, sandbox: Sandbox) -> None:
    before = {row["commissionId"]: row for row in everything(cj)}
    sandbox.now = NOW + timedelta(days=40)
    window = 'sinceLockingDate: "2026-06-15T12:00:00Z" beforeLockingDate: "2026-07-26T00:00:00Z"'
    locked = [row for row in everything(cj, window) if row["commissionId"] in before]
    assert {before[row["commissionId"]]["actionStatus"] for row in locked} <= {"new", "extended"}
    assert {row["actionStatus"] for row in locked} & {"locked", "closed"}
    wanted = ", ".join(f'"{row["commissionId"]}"' for row in locked[:10])
    again = page(cj(f"commissionIds: [{wanted}]", f"count records {{ {RECORD} }}"))
    assert again["records"] == sorted(locked[:10], key=lambda row: int(row["commissionId"]))


def test_an_extended_row_moves_its_locking_date(cj: Ask, sandbox: Sandbox) -> None:
    open_rows = {row["commissionId"]: row for row in everything(cj) if row["actionStatus"] == "new"}
    sandbox.now = NOW + timedelta(days=25)
    moved = [row for row in everything(cj) if row["commissionId"] in open_rows and row["actionStatus"] == "extended"]
    assert moved
    assert all(row["lockingDate"] > open_rows[row["commissionId"]]["lockingDate"] for row in moved)

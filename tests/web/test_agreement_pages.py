"""Whatever figure leads to earnings, these add up to it: every such link of the pages is followed."""

import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.recount import COLUMNS, Book, filled, verdict
from tests.rows import Ledger
from tests.web.api_story import program
from tests.world import World
from tracker import accounts, reports, tokens
from tracker.filters import Filter
from tracker.revalue import revalue
from tracker.search import every

LINK = re.compile(r'<a[^>]* href="(/earnings\?[^"]*)"[^>]*>(.*?)</a>(.*?)(?=</tr>|<a |</li>|</p>)', re.DOTALL)
AMOUNT = re.compile(r"[-−]?(?:(?:[A-Z]{3}|[€$¥])\s?\d[\d,]*(?:\.\d+)?|\d[\d,]*\.\d+)")


@pytest.fixture
def ledger(world: World, database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(database_url, tmp_path, currency="EUR") as ledger:
        filled(ledger, 2)
        revalue(ledger.engine, ledger.settings)
        yield ledger


def told(text: str) -> list[Decimal]:
    """The amounts in a piece of a page; a dash is nothing."""
    if text == "–":
        return [Decimal(0)]
    plain = unescape(re.sub(r"<[^>]+>", " ", text)).replace("−", "-").replace("\xa0", " ")
    return [Decimal(re.sub(r"[^\d.-]", "", found)) for found in AMOUNT.findall(plain)]


def behind(ledger: Ledger, address: str) -> list[dict[str, Any]]:
    given = dict(parse_qsl(urlsplit(unescape(address)).query, keep_blank_values=True))
    return list(every(ledger.engine, ledger.settings, Filter.parse(given)))


def links(page: httpx.Response) -> list[tuple[str, str, str]]:
    assert page.status_code == 200
    return LINK.findall(page.text)


def worth(rows: list[dict[str, Any]]) -> Decimal:
    return sum((row["reporting_net"] or Decimal(0) for row in rows), Decimal(0)).quantize(Decimal("0.01"))


@pytest.mark.parametrize("basis", ["earned", "approved", "paid"])
def test_figures_of_the_overview_are_the_sums_of_their_earnings(
    inside: httpx.Client, ledger: Ledger, basis: str
) -> None:
    followed = 0
    for period in ("", "period=12-months", "from=2026-03&to=2026-05"):
        page = inside.get(f"/?basis={basis}&{period}")
        for address, inner, after in links(page):
            amounts = told(inner) or told(after)[-1:]  # of a row whose month is the link, the total
            rows = behind(ledger, address)
            if amounts:
                followed += 1
                assert amounts[0] == worth(rows), (address, inner)
    assert followed > 15


def test_figures_of_the_streams_are_the_sums_of_their_earnings(inside: httpx.Client, ledger: Ledger) -> None:
    addresses = ["/streams", *(f"/streams/{slug}" for slug in ("s1", "s4", "s4?months=24"))]
    followed: set[str] = set()
    for address in addresses:
        for link, inner, after in links(inside.get(address)):
            if inner == "Show them":  # see below: what follows it is not in its sum
                continue
            amounts = told(inner) or told(after)[-1:]
            if inner.isdecimal():  # how many have a value
                assert int(inner) == sum(row["reporting_net"] is not None for row in behind(ledger, link))
            elif amounts:
                followed.add(link)
                assert amounts[0] == worth(behind(ledger, link)), (address, link, inner)
    for part in ('program=%3D"', "program=%3Dp%2A", 'product=%3D"', "product=%3Dbook%2A", "month=2026-05"):
        assert any(part in f'{link.replace("&amp;", "&")}"&' for link in followed), part


def test_what_waits_in_a_stream_is_the_sum_of_what_it_leads_to(inside: httpx.Client, ledger: Ledger) -> None:
    page = inside.get("/streams/s1")
    found = re.search(r"<p>([^<]*) more waits for approval, in (\d+) earnings?\. <a href=\"([^\"]+)\"", page.text)
    assert found
    rows = behind(ledger, found[3])
    assert (told(found[1]), int(found[2])) == ([worth(rows)], len(rows))


def test_what_is_owed_is_the_sum_of_its_earnings(inside: httpx.Client, ledger: Ledger) -> None:
    found = links(inside.get("/payouts"))
    assert len(found) > 12
    for link, inner, _ in found:
        rows = behind(ledger, link)
        assert len({row["currency"] for row in rows}) == 1
        (amount,) = told(inner)
        assert amount == sum(row["net"] for row in rows).quantize(amount), (link, inner)


def test_the_api_tells_what_is_counted_by_hand(served: str, ledger: Ledger, world: World) -> None:
    accounts.add_owner(world.engine, "owner", "a long password", world.now)
    book = Book.of(ledger.engine, ledger.settings.zone, "EUR")
    ledger.subscription("stripe", "sub", "9.00", "2026-05-01")
    with program(served, tokens.make_for_owner(world.engine, "reads", "read", world.now)) as api:
        for basis in ("earned", "approved", "paid"):
            lines, _ = book.income(202506, 202608, "connection", basis)
            asked = {"from": "2025-06", "to": "2026-08", "by": "connection", "basis": basis}
            told = api.get("/income", params=asked).json()["rows"]
            assert {(row["month"], row["group"]): [Decimal(row[name]) for name in COLUMNS] for row in told} == {
                (f"{month // 100}-{month % 100:02}", group): list(line.amounts.values())
                for (month, group), line in lines.items()
            }
        sums = api.get("/earnings", params={"counted": "pending", "totals": "true"}).json()["totals"]["sums"]
        pending = [row for row in book.rows if verdict(row) == "pending"]
        assert {one["currency"]: Decimal(one["net"]) for one in sums} == {
            code: sum(row.net for row in pending if row.currency == code) for code in {row.currency for row in pending}
        }
        ids, cursor = [], None
        while True:
            page = api.get("/payouts", params={"limit": 7} | ({"cursor": cursor} if cursor else {})).json()
            ids += [row["external_id"] for row in page["rows"]]
            if (cursor := page["next"]) is None:
                break
        assert ids == [one.external_id for one in reports.payouts(ledger.engine, ledger.settings)]
        told = api.get("/mrr").json()
        recurring = reports.recurring(ledger.engine, ledger.settings, world.now)
        assert (told["mrr"], told["customers"]) == ("9.00", 1)
        assert recurring.balance.total == 9

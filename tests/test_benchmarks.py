"""The benchmarks measure the real thing: what they load is complete and exact, and what changed is in the history."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks import floor, lists, pages, search
from benchmarks.asking import CONNECTIONS, Asker
from benchmarks.measured import asked, provider
from benchmarks.synced import add_all, check, check_changes, opened, sync_all
from tests.rows import Ledger
from tracker import overview, reports
from tracker.web.app import make_app


def test_every_row_of_the_pretend_providers_arrives_once_and_changes_are_noted(tmp_path: Path) -> None:
    with provider(1_000) as url:
        first = opened(tmp_path, None)
        add_all(first, url)
        reports = sync_all(first, again=False)
        check(first, asked(url, "truth"), [report.outcome for report in reports])
        assert sum(report.new for report in reports) == 1_000
        first.engine.dispose()
        for hours, phase in enumerate(("first", "spread"), start=1):
            asked(url, f"phase/{phase}")
            deps = opened(tmp_path, None, hours=hours)
            reports = sync_all(deps, again=True)
            check(deps, asked(url, "truth"), [report.outcome for report in reports])
            check_changes(deps, reports)
            assert (sum(report.changed for report in reports) > 0) == (phase != "first")
            deps.engine.dispose()


def test_the_floor_reads_the_same_money(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with provider(1_000) as url:
        floor.main(url, str(tmp_path / "floor.db"))
        found = json.loads(capsys.readouterr().out)
        truth = asked(url, "truth")
    sums: dict[str, dict[str, int]] = {}
    for account, currency, net in found["net"]:
        sums.setdefault(account, {})[currency] = net
    assert found["rows"] == 1_000
    assert sums == {name: one["net"] for name, one in truth.items()}


def test_the_lists_that_are_measured_hold_the_payouts_of_the_ledger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'tracker.db'}", tmp_path) as ledger:
        search.fill(ledger, 1_200)
        lists.add(ledger, search.NETWORKS, search.SHOPS, search.START, search.DAYS, 60)
        lists.measure(ledger, search.START + timedelta(days=search.DAYS - 15), lambda call: (0.0, call()))
        paid = [row for row in reports.payouts(ledger.engine, ledger.settings) if row.earnings]
        assert len(paid) > 12 * 12
        assert {row.difference for row in paid} == {0}
        assert {row.estimated for row in paid} == {True, False}
    assert "MRR of 60 subscriptions" in capsys.readouterr().out


def test_the_page_that_is_measured_is_the_overview_with_the_sums_of_the_ledger(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'tracker.db'}", tmp_path) as ledger:
        deps = pages.made(ledger, 2_000)
        told = overview.overview(deps.engine, deps.settings, pages.NOW)
        assert told.total.earnings >= 10
        with pages.served(deps, make_app(deps)) as address:
            cookie = pages.logged_in(address)
            with Asker(address, cookie) as one:
                assert f"{told.total.total.amount:,.2f}" in one.get("/")[1].decode()
            for path in pages.ALSO.values():
                assert len(pages.cold(deps, address, cookie, path, 2)) == 2
            with pages.written_to(deps):
                assert len(pages.loaded(address, "/", cookie, CONNECTIONS)) == CONNECTIONS
            assert 10 < pages.weigh(address, cookie, "/") < pages.WEIGHT_KB
        with pages.served(deps, pages.bare(deps)) as address, Asker(address, "") as one:
            assert b"C0" in one.get("/")[1]

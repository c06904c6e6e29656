"""The ledger after any story: changes, kills and resumes end where one undisturbed sync would."""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from tests.pretend import Provider, Reply, contract, earning
from tests.services import fresh_database
from tests.world import World, same_sums
from tracker.connect.plans import iso_z

SLUGS = ("bank", "club", "network")
#: What the provider alone decides. `paid_at` of a network and the trace of a withdrawal depend on when it was seen.
FACTS = ("earning", "subscription", "payout", "payout_item", "invoice", "monthly_income")


class Story(RuleBasedStateMachine):
    """Three providers go on living while they are read, not read, or read by a process that dies."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.world = self.open_world(Path(self.folder.name))
        self.provider: Provider = self.world.provider
        self.count = 0
        for slug in SLUGS:
            self.world.add(slug)

    def open_world(self, folder: Path) -> World:
        return World(f"sqlite:///{folder}/tracker.db", folder / "data")

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        with self.folder, self.world as world:
            for slug in SLUGS:
                assert world.sync(slug).outcome == "ok"
            self.nothing_is_left_to_do()
            with tempfile.TemporaryDirectory() as other:
                self.equals_one_undisturbed_sync(World(f"sqlite:///{other}/t.db", Path(other), self.provider))

    def equals_one_undisturbed_sync(self, other: World) -> None:
        with other:
            other.now = self.world.now
            for slug in SLUGS:
                other.add(slug)
                assert other.sync(slug).outcome == "ok"
            assert self.facts(self.world) == self.facts(other)

    def nothing_is_left_to_do(self) -> None:
        before = self.world.dump(*FACTS, "earning_change", "raw_batch", "raw_row", "subscription_change")
        for slug in SLUGS:
            report = self.world.sync(slug)
            assert (report.outcome, report.new, report.changed) == ("ok", 0, 0)
        assert before == self.world.dump(*before)

    @staticmethod
    def facts(world: World) -> dict[str, list[str]]:
        """What both ledgers must agree on; a network's word "declined" is "reversed" to those who saw it approved."""
        with world.engine.connect() as conn:
            rows = conn.execute(
                text(
                    "select c.slug, e.external_id, e.kind, case when c.slug = 'network' and e.status = 'reversed' then"
                    " 'declined' else e.status end, e.settlement, e.net, e.currency, e.earned_month, e.recurrence,"
                    " e.recurrence_by, e.recurrence_interval, e.subscription_ref, e.payout_ref, e.paired, e.fresh,"
                    " case when c.slug = 'network' then null else e.paid_month end"
                    " from earning e join connection c on c.id = e.connection_id"
                )
            )
            found = {"earning": sorted(str(tuple(row)) for row in rows)}
            alive = "select external_id, status, amount, interval from subscription where provider_status is null"
            found["subscription"] = sorted(str(tuple(row)) for row in conn.execute(text(alive)))
        for name in ("payout", "payout_item", "invoice"):
            found[name] = [str(row) for row in world.dump(name, without=["itemised_at", "settled_as"])[name]]
        return found

    # --- what providers do ---

    def make(self, path: str, prefix: str, **more: Any) -> dict[str, Any]:
        self.count += 1
        row = earning(f"{prefix}{self.count:03d}", self.world.now - timedelta(hours=1), **more)
        return self.provider.put(path, row | {"updated": iso_z(self.world.now)})

    def pick(self, path: str, index: int, **having: Any) -> dict[str, Any] | None:
        rows = list(self.provider.shelves.get(path, {}).values())
        rows = [row for row in rows if all(row.get(name) == value for name, value in having.items())]
        return rows[index % len(rows)] if rows else None

    def change(self, row: dict[str, Any] | None, **values: Any) -> None:
        if row:
            row |= {**values, "updated": iso_z(self.world.now)}

    @rule(cents=st.integers(1, 10_000), currency=st.sampled_from(["EUR", "USD", "JPY"]))
    def network_sells(self, cents: int, currency: str) -> None:
        self.make("/commissions", "c", net=str(cents), currency=currency, program="p1")

    @rule(index=st.integers(0, 99), status=st.sampled_from(["approved", "declined"]))
    def network_decides(self, index: int, status: str) -> None:
        self.change(self.pick("/commissions", index), status=status)

    @rule(index=st.integers(0, 99), cents=st.integers(1, 10_000))
    def network_amends(self, index: int, cents: int) -> None:
        self.change(self.pick("/commissions", index), net=str(cents))

    @rule(index=st.integers(0, 99))
    def network_pays(self, index: int) -> None:
        self.change(self.pick("/commissions", index, status="approved"), settlement="paid")

    @rule(cents=st.integers(100, 10_000))
    def bank_takes_money(self, cents: int) -> None:
        row = self.make("/movements", "m", kind="sale", status="approved", net=str(cents), payouts=[])
        row |= {"payment_ref": f"pi_{row['id']}", "origin_ref": row["id"]}

    @rule(index=st.integers(0, 99), number=st.integers(0, 3))
    def bank_writes_an_invoice(self, index: int, number: int) -> None:
        if paid := self.pick("/movements", index, kind="sale"):
            invoice = {"id": f"i_{paid['id']}", "payment_ref": paid["payment_ref"], "subscription_ref": f"s{number}"}
            self.provider.put("/invoices", invoice | {"recurrence": "recurring"})

    @rule(number=st.integers(0, 3), interval=st.sampled_from(["month", "year"]))
    def bank_signs_a_contract(self, number: int, interval: str) -> None:
        self.provider.put("/contracts", contract(f"s{number}", interval=interval))

    @rule(index=st.integers(0, 99), whole=st.booleans())
    def bank_gives_back(self, index: int, whole: bool) -> None:
        if origin := self.pick("/movements", index, kind="sale"):
            net = origin["net"] if whole else "1"
            row = self.make("/movements", "m", kind="refund", status="approved", net=f"-{net}", payouts=[])
            row["origin_ref"] = origin["id"]

    @rule(count=st.integers(1, 4), state=st.sampled_from(["pending", "in_transit", "paid"]))
    def bank_pays_out(self, count: int, state: str) -> None:
        inside = [row for row in self.provider.shelves.get("/movements", {}).values() if not row["payouts"]][:count]
        if inside:
            payout = self.make("/payouts", "po", status=state, net="1", arrives=iso_z(self.world.now))
            for row in inside:
                row["payouts"].append(payout["id"])

    @rule(index=st.integers(0, 99), state=st.sampled_from(["paid", "failed"]))
    def a_payout_ends(self, index: int, state: str) -> None:
        self.change(self.pick("/payouts", index), status=state)

    @rule(number=st.integers(0, 7), amount=st.integers(1, 50))
    def a_member_joins(self, number: int, amount: int) -> None:
        self.provider.put("/members", contract(f"u{number}", amount=str(amount)))

    @rule(number=st.integers(0, 7))
    def a_member_leaves(self, number: int) -> None:
        self.provider.shelves.get("/members", {}).pop(f"u{number}", None)

    # --- what we do ---

    @rule(hours=st.integers(1, 40))
    def time_goes_by(self, hours: int) -> None:
        self.world.later(hours=hours)

    @rule()
    def everything_is_synced(self) -> None:
        for slug in SLUGS:
            assert self.world.sync(slug).outcome == "ok"

    @rule(slug=st.sampled_from(SLUGS), statement=st.integers(1, 90))
    def a_sync_is_killed(self, slug: str, statement: int) -> None:
        self.world.killed_at(statement, slug)

    @rule(path=st.sampled_from(["/contracts", "/invoices", "/payouts", "/movements"]))
    def the_bank_has_trouble(self, path: str) -> None:
        self.provider.answers[path] = lambda asked: Reply(b"", 503)
        assert self.world.sync("bank").outcome == "failed"
        del self.provider.answers[path]

    @invariant()
    def the_roll_up_is_the_sum_of_the_earnings(self) -> None:
        if hasattr(self, "world") and not self.world.ask("select 1 from dirty_month"):
            same_sums(self.world)


def tell(examples: int, steps: int, machine: type[Story] = Story) -> None:
    checks = list(HealthCheck)
    stories = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(machine, settings=stories)


def test_any_story_ends_in_the_same_ledger_as_one_undisturbed_sync() -> None:
    tell(examples=6, steps=25)


def test_a_story_on_postgresql_ends_the_same_way(postgres_server: str) -> None:
    class OnPostgres(Story):
        def open_world(self, folder: Path) -> World:
            self.database = fresh_database(postgres_server)
            return World(self.database.__enter__(), folder)

        def teardown(self) -> None:
            try:
                super().teardown()
            finally:
                self.database.__exit__(None, None, None)

    tell(1, 25, OnPostgres)

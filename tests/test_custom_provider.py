"""Providers without code: the two examples of config/connectors, from the file to the ledger, over real HTTP."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.example_providers import EXAMPLES, TOKEN, Network, Shop
from tests.pretend import START, Asked, Provider, Reply
from tests.world import World
from tracker import connections, discover, quarantine, trial
from tracker.connect import catalog
from tracker.connect.declared import folder
from tracker.connect.replay import dump, load, replay
from tracker.errors import AuthRejected, ConfigError, UsageError
from tracker.rebuild import rebuild
from tracker.store.writes import unpack_batch


class Both(Provider):
    """Everything on one port: the pretend providers and the two examples."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.shop = Network(), Shop()

    def answer(self, asked: Any) -> Any:
        if asked.path.startswith("/v2/"):
            return self.network.answer(asked)
        return self.shop.answer(asked) if asked.path.startswith("/api/") else super().answer(asked)


@pytest.fixture
def both() -> Both:
    return Both()


@pytest.fixture
def world(database_url: str, tmp_path: Path, both: Both) -> Iterator[World]:
    with World(database_url, tmp_path / "data", both) as world:
        install(world)
        yield world


@pytest.fixture
def ledger(tmp_path: Path, both: Both) -> Iterator[World]:
    """On SQLite only, for what has nothing to do with the database."""
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data", both) as world:
        install(world)
        yield world


def install(world: World) -> None:
    own = world.folder / folder.NAME
    own.mkdir()
    for file in EXAMPLES.glob("*.toml"):
        (own / file.name).write_bytes(file.read_bytes())
    folder.look_in(world.folder)


def file_of(world: World, slug: str) -> Path:
    return world.folder / folder.NAME / f"{slug}.toml"


def edit(world: World, slug: str, old: str, new: str) -> None:
    file = file_of(world, slug)
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def add_network(world: World, **credentials: str) -> None:
    keys = {"token": TOKEN, "publisher_id": "77", **credentials}
    connections.add(world.deps, "example-network", "network", credentials=keys, options={"base_url": world.server.url})


def add_shop(world: World) -> None:
    keys = {"key": "shop-key", "secret": "shop-secret-0815"}
    connections.add(world.deps, "example-shop", "shop", credentials=keys, options={"base_url": world.server.url})


# --- the affiliate network ---


def test_a_network_in_words_is_read_in_windows_and_pages_to_the_last_field(world: World, both: Both) -> None:
    add_network(world)
    for number in range(130):
        both.network.put(f"c{number:03}", START - timedelta(hours=number))
    validated = START - timedelta(days=2)
    both.network.put("c129", START - timedelta(days=40), "paid", validated)
    report = world.sync("network")
    assert (report.outcome, report.new, report.quarantined) == ("ok", 131, 0)
    row = world.earnings()["c129"]
    assert (row.kind, row.status, row.settlement, row.provider_status) == ("commission", "approved", "paid", "paid")
    assert (row.net, row.currency, row.sale_amount, row.sale_currency) == (
        Decimal("12.50"), "EUR", Decimal("250.00"), "EUR",
    )  # fmt: skip
    assert (row.earned_at, row.validated_at) == (START - timedelta(days=40), validated)
    assert (row.program, row.sub_id, row.order_ref) == ("5", "review-nas", "o-c129")
    assert world.ask("select title from program") == [("Werkzeug und mehr",)]
    pages = [asked.query["page"] for asked in both.network.asked if asked.path.endswith("commissions")]
    assert {"1", "2"} <= set(pages)


def test_a_second_sync_of_a_provider_in_words_changes_nothing(world: World, both: Both) -> None:
    add_network(world)
    add_shop(world)
    for number in range(60):
        both.network.put(f"c{number}", START - timedelta(days=number))
        both.shop.put(number, START - timedelta(days=number), refunds=[refund(1, START)] if number % 7 == 0 else [])
    assert [world.sync(slug).new for slug in ("network", "shop")] == [61, 60]
    assert len(world.earnings("shop")) == 69
    tables = ["earning", "earning_change", "raw_row", "monthly_income", "program"]
    before = world.dump(*tables)
    for slug in ("network", "shop"):
        again = world.sync(slug)
        assert (again.outcome, again.new, again.changed) == ("ok", 0, 0)
    assert world.dump(*tables) == before


def test_a_commission_of_months_ago_that_is_declined_now_is_found_by_its_second_date(world: World, both: Both) -> None:
    add_network(world)
    old = START - timedelta(days=45)
    both.network.put("c1", old)
    both.network.put("c2", old, "confirmed", START - timedelta(days=20))
    world.sync("network")
    world.later(days=3)
    both.network.put("c1", old, "cancelled", world.now - timedelta(hours=2))
    both.network.put("c2", old, "cancelled", world.now - timedelta(hours=1))
    both.network.asked.clear()
    assert world.sync("network").changed == 2
    assert {key: row.status for key, row in world.earnings().items()} == {"c1": "declined", "c2": "reversed"}
    windows = [asked.query["date_type"] for asked in both.network.asked if asked.path.endswith("commissions")]
    assert windows == ["sale", "validation"]


def test_a_word_that_the_file_does_not_have_is_quarantined_and_read_once_the_file_has_it(
    world: World, both: Both
) -> None:
    add_network(world)
    both.network.put("c1", START - timedelta(days=1), "frozen")
    assert (world.sync("network").outcome, len(world.earnings())) == ("partial", 0)
    (row,), _ = quarantine.held(world.engine)
    assert row.error == "status: unknown word 'frozen' at 'state'; known: cancelled, confirmed, open, paid"
    edit(world, "example-network", 'words = {open = "pending",', 'words = {frozen = "pending", open = "pending",')
    edit(world, "example-network", 'words = {open = "unpaid",', 'words = {frozen = "unpaid", open = "unpaid",')
    asked = len(both.network.asked)
    rebuild(world.deps, world.connection("network").id)
    assert [row.status for row in world.earnings().values()] == ["pending"]
    assert len(both.network.asked) == asked


def test_people_in_a_row_never_reach_the_disk(ledger: World, both: Both) -> None:
    add_network(ledger)
    add_shop(ledger)
    both.network.put("c1", START - timedelta(days=1))
    both.shop.put(1, START - timedelta(days=1))
    ledger.sync("network")
    ledger.sync("shop")
    payers = [row.payer for row in ledger.earnings().values()]
    assert len(set(payers)) == 2
    assert not any("customer-" in payer or "reader1" in payer for payer in payers)
    kept = b"".join(bytes(row) for (blob,) in ledger.ask("select rows from raw_batch") for row in unpack_batch(blob))
    assert b"review-nas" in kept
    assert b"R-1" in kept
    for person in (b"people.example", b"Ann", b"customer-c1"):
        assert person not in kept


# --- the shop ---


def refund(number: int, at: datetime, amount: int = 1900) -> dict[str, Any]:
    return {"id": number, "amount": amount, "made_at": int(at.timestamp())}


def test_a_shop_in_words_nets_out_fee_and_tax_and_splits_refunds_from_their_orders(world: World, both: Both) -> None:
    add_shop(world)
    paid = START - timedelta(days=9)
    for number in range(1, 61):
        both.shop.put(number, paid)
    both.shop.put(61, paid, state="open", paid_at=None)
    both.shop.put(7, paid, state="refunded", refunds=[refund(7, START, 900), refund(8, START, 1000)])
    both.shop.put(8, paid, total=2400, currency="JPY", fee=100, tax=0)
    report = world.sync("shop")
    found = world.earnings()
    assert (report.outcome, len(found)) == ("ok", 62)
    assert [asked.query.get("after") for asked in both.shop.asked if asked.path == "/api/orders"] == [None, "50"]
    sale, first, second = found["7"], found["7:7"], found["7:8"]
    assert (sale.net, sale.gross, sale.fee, sale.tax) == (
        Decimal("15.11"), Decimal("19.00"), Decimal("0.86"), Decimal("3.03"),
    )  # fmt: skip
    assert (sale.earned_at, sale.product, sale.country, sale.gateway_ref) == (paid, "Das Buch", "DE", "ch_7")
    assert [(row.kind, row.net, row.origin_ref, row.order_ref, row.earned_at) for row in (first, second)] == [
        ("refund", Decimal("-9.00"), "7", "R-7", START),
        ("refund", Decimal("-10.00"), "7", "R-7", START),
    ]
    assert (found["8"].net, found["8"].currency) == (Decimal(2300), "JPY")
    assert "61" not in found


def test_a_refund_comes_with_the_next_sync_and_payouts_are_never_income(world: World, both: Both) -> None:
    add_shop(world)
    both.shop.put(1, START - timedelta(days=9))
    made = {"currency": "EUR", "created_at": int((START - timedelta(days=2)).timestamp())}
    both.shop.payouts["p1"] = {"id": "p1", "state": "planned", "amount": 1511, "arrives_at": None, **made}
    world.sync("shop")
    world.later(days=1)
    now = int(world.now.timestamp())
    both.shop.put(1, START - timedelta(days=9), state="refunded", refunds=[refund(1, world.now)], updated=now)
    both.shop.payouts["p1"] |= {"state": "arrived", "arrives_at": now}
    assert world.sync("shop").outcome == "ok"
    assert sorted(world.earnings()) == ["1", "1:1"]
    [(status, amount, arrives)] = world.ask("select status, amount, arrives_at from payout")
    assert (status, amount) == ("paid", 15_110_000)
    assert str(arrives).startswith("2026-06-16 10:00:00")


# --- a provider like any other ---


def test_trying_out_tells_a_wrong_key_from_a_wrong_account(ledger: World, both: Both) -> None:
    add_network(ledger)
    tried = trial.try_out(ledger.deps, ledger.connection("network"))
    assert [(one.resource, one.readable) for one in tried] == [("programmes", True), ("commissions", True)]
    connections.replace_credentials(ledger.deps, "network", {"token": TOKEN, "publisher_id": "78"})
    tried = trial.try_out(ledger.deps, ledger.connection("network"))
    assert [one.readable for one in tried] == [False, False]
    assert 'It needs: read access to commissions. It says: "not your account"' in tried[1].problem
    connections.replace_credentials(ledger.deps, "network", {"token": "wrong-token-1", "publisher_id": "77"})
    with pytest.raises(AuthRejected, match=r'refused the credentials\. It says: "the token is not valid"'):
        trial.try_out(ledger.deps, ledger.connection("network"))


def test_what_is_recorded_from_a_provider_in_words_replays(ledger: World, both: Both) -> None:
    add_network(ledger)
    both.network.put("c1", START - timedelta(days=1), "paid", START)
    sample = trial.record(ledger.deps, ledger.connection("network"), "commissions", START - timedelta(days=9))
    text = dump(sample)
    for word in (TOKEN, "Ann", "people.example", ledger.server.url, "customer-c1"):
        assert word.encode() not in text
    told = list(replay(catalog.find("example-network"), load(text)))
    assert [line for line in told if "never asked" in line or '"error"' in line] == []
    assert sum(line.startswith('{"Earning"') for line in told) == 2  # by each of its dates


def test_a_file_that_is_changed_counts_at_once_in_a_process_that_runs_on(ledger: World, both: Both) -> None:
    add_network(ledger)
    both.network.put("c1", START - timedelta(days=1))
    ledger.sync("network")
    assert ledger.earnings()["c1"].sub_id == "review-nas"
    edit(ledger, "example-network", 'sub_id = {text = "sub_id", optional = true}\n', "")
    both.network.put("c2", START - timedelta(hours=1))
    ledger.sync("network")
    assert ledger.earnings()["c2"].sub_id is None


def test_a_broken_file_stops_its_own_connections_and_no_other(ledger: World, both: Both) -> None:
    add_network(ledger)
    add_shop(ledger)
    both.shop.put(1, START - timedelta(days=1))
    edit(ledger, "example-network", 'rows = "data"', 'rowz = "data"')
    report = ledger.sync("network")
    line = file_of(ledger, "example-network").read_text("utf-8").splitlines().index('rowz = "data"') + 1
    assert (report.outcome, report.error) == ("failed", "ConfigError")
    assert report.message == (
        f"connectors.d/example-network.toml, line {line}, resources.programmes.rowz: 'rowz' is not known here. "
        "Did you mean rows?"
    )
    assert ledger.sync("shop").outcome == "ok"
    assert "example-network" not in catalog.slugs()
    assert list(catalog.faults()) == [report.message]


def test_a_file_never_takes_the_place_of_a_provider_that_is_there(ledger: World) -> None:
    text = file_of(ledger, "example-network").read_text("utf-8")
    for slug in ("awin", "pretend-network", "My_Network"):
        file_of(ledger, slug).write_text(text, "utf-8")
    assert catalog.find("awin").title == "Awin"
    assert catalog.find("pretend-network").title == "Pretend Network"
    assert list(catalog.faults()) == [
        "connectors.d/My_Network.toml: the name is not a slug. Use lower-case letters, digits and hyphens, at most 40.",
        "connectors.d/awin.toml: there is a provider awin already. Give the file another name.",
        "connectors.d/pretend-network.toml: there is a provider pretend-network already. Give the file another name.",
    ]
    assert catalog.slugs().count("awin") == 1
    with pytest.raises(UsageError, match="no provider is called 'My_Network'"):
        catalog.find("My_Network")


@pytest.mark.parametrize("slug", ["../example-network", "example-network.toml", "EXAMPLE-NETWORK", "/etc/passwd", ""])
def test_only_a_slug_finds_a_file(ledger: World, slug: str) -> None:
    (ledger.folder / "example-network.toml").write_bytes(file_of(ledger, "example-network").read_bytes())
    with pytest.raises(UsageError, match="no provider is called"):
        catalog.find(slug)


def test_a_file_that_is_no_text_or_too_large_is_refused(ledger: World) -> None:
    file_of(ledger, "noise").write_bytes(b"\xff\xfe\x00")
    file_of(ledger, "vast").write_text("#" * (folder.FILE_MAX + 1))
    with pytest.raises(ConfigError, match=r"^connectors\.d/noise\.toml is not text\. Save it as UTF-8\.$"):
        catalog.find("noise")
    with pytest.raises(ConfigError, match=r"^connectors\.d/vast\.toml is larger than 200 kB"):
        catalog.find("vast")


def test_the_accounts_of_a_key_are_listed_before_the_id_is_known(ledger: World, both: Both) -> None:
    at = {"base_url": ledger.server.url}
    seen = discover.before(ledger.deps, "example-network", {"token": TOKEN}, at)
    assert [(one.what, one.id, one.title, one.fills) for one in seen.found] == [
        ("publisher accounts", "77", "Pfad und Papier", "publisher_id")
    ]
    with pytest.raises(UsageError, match="Example Shop cannot list what a key sees"):
        discover.before(ledger.deps, "example-shop", {"key": "a", "secret": "b"}, at)


# --- asked by POST ---


class Asking(Network):
    """The same network, which takes its questions as JSON only."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Reply:
        assert asked.query == {}
        assert asked.headers["content-type"] == "application/json"
        body = msgspec.json.decode(asked.body)
        self.bodies.append(body)
        plain = {name: str(value) for name, value in {**body, **body.get("sold", {})}.items()}
        plain["date_type"] = plain.get("by", "").removeprefix("on ")
        return super().answer(msgspec.structs.replace(asked, query=plain))


def ask_by_post(world: World) -> None:
    """Rewrite the example: lists of programmes and commissions, and what a key sees, are asked for with a body."""
    discover_at, programmes_at, commissions_at = (
        f'path = "/v2/{path}"'
        for path in ("accounts", "publishers/{publisher_id}/programmes", "publishers/{publisher_id}/commissions")
    )
    numbers = 'numbers = ["page", "per_page"]'
    question = 'body = {publisher = "{publisher_id}", sold = {from = "{from}", to = "{to}", by = "on {date_type}"}}'
    edit(world, "example-network", discover_at, discover_at + '\nbody = {query = "query { accounts { id name } }"}')
    edit(world, "example-network", programmes_at, f"{programmes_at}\nbody = {{}}\n{numbers}")
    edit(world, "example-network", commissions_at, f"{commissions_at}\n{question}\n{numbers}")


def test_a_network_is_asked_by_post_for_pages_and_windows(ledger: World, both: Both) -> None:
    both.network = network = Asking()
    ask_by_post(ledger)
    add_network(ledger)
    for number in range(130):
        network.put(f"c{number:03}", START - timedelta(hours=number))
    report = ledger.sync("network")
    assert (report.outcome, report.new, report.quarantined) == ("ok", 131, 0)
    assert network.bodies[0] == {"page": 1, "per_page": 100}
    assert network.bodies[-1] == {
        "publisher": "77",
        "sold": {"from": "2026-06-06 02:00:00", "to": "2026-06-15 12:00:00", "by": "on sale"},
        "page": 2,
        "per_page": 100,
    }


def test_what_a_key_sees_is_asked_for_by_post(ledger: World, both: Both) -> None:
    both.network = network = Asking()
    ask_by_post(ledger)
    seen = discover.before(ledger.deps, "example-network", {"token": TOKEN}, {"base_url": ledger.server.url})
    assert [(one.id, one.title) for one in seen.found] == [("77", "Pfad und Papier")]
    assert network.bodies == [{"query": "query { accounts { id name } }"}]


def test_a_list_whose_body_needs_an_id_waits_for_it(ledger: World, both: Both) -> None:
    both.network = network = Asking()
    ask_by_post(ledger)
    more = """
[[discover]]
what = "sites"
path = "/v2/accounts"
body = {account = "{publisher_id}", numbers = [1, {of = "{publisher_id}"}]}
numbers = ["publisher_id"]
rows = "accounts"
id = {text = "name"}
"""
    edit(ledger, "example-network", "[resources.programmes]", f"{more}\n[resources.programmes]")
    at = {"base_url": ledger.server.url}
    seen = discover.before(ledger.deps, "example-network", {"token": TOKEN}, at)
    assert [(one.what, one.id, one.title) for one in seen.found][1:] == [("sites", "Pfad und Papier", "")]
    assert network.bodies[-1] == {"account": 77, "numbers": [1, {"of": 77}]}
    network.accounts = ()
    assert discover.before(ledger.deps, "example-network", {"token": TOKEN}, at).notes == [
        "sites: give publisher_id to list them."
    ]

"""Providers in words: what each word becomes, and that every mistake is told with its place and a way out."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.connect.auth import Request
from tracker.connect.connector import Connector, records_of
from tracker.connect.declared import flow
from tracker.connect.declared.connector import declare
from tracker.connect.declared.fields import RECORDS, WORDS
from tracker.connect.declared.table import line_of
from tracker.connect.paging import Step
from tracker.connect.plans import Full, Known, NewestFirst, PerPayout, Snapshot, When, Windows
from tracker.connect.replay import MemoryTokens
from tracker.connect.rows import Page, encode
from tracker.errors import ConfigError, DataError
from tracker.records import Interval, Recurrence, Role

EXAMPLES = Path(__file__).parents[2] / "config" / "connectors"
NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
PLAIN = """\
title = "Plain"
kind = "affiliate"
docs = "https://docs.plain.example"
base_url = "https://api.plain.example"
auth = {bearer = "token"}

[credentials.token]
label = "Token"

[credentials.site]
label = "Site"
secret = false

[resources.sales]
path = "/sales/{site}"
rows = "data"
row_id = {text = "id"}
plan = {full = true}
paging = {page_number = "page"}

[[resources.sales.makes]]
record = "Earning"
external_id = {text = "id"}
kind = {constant = "sale"}
status = {one_of = "state", words = {open = "pending", done = "approved"}}
net = {money = "amount"}
currency = {constant = "EUR"}
earned_at = {timestamp = "at"}
"""
ROW = {"id": 7, "state": "open", "amount": "1.50", "at": "2026-06-01T00:00:00Z"}


def plain(old: str = "", new: str = "") -> Connector:
    assert old in PLAIN
    return declare("plain.toml", PLAIN.replace(old, new, 1))


def fault(old: str, new: str) -> str:
    with pytest.raises(ConfigError) as found:
        plain(old, new)
    return str(found.value)


def read(more: str, row: dict[str, Any]) -> Any:
    """The record of a row by a file with more lines in its only record."""
    connector = declare("plain.toml", PLAIN + more)
    [record] = records_of(connector.resources[0], ROW | row | {"$": {"zone": "x"}})
    return record


# --- mistakes ---


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('title = "Plain"', "title = Plain", "plain.toml is not valid TOML: Invalid value (at line 1, column 9)."),
        ('title = "Plain"\n', "", "plain.toml: title is missing. It is text."),
        ('title = "Plain"', "title = 5", "plain.toml, line 1, title: expected text, not 5."),
        ('title = "Plain"', 'title = ""', "plain.toml, line 1, title: must not be empty."),
        ('kind = "affiliate"', 'kind = "afiliate"', "line 2, kind: 'afiliate' is not known. Did you mean affiliate?"),
        ('docs = "https', 'docs = "http', "line 3, docs: expected the address of the provider's documentation"),
        ('base_url = "https', 'base_url = "http', "line 4, base_url: api.plain.example must be reached by https."),
        ("https://api.plain", "https://me:word@api.plain", "base_url is not a plain address with a scheme and a host."),
        ('base_url = "https://api.plain.example"\n', "", "plain.toml: base_url is missing. Where every user has one:"),
        ("auth = {bearer", "auth = {baerer", "line 5, auth.baerer: 'baerer' is not known here. Did you mean bearer?"),
        ('{bearer = "token"}', '{bearer = "tokn"}', "line 5, auth.bearer: no credential is called 'tokn'. Known: tok"),
        ('{bearer = "token"}', '{bearer = "token", basic = ["token"]}', "bearer and basic cannot both be."),
        ('label = "Token"\n', 'label = "T"\nrequired = false\n', "the credential 'token' signs every request"),
        ("secret = false", "secret = true", "{site} cannot be filled in: it must be an option with a default or a req"),
        ("/sales/{site}", "/sales/{token}", "line 15, resources.sales.path: {token} cannot be filled in"),
        ("/sales/{site}", "sales", "line 15, resources.sales.path: expected a path that begins with /, not 'sales'."),
        ("/sales/{site}", "/sales?site=1", "expected a path that begins with /, not '/sales?site=1'. Put the rest"),
        ("/sales/{site}", "@elsewhere.example/", "expected a path that begins with /"),
        ('rows = "data"', 'rowz = "data"', "line 16, resources.sales.rowz: 'rowz' is not known here. Did you mean row"),
        ('row_id = {text = "id"}\n', "", "line 14, resources.sales: row_id is missing. It is a table."),
        ('row_id = {text = "id"}', 'row_id = "id"', "line 17, resources.sales.row_id: expected a table, not 'id'."),
        ("plan = {full = true}", "plan = {daily = true}", "line 18, resources.sales.plan.daily: 'daily' is not known"),
        ("{full = true}", '{created_since = "from"}', "line 18, resources.sales.plan: look_back is missing."),
        ("{full = true}", '{updated_since = "a", overlap = "1 h"}', "plan.overlap: expected a time such as 90m, 12h"),
        ("{full = true}", '{updated_since = "a", days = 30}', "windows need until, the parameter that closes them."),
        (
            "{full = true}",
            '{updated_since = "a", overlap = "30m", form = {local = "%Y-%m-%d %H:%M", zone = "Europe/Berlin"}}',
            "with times in that form an hour or more must be read again. Give overlap = \"1h\".",
        ),
        (
            "{full = true}",
            '{updated_since = "a", form = {local = "%Y-%m-%d"}}',
            "with times in that form a day or more must be read again. Give overlap = \"1d\".",
        ),
        ("{full = true}", '{updated_since = "a", form = {local = "%s"}}', "expected a day of %Y, %m and %d"),
        ("{full = true}", '{updated_since = "a", form = {local = "%d", zone = "Europe/Berln"}}', "not a time zone"),
        ("{full = true}", "{date_windows = 30, axes = []}", "expected axes, one of them to read the past with."),
        ("{full = true}", '{newest_first = {text = "at"}, rescan = "1d"}', "text does not fit here. Use timestamp or"),
        ('page_number = "page"', 'page_nmber = "page"', "paging.page_nmber: 'page_nmber' is not known"),
        ('page_number = "page"', 'cursor = "after"', "expected either next, a path in the answer, or last_row"),
        ('page_number = "page"', 'offset = "skip"', 'size is missing. It is the parameter and the number: ["limit", '),
        ('page_number = "page"', 'page_number = "page", size = ["n", 0]', "expected the parameter and the rows of a p"),
        ('rows = "data"', 'body = {a = ["{sit}"]}', "line 16, resources.sales.body: {sit} cannot be filled in: "),
        ('rows = "data"', 'body = {a = "{page}"}\nnumbers = ["pag"]', "line 17, resources.sales.numbers: {pag} cannot"),
        ('rows = "data"', 'numbers = ["page"]', "line 16, resources.sales.numbers: 'numbers' is not known here."),
        ('rows = "data"', 'body = "{}"', "line 16, resources.sales.body: expected a table, not '{}'."),
        (
            'rows = "data"',
            'body = {}\ndetails = {path = "/sales/{id}", into = "more"}',
            "line 17, resources.sales.details: details are not asked for with a body.",
        ),
        ('record = "Earning"', 'record = "Bankline"', "makes.1.record: 'Bankline' is not known."),
        ("net = {money", "nett = {money", "line 26, resources.sales.makes.1.nett: 'nett' is not known here. Did you m"),
        ("net = {money", "tax = {money", "line 21, resources.sales.makes.1: net is missing. Every Earning needs one."),
        ("net = {money", "net = {monney", "line 26, resources.sales.makes.1.net.monney: 'monney' is not known here. D"),
        ("path = ", "pfad = ", "line 14, resources.sales: path is missing. It is text."),
        ("docs = ", "doc = ", "line 3, doc: docs is missing. Is 'doc' meant to be it?"),
        ("net = {money", "net = {text", "net.text: text does not fit here. Use money or minor or scaled or localised_"),
        ('{money = "amount"}', '{money = "amount", optional = true}', "this may never be unknown, so it cannot be opt"),
        ('{money = "amount"}', "{constant = 1.5}", "net.constant: expected text, not 1.5."),
        ('{constant = "EUR"}', '{constant = "EURO"}', "line 27, resources.sales.makes.1.currency.constant: "),
        ('{constant = "EUR"}', '{text = "currency"}', "text does not fit here. Use currency or one_of or constant."),
        ('open = "pending"', 'open = "pendin"', "status.words.open: 'pendin' is not known. Did you mean pending?"),
        ('words = {open = "pending", done = "approved"}', "words = {}", "status.words: is empty. Expected every word "),
        ('{constant = "sale"}', '{constant = "sael"}', "kind.constant: 'sael' is not known. Did you mean sale?"),
        ('{timestamp = "at"}', '{timestamp = "at", zone = "Mars/North"}', "earned_at.zone: not a time zone: 'Mars/Nor"),
        ('{timestamp = "at"}', '{timestamp = "at", formt = "x"}', "earned_at.formt: 'formt' is not known here."),
        ("[resources.sales]", "[resources.Sales]", "resources.Sales: not a name: 'Sales'. Use lower-case letters"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_its_key_and_what_may_stand_there(old: str, new: str, told: str) -> None:
    said = fault(old, new)
    assert told in said
    assert said.startswith("plain.toml")
    assert len(said) < 400


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('[[resources.sales.makes]]\nrecord = "Program"\nexternal_id = {text = "id"}', "makes.2: title is missing."),
        ('joined = ["a"]', "resources.sales.makes.1.joined: 'joined' is not known here"),
        (
            'order_ref = {joined = ["a"]}',
            "line 29, resources.sales.makes.1.order_ref.joined: expected two paths or mor",
        ),
        ('when = {money = "x"}', "money does not fit here. Use flag or present or one_of or constant."),
        ("[[rates]]\ncalls = 0", "line 29, rates.1: expected so many calls, 1 or more"),
        ("[[rates]]\ncalls = 5\nseconds = -1.5", "rates.1: expected so many calls"),
        (
            "[[discover]]\nwhat = 'sites'\nfills = 'siet'",
            "discover.1.fills: no credential and no option is called 'siet'",
        ),
        (
            "[[discover]]\nwhat='x'\npath='/x'\nid={text='a'}\ntitle={text='b'}\nfills='token'",
            "line 29, discover: token signs the request that would look it up.",
        ),
        ("[options.site]\nlabel = 'x'", "options: site is a credential and an option."),
        (
            "[options.zone]\nlabel = 'x'\ndefault = 'a'\nchoices = ['b']",
            "line 31, options.zone.default: is none of the",
        ),
        ("[headers]\nX-Zone = '{zone}'", "line 30, headers.X-Zone: {zone} cannot be filled in"),
        (
            "[[discover]]\nwhat='x'\npath='/x'\nid={text='a'}\ntitle={text='b'}\ncolour='red'",
            "discover.1.colour: 'colour'",
        ),
        (
            PLAIN[PLAIN.index("[[resources.sales.makes]]") :],
            "line 31, resources.sales.makes.2.external_id: would have the same ids as another record of this resource.",
        ),
    ],
)
def test_a_line_too_many_is_told_as_well(more: str, told: str) -> None:
    with pytest.raises(ConfigError) as found:
        declare("plain.toml", PLAIN + more)
    assert told in str(found.value)


def test_the_line_of_a_key_is_found_in_lists_of_tables_and_in_values_over_several_lines() -> None:
    text = (EXAMPLES / "example-network.toml").read_text("utf-8")
    lines = text.splitlines()
    place = ("resources", "commissions", "plan", "axes", 1, "backfill")
    assert "backfill = false" in lines[(line_of(text, place) or 0) - 1]
    inner = ("resources", "commissions", "makes", 0, "settlement", "words", "paid")
    assert lines[(line_of(text, inner) or 0) - 1].startswith('words = {open = "unpaid"')
    assert line_of(text, ("nowhere",)) is None


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_file_with_a_line_lost_or_doubled_is_a_provider_or_a_told_mistake(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["example-network.toml", "example-shop.toml"]))
    lines = (EXAMPLES / name).read_text("utf-8").splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number : number + 1] = data.draw(st.sampled_from([[], [lines[number]] * 2, [lines[number][:-3]], ["x = 1"]]))
    assert said(name, "\n".join(lines)).startswith((name, "read"))


def said(file: str, text: str) -> str:
    try:
        declare(file, text)
    except ConfigError as error:
        return str(error)
    return "read"


# --- what the words become ---


def test_the_plain_file_reads_a_row() -> None:
    record = read("", {})
    assert (record.external_id, record.status, record.net, record.currency) == ("7", "pending", Decimal("1.50"), "EUR")
    assert record.earned_at == datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("more", "row", "field", "value"),
    [
        ('gross = {minor = "c", currency = "u"}', {"c": 1234, "u": "JPY"}, "gross", Decimal(1234)),
        ('gross = {minor = "c", currency = "u"}', {"c": 1234, "u": "EUR"}, "gross", Decimal("12.34")),
        ('fee = {scaled = "c", places = 4}', {"c": 12345}, "fee", Decimal("1.2345")),
        ('fee = {localised_money = "c", decimal_mark = ","}', {"c": "1.234,50"}, "fee", Decimal("1234.50")),
        ('fee = {money = "a", less = ["b", "c"]}', {"a": 9, "b": "2.5", "c": 1}, "fee", Decimal("5.5")),
        ('fee = {money = "a", negative = true}', {"a": 9}, "fee", Decimal(-9)),
        ('fee = {money = "a", negative = true}', {"a": -9}, "fee", Decimal(-9)),
        ('fee = {money = "a", less = ["b"], optional = true}', {"a": None, "b": 1}, "fee", None),
        ('fee = {constant = "0.30"}', {}, "fee", Decimal("0.30")),
        ('paid_at = {epoch = "t"}', {"t": 1_780_000_000}, "paid_at", datetime(2026, 5, 28, 20, 26, 40, tzinfo=UTC)),
        ('paid_at = {epoch = "t", unit = "ms"}', {"t": 1_780_000_000_500}, "paid_at",
         datetime(2026, 5, 28, 20, 26, 40, 500_000, tzinfo=UTC)),
        ('paid_at = {timestamp = "t", zone = "Europe/Berlin"}', {"t": "2026-01-01T00:30:00"}, "paid_at",
         datetime(2025, 12, 31, 23, 30, tzinfo=UTC)),
        ('period_start = {day = "t", zone = "Europe/Berlin"}', {"t": "2026-01-01T23:30:00Z"}, "period_start",
         date(2026, 1, 2)),
        ('order_ref = {joined = ["a", "b.c"]}', {"a": 7, "b": {"c": "x"}}, "order_ref", "7:x"),
        ('order_ref = {joined = ["a", "b"], optional = true}', {"a": 7}, "order_ref", None),
        ('country = {text = "where.0", optional = true}', {"where": ["DE"]}, "country", "DE"),
        ('country = {text = "$.zone"}', {}, "country", "x"),
        ('sale_currency = {one_of = "u", words = {"€" = "EUR"}}', {"u": "€"}, "sale_currency", "EUR"),
        ('estimated = {flag = "e"}', {"e": True}, "estimated", True),
        ('estimated = {present = "e.f"}', {"e": {"f": []}}, "estimated", False),
        ('estimated = {one_of = "e", words = {true = false, false = true}}', {"e": False}, "estimated", True),
        ('recurrence = {one_of = "n", words = {1 = "one_off", 2 = "recurring"}}', {"n": 2}, "recurrence",
         Recurrence.RECURRING),
        ('recurrence_interval = {interval = "u", count = "n"}', {"u": "week", "n": 4}, "recurrence_interval",
         Interval("week", 4)),
        ('recurrence_interval = {one_of = "u", words = {Y = "year"}}', {"u": "Y"}, "recurrence_interval",
         Interval("year")),
    ],
)  # fmt: skip
def test_a_word_reads_its_value_exactly(more: str, row: dict[str, Any], field: str, value: object) -> None:
    found = getattr(read(more, row), field)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("more", "row", "told"),
    [
        ('fee = {money = "a", less = ["b"]}', {"a": 9}, "fee: 'b' is missing"),
        ('order_ref = {joined = ["a", "b"]}', {"b": 1}, "order_ref: 'a' is missing"),
        ('when = {flag = "f"}', {"f": "yes"}, "when: expected true or false, got 'yes'"),
        ('when = {one_of = "f", words = {sale = true}}', {"f": "gift"}, "when: unknown word 'gift' at 'f'"),
        ('parts = "parts"', {"parts": {"a": 1}}, "parts: 'parts' is not a list"),
        ('parts = "parts"', {"parts": ["a"]}, "parts: cannot be read"),
    ],
)
def test_a_row_that_is_not_as_the_file_says_names_the_field(more: str, row: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError) as found:
        read(more, row)
    assert told in str(found.value)


def test_a_row_becomes_a_record_for_each_part_and_none_where_the_condition_does_not_hold() -> None:
    more = '\nparts = "lines"\nwhen = {flag = "$row.real"}\norder_ref = {text = "$row.number"}\n'
    text = PLAIN.replace('external_id = {text = "id"}', 'external_id = {joined = ["$row.id", "id"]}') + more
    [resource] = declare("plain.toml", text).resources
    lines = [{**ROW, "id": 1}, {**ROW, "id": 2}]
    found = records_of(resource, {"id": 9, "number": "n9", "real": True, "lines": lines, "$": {}})
    assert [(record.external_id, record.order_ref) for record in found] == [("9:1", "n9"), ("9:2", "n9")]  # type: ignore[union-attr]
    assert records_of(resource, {"id": 9, "real": False, "lines": lines}) == []
    assert records_of(resource, {"id": 9, "real": True}) == []


class Nobody(Known):
    def open_ids(self, after: str, limit: int) -> list[str]:
        return ["a/b"]

    def payouts_to_itemise(self, limit: int) -> list[str]:
        return ["p1"]


def asked(plan: str) -> list[dict[str, str]]:
    found = plain("plan = {full = true}", f"plan = {plan}").resources[0].plan
    when = When(now=NOW, since=NOW - timedelta(days=3))
    return [dict(leg.params) for leg in found.legs({}, when, Nobody(), lambda leg: iter(()))]


def test_the_plans_ask_as_the_kit_does() -> None:
    assert asked('{updated_since = "from", form = "unix"}') == [{"from": "1781258400"}]
    assert asked('{created_since = "a", look_back = "60d", until = "b", days = 365}')[-1]["b"] == "2026-06-15T10:00:00Z"
    local = '{created_since = "a", look_back = "60d", form = {local = "%d.%m.%Y", zone = "Europe/Berlin"}}'
    assert asked(local) == [{"a": "12.06.2026"}]
    assert asked('{per_payout = "payout"}') == [{"payout": "p1"}]
    reread = 'reread = {one = "/sales/{id}", at_most = 5}'
    axes = 'axes = [{name = "x", since = "a", until = "b", params = {by = "x"}}]'
    found = asked(f"{{date_windows = 365, {axes}, {reread}}}")
    assert found[0]["by"] == "x"
    assert found[-1] == {}
    kinds = {"{full = true}": Full, "{snapshot = true}": Snapshot, '{per_payout = "p"}': PerPayout}
    kinds['{newest_first = {timestamp = "at"}, rescan = "30d"}'] = NewestFirst
    kinds['{replace_window = "a", until = "b", days = 9, look_back = "9d"}'] = Windows
    for words, kind in kinds.items():
        assert isinstance(plain("plan = {full = true}", f"plan = {words}").resources[0].plan, kind)


def steps(paging: str, *pages: Page) -> list[Step]:
    walk = plain('paging = {page_number = "page"}', f"paging = {paging}").resources[0].paging.pages(None)
    found = [next(walk)]
    for page in pages:
        try:
            found.append(walk.send(page))
        except StopIteration:
            break
    return found


def test_the_pagers_step_as_the_kit_does() -> None:
    def page(count: int = 2, **envelope: Any) -> Page:
        import msgspec

        return Page(rows=[msgspec.Raw(encode({"id": number})) for number in range(count)], envelope=envelope)

    numbers = steps('{page_number = "p", size = ["n", 2], first = 0}', page(), page(1))
    assert [step.params for step in numbers] == [{"p": "0", "n": "2"}, {"p": "1", "n": "2"}]
    assert len(steps('{page_number = "p", total = "pages"}', page(pages=2), page(pages=2))) == 2
    assert steps('{cursor = "after", last_row = "id"}', page())[1].params == {"after": "1"}
    assert steps('{cursor = "after", next = "to", more = "more"}', page(to="x", more=False)) == [Step({})]
    assert steps('{offset = "skip", size = ["n", 2]}', page())[1].params == {"skip": "2", "n": "2"}
    assert steps('{next_link = "next"}', page(next="https://elsewhere.example/a?b=1"))[1].url == "/a?b=1"
    assert steps('{next_link = "Link", header = true}', page()) == [Step({})]
    assert steps("{single_page = true}", page()) == [Step({})]


@pytest.mark.parametrize(
    ("auth", "headers", "params"),
    [
        ('{header = "X-Key", credential = "token", prefix = "Key "}', {"X-Key": "Key t-1"}, {}),
        ('{query = {api_key = "token"}}', {}, {"api_key": "t-1"}),
        ('{basic = ["token"]}', {"Authorization": "Basic dC0xOg=="}, {}),
        ('{basic = ["site", "token"]}', {"Authorization": "Basic czp0LTE="}, {}),
        ("{none = true}", {}, {}),
    ],
)
def test_requests_are_signed_as_the_file_says(auth: str, headers: dict[str, str], params: dict[str, str]) -> None:
    connector = plain('auth = {bearer = "token"}', f"auth = {auth}")
    request = Request(method="GET", url="https://api.plain.example/sales")
    connector.auth(request, {"token": "t-1", "site": "s"}, MemoryTokens(NOW))
    assert (request.headers, request.params) == (headers, params)


def test_a_token_is_fetched_from_https_only() -> None:
    words = 'auth = {client_credentials = "URL", client_id = "site", client_secret = "token", form = {scope = "a"}}'
    assert plain('auth = {bearer = "token"}', words.replace("URL", "https://api.plain.example/token")).auth.renewable
    for address in ("http://api.plain.example/token", "file:///etc/passwd", "https://me@api.plain.example/t"):
        told = fault('auth = {bearer = "token"}', words.replace("URL", address))
        assert "not an address that begins with https://" in told


def test_nothing_is_listed_where_asking_would_use_up_a_refresh_token() -> None:
    words = 'auth = {refresh_token = "https://api.plain.example/token", client_id = "site", refresh = "token"}'
    assert plain('auth = {bearer = "token"}', words).auth.renewable
    more = "\n[[discover]]\nwhat = 'sites'\npath = '/sites'\nid = {text = 'id'}\ntitle = {text = 'name'}\n"
    with pytest.raises(ConfigError, match="would lose it"):
        declare("plain.toml", PLAIN.replace('auth = {bearer = "token"}', words) + more)


def test_the_manual_tells_every_word() -> None:
    manual = (EXAMPLES.parents[1] / "docs" / "custom-providers.md").read_text("utf-8")
    words = {*WORDS, *RECORDS, *flow.WORDS}
    words |= {name for beside in (*WORDS.values(), *flow.WORDS.values()) for name in beside}
    assert {word for word in words if not re.search(rf"(?<![a-z_]){word}(?![a-z_])", manual)} == set()


def test_what_a_file_leaves_out_is_as_in_the_kit() -> None:
    connector = plain()
    assert (connector.role, connector.corrections, connector.payouts) == (Role.CASH, "in_place", "none")
    assert connector.message == ("message",)
    assert connector.recurrence is None
    assert list(connector.options) == ["base_url"]
    assert plain('title = "Plain"', 'title = "P"\nrecurrence = "variable"').recurrence is Recurrence.VARIABLE
    shop = declare("shop", (EXAMPLES / "example-shop.toml").read_text("utf-8"))
    assert (shop.base_url, shop.options["base_url"].required, shop.payouts) == ("", True, "read")
    network = declare("network", (EXAMPLES / "example-network.toml").read_text("utf-8"))
    plan = network.resource("commissions").plan
    assert isinstance(plan, Windows)
    assert plan.form(NOW) == NOW.astimezone(ZoneInfo("Europe/Berlin")).strftime("%Y-%m-%d %H:%M:%S")

"""The letter: two forms that say the same, readable anywhere, and no request to anybody."""

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.letter_story import JUNE, MAY_LETTER, NOW, june, lose, payout, quarantine
from tests.rows import Ledger, moment
from tracker.letter import WIDTH, laid_out, write
from tracker.letters import words
from tracker.letters.document import Bar, Command, Paragraph, Row, Table
from tracker.letters.written import Written
from tracker.summary import MonthlySummary, summarise

GOLDEN = Path(__file__).parent / "golden"
TEMPLATES = Path(words.__file__).parent
#: What Gmail shows of a mail before it cuts it off, in bytes.
GMAIL = 102_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'tracker.db'}", tmp_path) as ledger:
        yield ledger


def summary(ledger: Ledger, month: int = JUNE, **more: Any) -> MonthlySummary:
    return summarise(ledger.engine, ledger.settings, month, NOW, **{"since": MAY_LETTER, **more})


def same_as_golden(name: str, text: str, accept: bool) -> None:
    file = GOLDEN / name
    if accept:
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text("utf-8")


# --- as it is read ---


@pytest.mark.parametrize(
    ("locale", "subject"),
    [
        ("en", "Your income in June 2026"),
        ("de", "Einnahmen im Juni 2026"),
        ("nb", "Inntektene dine i juni 2026"),
    ],
)
def test_the_letter_of_a_full_month_reads_as_expected(ledger: Ledger, locale: str, subject: str, accept: bool) -> None:
    letter = write(replace(summary(june(ledger)), locale=locale))
    assert letter.subject == subject
    same_as_golden(f"letter-{locale}.txt", letter.text, accept)
    if locale == "en":
        same_as_golden("letter-en.html", letter.html, accept)


def test_a_late_letter_and_one_about_a_month_that_runs_say_so(ledger: Ledger, accept: bool) -> None:
    june(ledger)
    late = write(summary(ledger), late=True)
    assert late.subject == "Your income in June 2026 (this letter comes late)"
    assert "This letter comes late, on 3 July 2026: the tracker was not running when it was due." in flat(late.text)
    ledger.earning("stripe", "10.00", "2026-07-01", stream="Newsletter", recurrence="recurring")
    running = summary(ledger, 202607)
    same_as_golden("letter-running.txt", write(running).text, accept)
    for locale in ("de", "nb"):
        same_as_golden(f"letter-running-{locale}.txt", write(replace(running, locale=locale), late=True).text, accept)


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("earnings", "opening"),
    [
        ([], "There is nothing to tell yet, because no income has been read. Connect a first provider with: tracker"),
        ([("10.00", "2026-07-01")], "No income is known of June 2026. Your ledger begins in July 2026."),
        ([("10.00", "2026-06-01")], "You earned €10.00 in June 2026; none of it is recurring."),
        ([("10.00", "2026-06-01"), ("4.00", "2026-05-01")], "You earned €10.00 in June 2026, €6.00 more than in May;"),
        ([("10.00", "2026-06-01"), ("40.00", "2026-05-01")], "€30.00 less than in May; none of it is recurring."),
        ([("10.00", "2026-06-01"), ("10.00", "2026-05-01")], "in June 2026, just as much as in May; none"),
        ([("10.00", "2026-06-01"), ("2.00", "2025-06-01")], "A year earlier, in June 2025, it was €2.00."),
        ([("-10.00", "2026-06-01")], "June 2026 stands at -€10.00: more was taken back than was earned."),
        ([("10.00", "2026-06-01"), ("-10.00", "2026-06-02")], "You earned €0.00 in June 2026."),
        ([("10.00", "2026-06-01", "KES")], "is in currencies without a rate: KES 10.00 (1 earning)."),
    ],
)
def test_the_letter_begins_with_what_matters(ledger: Ledger, earnings: list[Any], opening: str) -> None:
    for net, day, *currency in earnings:
        ledger.earning("shop", net, day, **({"currency": currency[0]} if currency else {}))
    letter = write(summary(ledger))
    assert opening in flat(letter.text)
    assert opening in flat(Words.of(letter.html).text)


def test_what_the_affiliates_of_an_own_programme_get_is_told_as_a_cost(ledger: Ledger) -> None:
    ledger.earning("shop", "10.00", "2026-06-01")
    assert "a cost" not in write(summary(ledger)).text
    ledger.earning("shop", "-4.00", "2026-06-01", kind="cost")
    ledger.earning("shop", "-300", "2026-06-02", kind="cost", currency="KES")
    letter = write(summary(ledger))
    told = (
        "You owe or have paid €4.00 (1 commission) and KES 300.00 (1 commission) to the affiliates of your own "
        "programme for June 2026: a cost, in no total."
    )
    assert told in flat(letter.text)
    assert told in flat(Words.of(letter.html).text)
    assert "You earned €10.00 in June 2026" in flat(letter.text)


@pytest.mark.parametrize(
    ("recurring", "other", "words"),
    [("10.00", None, "all of it"), ("1.00", "2.00", "33 % of it"), ("15.00", "-5.00", None), ("-5.00", "15.00", None)],
)
def test_the_recurring_share_is_told_where_it_makes_sense(
    ledger: Ledger, recurring: str, other: str | None, words: str | None
) -> None:
    ledger.earning("shop", recurring, "2026-06-01", recurrence="recurring")
    if other:
        ledger.earning("shop", other, "2026-06-01")
    text = flat(write(summary(ledger)).text).replace("\u00a0", " ")
    assert (f"; {words} is recurring." in text) if words else ("of it is recurring" not in text)


def test_january_is_compared_with_december_of_the_year_before(ledger: Ledger) -> None:
    ledger.earning("shop", "10.00", "2026-01-05")
    ledger.earning("shop", "4.00", "2025-12-05")
    assert "€6.00 more than in December 2025;" in flat(write(summary(ledger, 202601)).text)


# --- both forms ---


class Words(HTMLParser):
    """What an HTML letter shows, and how it is built."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._silent = 0

    @classmethod
    def of(cls, html: str) -> "Words":
        parser = cls()
        parser.feed(html)
        parser.close()
        return parser

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._silent += tag in ("style", "title")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("style", "title")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.found.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.found)


def test_both_forms_say_everything_in_the_same_order(ledger: Ledger) -> None:
    found = summary(june(ledger))
    letter, told = write(found), words.document(found, late=False)
    said: list[str] = [part.text for part in told.opening]
    for section in told.sections:
        for part in section.parts:
            match part:
                case Paragraph() | Command():
                    said.append(part.text)
                case Bar():
                    said += [part.part, part.rest]
                case Table():
                    said.append(part.caption)
                    said += [cell for row in part.rows for cell in row.cells if isinstance(cell, str)]
    for form in (letter.text, Words.of(letter.html).text):
        squeezed, place = re.sub(r"\s", "", form), 0
        for one in said:
            place = squeezed.find(re.sub(r"\s", "", one), place)
            assert place >= 0, one


def test_the_html_asks_nobody_for_anything(ledger: Ledger) -> None:
    html = write(summary(june(ledger))).html
    assert not re.search(r"https?:|//|url\(|@import|@font-face|src=|href=|cid:|<script|<img|<link|<iframe", html, re.I)


def test_hostile_names_stay_text(ledger: Ledger) -> None:
    name = '</td><img src=x onerror="a">{{ 7*7 }} & Söhne\r\nBcc: x\x1b[2J'
    ledger.earning("shop", "10.00", "2026-06-01", stream=name, program=name)
    lose(ledger, "shop", "5.00", "2026-06-01", "declined", moment("2026-06-20"), product=name, provider_status=name)
    payout(ledger, "shop", "p1", "1.00", "2026-06-02")
    quarantine(ledger, "shop", name, name)
    letter = write(summary(ledger))
    parsed = Words.of(letter.html)
    assert not [tag for tag, _ in parsed.tags if tag in ("img", "script")]
    assert "\x1b" not in letter.text + letter.html
    assert flat(name.replace("\x1b", " ")) in flat(parsed.text)
    assert "{{ 7*7 }}" in letter.text
    assert "\n" not in letter.subject


def test_the_html_can_be_read_aloud_and_is_laid_out_for_mail_programs(ledger: Ledger) -> None:
    parsed = Words.of(write(summary(june(ledger))).html)
    named = [tag for tag, _ in parsed.tags]
    assert ("html", {"lang": "en"}) in parsed.tags
    assert (named.count("h1"), named.count("caption") > 5, named.index("h1") < named.index("h2")) == (1, True, True)
    tables = [attributes for tag, attributes in parsed.tags if tag == "table"]
    layout = [attributes for attributes in tables if attributes.get("role") == "presentation"]
    assert len(tables) - len(layout) == named.count("caption")
    assert {attributes.get("scope") for tag, attributes in parsed.tags if tag == "th"} == {"col", "row"}
    styled = [tag for tag, attributes in parsed.tags if tag in ("p", "td", "th", "h2") and attributes.get("style")]
    assert len(styled) > 100
    assert {"color-scheme", "supported-color-schemes", "viewport"} <= {
        str(attributes.get("name")) for tag, attributes in parsed.tags if tag == "meta"
    }


def test_the_encoding_is_told_early_and_dark_mode_is_kept(ledger: Ledger) -> None:
    html = write(summary(june(ledger))).html
    assert 0 < html.encode().find(b'charset="utf-8"') < 1024  # where browsers look for it in a saved file
    assert "@media (prefers-color-scheme: dark)" in html


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it (w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("file", "selector"), [("letter.css", ".sheet"), ("kept.css", ".sheet")])
def test_every_colour_of_text_stands_out_from_the_sheet(file: str, selector: str) -> None:
    css = (TEMPLATES / file).read_text("utf-8")
    sheet = luminance(re.search(rf"\{selector} {{[^}}]*background-color: #(\w{{6}})", css)[1])  # type: ignore[index]
    colours = set(re.findall(r"(?<![-\w])color: #(\w{6})", css))
    assert len(colours) >= 4
    for colour in colours:
        dark, light = sorted((sheet, luminance(colour)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, colour


# --- plain text ---


def test_the_text_is_narrow_enough_for_any_mail_program(ledger: Ledger) -> None:
    june(ledger)
    name = (
        "A very long name of a stream that goes on and on, with Donaudampfschifffahrtsgesellschaftskapitän at its end"
    )
    ledger.earning("shop", "123456789.12", "2026-06-01", stream=name)
    lose(
        ledger,
        "shop",
        "1234567.00",
        "2026-06-01",
        "declined",
        moment("2026-06-20"),
        product=name,
        program="登山用品の店" * 9,
    )
    payout(ledger, "shop", "p1", "98765432.10", "2026-06-02")
    for locale in ("en", "de", "nb"):
        lines = write(replace(summary(ledger), locale=locale)).text.splitlines()
        assert max(map(len, lines)) <= WIDTH, locale
        assert "登山用品の店" in "".join(lines)


WIDE = "登山用品店"
NAMES = st.text(f"abc é{WIDE}", max_size=60)


def columns(line: str) -> int:
    """On a screen, where each wide letter takes two."""
    return len(line) + sum(line.count(letter) for letter in WIDE)


@given(st.lists(st.tuples(NAMES, st.decimals(0, 10**9, places=2)), max_size=6))
def test_the_columns_of_a_table_end_where_their_header_ends(rows: list[tuple[str, Decimal]]) -> None:
    header, rule, *lines = laid_out(
        Table("", ["Stream", "Amount"], [Row([name, str(amount)]) for name, amount in rows])
    )
    assert columns(header) == len(rule) <= WIDTH
    assert [columns(line) for line in lines if line[-1:].isdigit()] == [len(rule)] * len(rows)
    assert max(map(columns, lines), default=0) <= len(rule)
    said = "".join("".join(lines).split())
    assert all("".join(name.split()) in re.sub(r"[\d.]", "", said) and str(amount) in said for name, amount in rows)


def test_a_list_of_many_is_cut_and_says_so(ledger: Ledger) -> None:
    w = Written(summary(ledger))
    assert [w.listed("abc"[:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert w.listed("abcdefgh", 3) == "a, b and 6 more"


# --- large and small ---


def test_a_publisher_with_hundreds_of_streams_gets_a_letter_that_mail_programs_show_whole(ledger: Ledger) -> None:
    for number in range(120):
        slug = f"network-{number}"
        ledger.connection(slug, last_error="The provider answers with 503.", as_of=NOW)
        ledger.earning(slug, f"{number}.50", "2026-06-02", stream=f"Stream {number}", recurrence="recurring")
        ledger.earning(slug, "2.00", "2026-05-02", stream=f"Stream {number}", status="pending")
        payout(ledger, slug, "p1", "9.00", "2026-06-03")
        quarantine(ledger, slug, "q1", "not a date")
    found = summary(ledger)
    letter = write(found)
    assert len(letter.html.encode()) < GMAIL
    table = next(part for part in words.document(found, late=False).sections[0].parts if isinstance(part, Table))
    assert [row.cells[0] for row in table.rows][-2:] == ["106 more streams", "Total"]
    for column in (1, 3):
        *parts, total = (Decimal(str(row.cells[column]).replace(",", "")) for row in table.rows)
        assert sum(parts) == total == Decimal(7200)


def test_an_empty_ledger_gets_a_short_friendly_letter(ledger: Ledger, accept: bool) -> None:
    found = summary(ledger, since=None)
    letter = write(found)
    same_as_golden("letter-empty.txt", letter.text, accept)
    for locale in ("de", "nb"):
        same_as_golden(f"letter-empty-{locale}.txt", write(replace(found, locale=locale)).text, accept)
    assert Words.of(letter.html).text.count("tracker connection add") == 1


def test_a_currency_without_cents_has_none(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'yen.db'}", tmp_path, currency="JPY") as ledger:
        ledger.earning("shop", "1500", "2026-06-01", currency="JPY")
        assert "You earned ¥1,500 in June 2026" in flat(write(summary(ledger)).text)


def test_templates_and_styles_are_installed_with_the_package() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    assert "letters/**" in project["tool"]["setuptools"]["package-data"]["tracker"]
    assert {file.name for file in TEMPLATES.iterdir() if file.suffix in (".j2", ".css")} == {
        "letter.txt.j2", "letter.html.j2", "letter.css", "kept.css",
    }  # fmt: skip

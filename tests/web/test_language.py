"""Pages in three languages: every sentence is there, with its placeholders, and numbers are written as the locale does.

`pytest tests/web/test_language.py --accept` brings the catalogues up to the pages: new sentences come in empty, those
that no page says any more go.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po
from markupsafe import Markup

from tests.web.conftest import words
from tests.world import World
from tracker.web.language import Speech, chosen, written_as

WEB = Path(__file__).parents[2] / "tracker" / "web"
KEYWORDS = {"_": None, "say": None, "gettext": None, "ngettext": (1, 2), "n": (1, 2)}
TRANSLATED = ("de", "nb")
NOW = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
_HOLDER = re.compile(r"%\((\w+)\)s|%(?!\()")


def said() -> Catalog:
    """Every sentence of the pages."""
    found = Catalog()
    methods = [("**.py", "python"), ("**.j2", "jinja2")]
    for _, _, message, _, _ in extract_from_dir(WEB, methods, keywords=KEYWORDS):
        found.add(message)
    return found


def file_of(language: str) -> Path:
    return WEB / "languages" / f"{language}.po"


def read(language: str) -> Catalog:
    with file_of(language).open("rb") as file:
        return read_po(file, locale=language)


def brought_up(language: str, wanted: Catalog) -> bytes:
    """The catalogue with all sentences of the pages, in order, as a file without anything that changes by itself."""
    known = read(language) if file_of(language).exists() else Catalog(locale=language)
    made = Catalog(locale=language, header_comment="")
    for message in sorted(wanted, key=lambda one: str(one.id)):
        if message.id:
            there = known.get(message.id if isinstance(message.id, str) else message.id[0])
            made.add(message.id, there.string if there and there.id == message.id else None)
    out = BytesIO()
    write_po(out, made, width=0, omit_header=True, no_location=True)
    head = f'msgid ""\nmsgstr ""\n"Language: {language}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    return (head + '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n').encode() + out.getvalue()


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_catalogue_has_every_sentence_of_the_pages(language: str, accept: bool) -> None:
    whole = brought_up(language, said())
    if accept:
        file_of(language).write_bytes(whole)
    assert file_of(language).read_bytes() == whole, "pytest tests/web/test_language.py --accept adds what is new"
    empty = [message.id for message in read(language) if message.id and not all(strings(message.string))]
    assert not empty, f"{len(empty)} sentences wait for a translation, such as {empty[:3]}"


def strings(told: object) -> list[str]:
    return [str(one or "") for one in told] if isinstance(told, list | tuple) else [str(told or "")]


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_fills_in_the_same_values(language: str) -> None:
    for message in read(language):
        wanted = [set(_HOLDER.findall(one)) for one in strings(message.id)]
        for string in strings(message.string):
            if message.id and string:
                assert set(_HOLDER.findall(string)) in wanted, message.id
                assert string.strip() == string or message.id != str(message.id).strip(), message.id


def speech(language: str, locale: str = "en", asked: str = "") -> Speech:
    return Speech(language, written_as(language, locale, asked), ZoneInfo("Europe/Berlin"), "EUR", NOW)


def test_numbers_and_dates_are_written_as_the_locale_does() -> None:
    english, german, norwegian = speech("en", "en_GB"), speech("de"), speech("nb")
    assert english.money(Decimal("1234.5")) == "€1,234.50"
    assert german.money(Decimal("1234.5")) == "1.234,50\xa0€"
    assert norwegian.amount(Decimal("1234.5"), "NOK") == "1\xa0234,50"
    assert english.money(Decimal("500"), "KES") == "KES\xa0500.00"
    assert (english.amount(None), english.amount(Decimal("0.001"))) == ("–", "–")
    assert (german.month(202603), norwegian.short_month(202605)) == ("März 2026", "mai 2026")
    assert english.day(date(2026, 6, 1)) == "1 Jun 2026"
    assert "12:00" in german.minute(NOW)
    assert english.ago(NOW - timedelta(hours=3)) == "3 hours ago"
    assert german.ago(NOW + timedelta(minutes=5)) == "in 5 Minuten"
    assert english.plain(Decimal("1200.00")) == "1200"
    assert (english.rate(Decimal("1.0858912345")), german.rate(Decimal("0.00654321987"))) == ("1.08589", "0,00654322")
    assert english.rate(Decimal("1234567.89")) == "1,234,568"


def test_a_country_in_the_settings_decides_only_for_its_own_language() -> None:
    assert speech("en", "de_AT").day(date(2026, 6, 1)) == "Jun 1, 2026"
    assert speech("de", "de_CH").money(Decimal("1234.5"), "CHF") == "CHF\xa01’234.50"


def test_without_one_the_browsers_country_decides() -> None:
    day = date(2026, 6, 1)
    assert speech("en", "en", "de-DE, en-GB;q=0.8").day(day) == "1 Jun 2026"
    assert speech("en", "en_US", "en-GB").day(day) == "Jun 1, 2026"
    assert speech("en", "en", "en-XX, en-!!, en-" + "x" * 300).day(day) == "Jun 1, 2026"


@pytest.mark.parametrize(
    ("wanted", "asked", "expected"),
    [
        ("nb", "de", "nb"),
        (None, "de-CH,de;q=0.9,en;q=0.8", "de"),
        (None, "fr,no;q=0.5,en;q=0.4", "nb"),
        (None, "en;q=0.1,de;q=0.2", "de"),
        (None, "fr, *;q=0.1", "en"),
        (None, "de;q=x, ;;;,", "en"),
        ("xx", "", "en"),
    ],
)
def test_the_language_is_the_users_or_the_browsers(wanted: str | None, asked: str, expected: str) -> None:
    assert chosen(wanted, asked, "en") == expected


def test_a_value_that_is_markup_stays_so_and_the_rest_is_escaped() -> None:
    told = speech("en")._("<%(link)s> & %(name)s", link=Markup("<b>x</b>"), name="<i>")
    assert told == "&lt;<b>x</b>&gt; &amp; &lt;i&gt;"


def test_a_page_speaks_the_language_that_is_asked_for(inside: httpx.Client, world: World) -> None:
    for language, expected in (("de", "Einnahmen"), ("nb", "Inntekt"), ("en", "Income")):
        page = inside.get("/letters", headers={"Accept-Language": language})
        assert f'<html lang="{language}">' in page.text
        assert page.headers["content-language"] == language
        assert expected in words(page)

"""Pages in three languages: every sentence is there, with its placeholders, and numbers are written as the locale does.

`pytest tests/web/test_language.py --accept` brings the catalogues up to the pages: new sentences come in empty, those
that no page says any more go.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import httpx
import pytest
from markupsafe import Markup

from tests.catalogues import HOLDER, TRANSLATED, brought_up, file_of, read, strings
from tests.web import sentences
from tests.web.conftest import words
from tests.world import World
from tracker.web.language import Speech, chosen, written_as

NOW = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
GAP = re.compile(r"\{\d+\}")


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_catalogue_has_every_sentence_of_pages_connectors_and_errors(language: str, accept: bool) -> None:
    file, whole = file_of("web", language), brought_up("web", language, sentences.said())
    if accept:
        file.write_bytes(whole)
    assert file.read_bytes() == whole, "pytest tests/web/test_language.py --accept adds what is new"
    empty = [message.id for message in read("web", language) if message.id and not all(strings(message.string))]
    assert not empty, f"{len(empty)} sentences wait for a translation, such as {empty[:3]}"


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_fills_in_the_same_values(language: str) -> None:
    for message in read("web", language):
        holder = GAP if message.context == sentences.ERROR else HOLDER
        wanted = [set(holder.findall(one)) for one in strings(message.id)]
        for string in strings(message.string):
            if message.id and string:
                assert set(holder.findall(string)) in wanted, message.id
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
    assert (english.share(Decimal("0.64")), german.share(Decimal("0.64"))) == ("64%", "64\xa0%")
    assert norwegian.share(Decimal("-0.123"), "+#,##0.0%;-#,##0.0%") == "-12,3\xa0%"
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

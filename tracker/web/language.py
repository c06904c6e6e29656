"""What pages say in the reader's language: sentences from a catalogue, and numbers and dates as the locale writes them.

English is the language of the source. A sentence that a catalogue lacks is shown in English rather than not at all.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, format_timedelta
from babel.numbers import format_compact_currency, format_currency, format_decimal, format_percent
from markupsafe import Markup, escape

from tracker.catalogues import catalogue
from tracker.figures.mrr import rounded
from tracker.settings import LANGUAGES
from tracker.web.errors_told import Errors, capital

NOTHING = "–"
_CODE_BEFORE = re.compile(r"(?<=[A-Z]{3})(?=\d)")  # English locales put a code right before the digits
_ENGLISH = Markup('<span lang="en">{}</span>')
_NAMES = {"en": "English", "de": "Deutsch", "nb": "Norsk bokmål"}


def languages() -> list[tuple[str, str]]:
    """Code and own name of every language that the pages come in."""
    return [(code, _NAMES[code]) for code in LANGUAGES]


@lru_cache
def _errors(language: str) -> Errors:
    return Errors({str(english): str(said) for english, said in catalogue("web", language, "error").items()})


def chosen(wanted: str | None, asked: str, fallback: str) -> str:
    """The language of a page: the user's choice, else the first of the browser's (`Accept-Language`) that we speak."""
    if wanted in LANGUAGES:
        return str(wanted)
    ranked = []
    for position, part in enumerate(asked[:500].split(",")):
        tag, _, weight = part.strip().partition(";q=")
        language = {"no": "nb", "nn": "nb"}.get(code := tag.split("-")[0].lower(), code)
        if language in LANGUAGES and re.fullmatch(r"|[01](\.\d{1,3})?", weight):
            ranked.append((-float(weight or 1), position, language))
    return min(ranked)[2] if ranked and min(ranked)[0] else fallback


@lru_cache(maxsize=256)
def written_as(language: str, settled: str, asked: str) -> Locale:
    """How numbers and dates of a language look: as the settings' country does, else as that of the browser."""
    tags = [settled.replace("_", "-"), *(part.partition(";")[0].strip() for part in asked[:500].split(","))]
    for tag in tags:
        if "-" in tag and tag.split("-")[0].lower() == language:
            with suppress(ValueError, UnknownLocaleError):
                return Locale.parse(tag, sep="-")
    return Locale.parse(language)


def _filled(said: str, values: Mapping[str, object]) -> str:
    """A value that is markup stays so, and then the sentence around it is escaped."""
    if any(isinstance(value, Markup) for value in values.values()):
        return escape(said) % values
    return said % values if values else said


class Speech:
    """One language, with the currency and time zone of the settings. Amounts are exact Decimals, moments aware."""

    def __init__(self, language: str, locale: Locale, zone: ZoneInfo, currency: str, now: datetime) -> None:
        self.language, self.locale, self.zone, self.currency, self.now = language, locale, zone, currency, now
        self._told = catalogue("web", language)

    # --- sentences ---

    def _(self, text: str, **values: object) -> str:
        return _filled(str(self._told.get(text, text)), values)

    def n(self, one: str, several: str, count: int, **values: object) -> str:
        """The form for a number; `%(count)s` is written as the locale does."""
        forms = self._told.get((one, several), (one, several))
        form = forms[0] if count == 1 else forms[-1]
        return _filled(form, {"count": self.count(count), **values})

    def told(self, text: object, *, as_sentence: bool = False) -> Markup:
        """An error's text, also one that was stored, in the reader's language; what stays English is marked as that.

        Markup has been told already and stays as it is.
        """
        if isinstance(text, Markup):
            return text
        if self.language == "en":
            return escape(capital(str(text)) if as_sentence else str(text))
        pieces = [(piece.text, piece.is_told) for piece in _errors(self.language).pieces(str(text))]
        if pieces and as_sentence:
            pieces[0] = (capital(pieces[0][0]), pieces[0][1])
        return Markup(" ").join(said if is_told else _ENGLISH.format(said) for said, is_told in pieces)

    def each(self, texts: Iterable[str]) -> list[str]:
        """What connectors declare, as `_` tells one text."""
        return [self._(text) for text in texts]

    def listed(self, words: Iterable[str], most: int = 10) -> str:
        """ "a, b and c"; of many, the first and the number of the others."""
        every = list(words)
        if len(every) > most:
            every = [*every[: most - 1], self.n("%(count)s more", "%(count)s more", len(every) - most + 1)]
        if len(every) < 2:
            return "".join(every)
        return self._("%(first)s and %(last)s", first=", ".join(every[:-1]), last=every[-1])

    # --- numbers ---

    def money(self, value: Decimal, currency: str | None = None) -> str:
        """With its currency: "€1,234.50", "KES 500.00"."""
        return _CODE_BEFORE.sub("\u00a0", format_currency(value, currency or self.currency, locale=self.locale))

    def amount(self, value: Decimal | None, currency: str | None = None) -> str:
        """For a column whose currency is said elsewhere; "–" for nothing."""
        currency = currency or self.currency
        if value is None or not rounded(value, currency):
            return NOTHING
        return str(format_currency(value, currency, "#,##0.00", locale=self.locale))

    def short(self, value: Decimal, currency: str | None = None) -> str:
        """ "€12K", for axes."""
        return str(format_compact_currency(value, currency or self.currency, locale=self.locale, fraction_digits=1))

    def signed(self, value: Decimal, currency: str | None = None) -> str:
        """A difference: "+€12.00", "-€3.00"."""
        return ("+" if value > 0 else "") + self.money(value, currency)

    def count(self, value: int) -> str:
        return str(format_decimal(value, locale=self.locale))

    def rate(self, value: Decimal) -> str:
        """Of exchange: six digits that count, as reference rates have."""
        digits = max(0, 5 - value.adjusted())
        return str(format_decimal(round(value, digits), f"#,##0.{'#' * digits}", locale=self.locale))

    def share(self, value: Decimal, pattern: str = "#,##0%") -> str:
        """The sign stands as the locale writes it: "64%", "64 %"."""
        usual = self.locale.percent_formats[None].pattern
        return str(format_percent(value, pattern.replace("%", usual.lstrip("#,0")), locale=self.locale))

    @staticmethod
    def plain(value: Decimal | None) -> str:
        """For form fields and data attributes: a point, no grouping, no exponent."""
        return "" if value is None else f"{value.normalize():f}"

    # --- time ---

    def month(self, month: int) -> str:
        return self._date(date(month // 100, month % 100, 1), "MMMM y")

    def short_month(self, month: int) -> str:
        return self._date(date(month // 100, month % 100, 1), "MMM y")

    def day(self, when: date | datetime) -> str:
        return str(format_date(self._there(when), "medium", locale=self.locale))

    def minute(self, moment: datetime) -> str:
        there = moment.astimezone(self.zone)
        return f"{self.day(there)} {format_time(there.time(), 'short', locale=self.locale)}"

    def ago(self, moment: datetime) -> str:
        """ "3 hours ago", "in 5 minutes"."""
        gone = moment.astimezone(UTC) - self.now.astimezone(UTC)
        if abs(gone) < timedelta(seconds=10):
            return self._("just now")
        return str(format_timedelta(gone, add_direction=True, threshold=1, locale=self.locale))

    def span(self, length: timedelta) -> str:
        """ "3 hours"."""
        return str(format_timedelta(length, threshold=1, locale=self.locale))

    def iso(self, when: date | datetime) -> str:
        """For `<input type=date>` and `<time datetime>`."""
        return self._there(when).isoformat()

    def _there(self, when: date | datetime) -> date:
        return when.astimezone(self.zone).date() if isinstance(when, datetime) else when

    def _date(self, day: date, pattern: str) -> str:
        return str(format_date(day, pattern, locale=self.locale))

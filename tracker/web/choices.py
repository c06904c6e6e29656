"""What selects offer: currencies, time zones and locales, the likely ones first, in the reader's language."""

from functools import lru_cache
from zoneinfo import available_timezones

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.numbers import get_territory_currencies

from tracker.money import known_currencies
from tracker.web.language import Speech

#: A heading with what stands below it: pairs of value and label.
Groups = list[tuple[str, list[tuple[str, str]]]]
_USUAL = (
    "EUR", "USD", "GBP", "CHF", "NOK", "SEK", "DKK", "PLN", "CZK", "CAD", "AUD", "NZD", "JPY", "INR", "BRL",
)  # fmt: skip
LOCALES = (
    "en", "en_AU", "en_CA", "en_GB", "en_IE", "en_IN", "en_NZ", "en_US", "en_ZA", "de", "de_AT", "de_CH", "de_DE", "nb",
)  # fmt: skip
_AREAS = ("Europe", "America", "Asia", "Africa", "Australia", "Pacific", "Atlantic", "Indian", "Arctic", "Antarctica")
#: Where a language is mostly spoken, when a browser names no country.
_LIKELY = {"de": "DE", "nb": "NO"}


def currencies(w: Speech, chosen: str) -> Groups:
    """Those in use, by name."""
    names = w.locale.currencies

    def told(code: str) -> tuple[str, str]:
        return code, f"{code} – {names.get(code, code)}"

    others = [code for code in sorted(_in_use() | {chosen}) if code not in _USUAL]
    return [(w._("Often used"), [told(code) for code in _USUAL]), (w._("All others"), [told(code) for code in others])]


@lru_cache
def _in_use() -> frozenset[str]:
    """What is legal tender somewhere today, by CLDR."""
    spent = get_global("territory_currencies")
    now = {code for rows in spent.values() for code, _, end, tender in rows if tender and end is None}
    return frozenset(now) & known_currencies()


def time_zones(w: Speech, chosen: str) -> Groups:
    """Areas with their cities; first of all UTC and, where it is none of these, the chosen one."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in _cities():
        area, _, city = name.partition("/")
        found.setdefault(area, []).append((name, city.replace("_", " ").replace("/", ", ")))
    alone = [(name, name) for name in dict.fromkeys(["UTC", chosen]) if name not in _cities()]
    areas = {
        "Europe": w._("Europe"), "America": w._("America"), "Asia": w._("Asia"), "Africa": w._("Africa"),
        "Australia": w._("Australia"), "Pacific": w._("Pacific"), "Atlantic": w._("Atlantic"),
        "Indian": w._("Indian Ocean"), "Arctic": w._("Arctic"), "Antarctica": w._("Antarctica"),
    }  # fmt: skip
    return [(w._("Everywhere"), alone), *((areas[area], found[area]) for area in _AREAS if area in found)]


@lru_cache
def _cities() -> tuple[str, ...]:
    return tuple(sorted(name for name in available_timezones() if name.split("/")[0] in _AREAS and "/" in name))


def locales(w: Speech, chosen: str) -> list[tuple[str, str]]:
    """Each in its own language."""
    tags = dict.fromkeys([*LOCALES, *([chosen] if chosen not in LOCALES else [])])
    return [(tag, _capital(Locale.parse(tag).get_display_name(tag) or tag)) for tag in tags]


def guessed(w: Speech, asked: str, currency: str) -> tuple[str, str]:
    """Locale and currency for a first run, by what the browser asks for (`Accept-Language`)."""
    for part in asked[:500].split(","):
        tag = part.partition(";")[0].strip().replace("-", "_")
        try:
            there = Locale.parse(tag)
        except (ValueError, UnknownLocaleError):
            continue
        if {"no": "nb", "nn": "nb"}.get(there.language, there.language) == w.language:
            country = there.territory or _LIKELY.get(w.language)
            spent = get_territory_currencies(country) if country else []
            known = f"{w.language}_{there.territory}"
            return known if known in LOCALES else w.language, spent[0] if spent else currency
    return w.language, currency


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]

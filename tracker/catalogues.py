"""Sentences in other languages, kept as gettext keeps them: a `.po` file for each language and each part that speaks.

English is the language of the source. A sentence that a catalogue lacks is said in English rather than not at all.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files


@lru_cache
def catalogue(
    part: str, language: str, context: str | None = None
) -> Mapping[str | tuple[str, str], str | tuple[str, ...]]:
    """What `tracker/<part>/languages/<language>.po` says, by the English: a text, or the forms of a counted one by
    singular and plural. Empty for English, and for a language without a file. `context` names sentences that stand
    apart (msgctxt); without one they are left out.
    """
    path = files("tracker") / part / "languages" / f"{language}.po"
    if language == "en" or not path.is_file():
        return {}
    from babel.messages.pofile import read_po  # only for other languages: babel is slow to import

    with path.open("rb") as file:
        found = read_po(file, locale=language)
    told: dict[str | tuple[str, str], str | tuple[str, ...]] = {}
    for message in found:
        if message.id and message.context == context and not message.fuzzy and message.string and all(message.string):
            key = (message.id[0], message.id[1]) if isinstance(message.id, list | tuple) else message.id
            told[key] = message.string if isinstance(message.string, str) else tuple(message.string)
    return told

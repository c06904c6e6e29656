"""What tests of languages share: the sentences of a part of the product, and its catalogues brought up to them."""

import re
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

PRODUCT = Path(__file__).parents[1] / "tracker"
KEYWORDS = {"_": None, "say": None, "gettext": None, "ngettext": (1, 2), "n": (1, 2)}
TRANSLATED = ("de", "nb")
#: What is filled into a sentence, and a lone per cent sign, which would break it.
HOLDER = re.compile(r"%\((\w+)\)s|%(?!\()")


def said(part: str) -> Catalog:
    """Every sentence of `tracker/<part>`."""
    found = Catalog()
    methods = [("**.py", "python"), ("**.j2", "jinja2")]
    for _, _, message, _, _ in extract_from_dir(PRODUCT / part, methods, keywords=KEYWORDS):
        found.add(message)
    return found


def file_of(part: str, language: str) -> Path:
    return PRODUCT / part / "languages" / f"{language}.po"


def read(part: str, language: str) -> Catalog:
    with file_of(part, language).open("rb") as file:
        return read_po(file, locale=language)


def brought_up(part: str, language: str, wanted: Catalog | None = None) -> bytes:
    """A catalogue: all sentences of the part, or the wanted ones, in order, with nothing that changes by itself."""
    known = read(part, language) if file_of(part, language).exists() else Catalog(locale=language)
    made = Catalog(locale=language, header_comment="")
    every = said(part) if wanted is None else wanted
    for message in sorted(every, key=lambda one: (one.context or "", str(one.id))):
        if message.id:
            there = known.get(message.id if isinstance(message.id, str) else message.id[0], message.context)
            told = there.string if there and there.id == message.id else None
            made.add(message.id, told, context=message.context)
    out = BytesIO()
    write_po(out, made, width=0, omit_header=True, no_location=True)
    head = f'msgid ""\nmsgstr ""\n"Language: {language}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    return (head + '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n').encode() + out.getvalue()


def strings(told: object) -> list[str]:
    """A text, or the forms of a counted one."""
    return [str(one or "") for one in told] if isinstance(told, list | tuple) else [str(told or "")]

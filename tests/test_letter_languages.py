"""The letter in three languages: every sentence is there with its values, and all of them tell the same figures.

`pytest tests/test_letter_languages.py --accept` brings the catalogues up to the letter: new sentences come in empty,
those that it says no more go.
"""

import ast
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from hypothesis import Phase, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from tests.catalogues import HOLDER, PRODUCT, TRANSLATED, brought_up, file_of, read, said, strings
from tests.letter_story import JUNE, MAY_LETTER, NOW, june
from tests.post_office import PostOffice
from tests.rows import Ledger
from tracker import connections
from tracker.figures.income import Cost, Unconverted
from tracker.letter import write
from tracker.letters import attention
from tracker.letters.document import Bar, Command, Document, Paragraph, Part, Table
from tracker.letters.words import document
from tracker.mail import compose
from tracker.mail_proof import send_proof
from tracker.summary import MonthlySummary, Pending, Sum, Trouble, summarise

PART = "letters"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, MonthlySummary]]:
    """The summaries of a full month and of one that runs."""
    folder = tmp_path_factory.mktemp("story")
    with Ledger(f"sqlite:///{folder / 'tracker.db'}", folder) as ledger:
        june(ledger)
        ledger.earning("stripe", "10.00", "2026-07-01", stream="Newsletter", recurrence="recurring")
        yield {
            month: summarise(ledger.engine, ledger.settings, month, NOW, since=MAY_LETTER) for month in (JUNE, 202607)
        }


# --- the catalogues ---


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_catalogue_has_every_sentence_of_the_letter(language: str, accept: bool) -> None:
    whole = brought_up(PART, language)
    if accept:
        file_of(PART, language).write_bytes(whole)
    assert file_of(PART, language).read_bytes() == whole, "pytest tests/test_letter_languages.py --accept"
    empty = [message.id for message in read(PART, language) if message.id and not all(strings(message.string))]
    assert not empty, f"{len(empty)} sentences wait for a translation, such as {empty[:3]}"


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_fills_in_the_same_values(language: str) -> None:
    for message in read(PART, language):
        wanted = [set(HOLDER.findall(one)) for one in strings(message.id)]
        for string in strings(message.string):
            assert not message.id or set(HOLDER.findall(string)) in wanted, message.id


def test_no_sentence_hides_from_the_catalogues() -> None:
    """Sentences are collected from the source, which misses what is put together or stands inside of an f-string."""
    collected = {one for message in said(PART) for one in strings(message.id)}
    asked = {"_": 1, "n": 2}
    for file in (PRODUCT / PART).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in asked:
                for argument in node.args[: asked[node.func.attr]]:
                    assert isinstance(argument, ast.Constant), f"{file.name}:{node.lineno}"
                    assert argument.value in collected, f"{file.name}:{node.lineno}"


def test_the_reason_of_a_pause_by_hand_is_the_one_that_is_kept() -> None:
    assert inspect.signature(connections.pause).parameters["reason"].default == attention.BY_HAND


# --- the letter ---


@pytest.mark.parametrize(
    ("locale", "language", "sender"),
    [
        ("de_DE", "de", "Einnahmen-Tracker"),
        ("nb_NO", "nb", "Inntektstracker"),
        ("en_GB", "en", "Income tracker"),
        ("en", "en", "Income tracker"),
    ],
)
def test_the_letter_is_in_the_language_of_the_locale_and_says_so(
    story: dict[int, MonthlySummary], locale: str, language: str, sender: str
) -> None:
    plain, letter = write(replace(story[JUNE], locale=language)), write(replace(story[JUNE], locale=locale))
    assert (letter.language, letter.subject) == (language, plain.subject)
    assert f'<html lang="{language}">' in letter.html
    mail = compose(letter, sender="a@example.com", recipient="b@example.com", message_id="<x@example.com>", date=NOW)
    again = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert (again["Content-Language"], again["From"].addresses[0].display_name) == (language, sender)
    assert again["Subject"] == letter.subject


def test_dates_and_months_are_those_of_the_country(story: dict[int, MonthlySummary]) -> None:
    january = replace(story[JUNE], month=202601)
    assert write(replace(january, locale="de_AT")).subject == "Einnahmen im Jänner 2026"
    assert write(replace(january, locale="de")).subject == "Einnahmen im Januar 2026"
    assert "3. juli 2026" in write(replace(january, locale="nb")).text.replace("\u00a0", " ")


def test_what_providers_and_errors_say_is_quoted_as_it_is(story: dict[int, MonthlySummary]) -> None:
    refused = [
        replace(one, why="The key was refused.") for one in story[JUNE].troubled if one.trouble is Trouble.PAUSED
    ]
    letter = write(replace(story[JUNE], locale="de", troubled=tuple(refused)))
    assert "pausiert. Der Grund: „The key was refused.“ Sie wurde" in " ".join(letter.text.split())


# --- the same figures ---

_GROUPED = {"en": r"(?<=\d),(?=\d{3})", "de": r"(?<=\d)\.(?=\d{3})", "nb": r"(?<=\d)\u00a0(?=\d{3}(?!\d))"}
_MARK = {"en": ".", "de": ",", "nb": ","}


def figures(text: str, language: str) -> Counter[str]:
    """The numbers of a text, whatever it looks like around them."""
    text = re.sub(_GROUPED[language], "", text).replace("\u2212", "-")
    mark = re.escape(_MARK[language])
    # A sign before a currency sign counts as well: "-€40.00" is "-40,00 €" elsewhere.
    found = re.findall(rf"(?<![\w:])([-+]?)[^\w\s+-]*[A-Z]{{0,3}}\u00a0?(\d+(?:{mark}\d+|:\d+)*)", text)
    return Counter(sign + number.replace(",", ".") for sign, number in found)


def shown(part: Part) -> list[str]:
    match part:
        case Paragraph() | Command():
            return [part.text]
        case Bar():
            return [str(part.share), part.part, part.rest]
        case Table():
            cells = [cell for row in part.rows for cell in row.cells]
            flat = [word for cell in cells for word in (cell if isinstance(cell, tuple) else (cell,))]
            return [part.caption, *part.header, *flat]


def told(letter: Document, language: str) -> list[Counter[str]]:
    """The figures of every part of a letter."""
    sections = [
        [section.heading, *(text for text in shown(part))] for section in letter.sections for part in section.parts
    ]
    parts = [[letter.subject], [one.text for one in letter.opening], *sections, [one.text for one in letter.footer]]
    return [sum((figures(text, language) for text in part), Counter()) for part in parts]


AMOUNTS = st.decimals("0.01", "98765432.10", places=2)
COUNTS = st.integers(1, 120_000)


@st.composite
def sums(draw: st.DrawFn) -> Sum:
    kes = Unconverted("KES", draw(AMOUNTS), draw(COUNTS))
    return Sum(draw(COUNTS), draw(AMOUNTS), (kes,) if draw(st.booleans()) else ())


@given(data=st.data(), month=st.sampled_from([JUNE, 202607]), late=st.booleans())
@effort(max_examples=25, deadline=None, phases=[Phase.generate])
def test_the_figures_are_the_same_in_every_language(
    story: dict[int, MonthlySummary], data: st.DataObject, month: int, late: bool
) -> None:
    draw, found = data.draw, story[month]
    summary = replace(
        found,
        waiting=draw(AMOUNTS),
        estimated=draw(AMOUNTS),
        costs=tuple(Cost(month, "EUR", -draw(AMOUNTS), draw(COUNTS)) for _ in range(draw(st.integers(0, 2)))),
        pending=tuple(
            Pending(connection="c", title="Awin", sum=draw(sums()), oldest=202604)
            for _ in range(draw(st.integers(0, 14)))
        ),
        losses=replace(
            found.losses, since_letter=draw(st.booleans()), declined=draw(sums()), reversed=draw(sums()),
            corrections={kind: draw(sums()) for kind in ("refund", "chargeback", "adjustment")},
        ),
        received=tuple(replace(found.under_way[0], amount=draw(AMOUNTS), payouts=draw(COUNTS)) for _ in range(14)),
        quarantine=tuple(replace(one, rows=draw(COUNTS)) for one in found.quarantine),
    )  # fmt: skip
    english = told(document(summary, late=late), "en")
    assert len(english) > 20
    for language in TRANSLATED:
        there = told(document(replace(summary, locale=language), late=late), language)
        for ours, theirs in zip(english, there, strict=True):
            assert ours == theirs, language


# --- the mail that proves the mail server ---


def test_the_test_mail_says_in_which_language_it_is(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'tracker.db'}", tmp_path) as ledger, PostOffice() as office:
        send_proof(office.settings(ledger.settings), datetime(2026, 7, 3, tzinfo=UTC), "Probe", "Es geht & gut.", "de")
        (mail,) = [message_from_bytes(one.text, policy=policy.default) for one in office.mails]
    rich = mail.get_body(("html",))
    assert rich is not None
    assert '<html lang="de">' in rich.get_content()
    assert (mail["Content-Language"], mail["From"].addresses[0].display_name) == ("de", "Einnahmen-Tracker")

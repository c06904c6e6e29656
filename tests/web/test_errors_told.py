"""What went wrong, and what connectors declare, on pages in the reader's language."""

import re
import time
from datetime import timedelta

import httpx
import pytest
from markupsafe import Markup
from sqlalchemy import update

from tests.catalogues import TRANSLATED
from tests.pretend import KEY, Reply, earning
from tests.web import sentences
from tests.web.conftest import send, words
from tests.web.test_language import speech
from tests.world import World
from tracker import connections, quarantine
from tracker.catalogues import catalogue
from tracker.store.writes import connection_t
from tracker.web.errors_told import LENGTH_MAX, Errors, capital

ERRORS = Errors({
    "{1} refused the credentials.": "{1} lehnt ab.",
    'It says: "{1}"': "Es sagt: „{1}“",
    "It needs: {1}.": "Es braucht: {1}.",
    "a user": "ein Benutzer",
    "a user who may read": "ein Benutzer, der lesen darf",
    "Make a new key.": "Neuer Schlüssel.",
    "not an amount: {1}": "kein Betrag: {1}",
    "{1} is paused: {2} Go on with: resume {3}": "{3} ruht ({2})",
    "{1} is paused: {2}": "{1} ruht: {2}",
    "line {1} of {2}": "Zeile {1} von {2}",
})  # fmt: skip


@pytest.fixture
def german(inside: httpx.Client) -> httpx.Client:
    inside.headers["Accept-Language"] = "de"
    return inside


def told(text: str) -> str:
    return " ".join(piece.text if piece.is_told else f"<{piece.text}>" for piece in ERRORS.pieces(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Make a new key.", "Neuer Schlüssel."),
        ("awin.com refused the credentials. Make a new key.", "awin.com lehnt ab. Neuer Schlüssel."),
        (
            'awin.com refused the credentials. It says: "No. Go away." Make a new key.',
            "awin.com lehnt ab. Es sagt: „No. Go away.“ Neuer Schlüssel.",
        ),
        ("It needs: a user who may read.", "Es braucht: ein Benutzer, der lesen darf."),
        ("It needs: user.", "Es braucht: user."),
        ("net: not an amount: 'x'", "net: kein Betrag: 'x'"),
        ("line 3 of a.csv: net: not an amount: 'x'", "Zeile 3 von a.csv: net: kein Betrag: 'x'"),
        ("awin is paused: Make a new key. Go on with: resume awin", "awin ruht (Neuer Schlüssel.)"),
        ("awin is paused: odd.", "awin ruht: odd."),
        ("Something new. Make a new key.", "<Something new.> Neuer Schlüssel."),
        ("Something. Else.", "<Something. Else.>"),
        (" refused the credentials.", "< refused the credentials.>"),
        ("", ""),
    ],
)
def test_a_text_is_told_sentence_by_sentence(text: str, expected: str) -> None:
    assert told(text) == expected


@pytest.mark.parametrize("language", TRANSLATED)
@pytest.mark.parametrize(
    "text",
    [
        "a: " * 600, "a. " * 600, "is not. " * 240, "x" * 2000, 'It says: "' * 190, "a refused the b. " * 110,
        "{1} " * 500, "x needs y. " * 180, "line 1 of x: " * 150, " is paused: " * 160, "0" * 10_000_000,
    ],
)  # fmt: skip
def test_a_hostile_text_takes_no_longer_than_a_page(language: str, text: str) -> None:
    w = speech(language)
    w.told("Check the folder.")  # the catalogue is read once
    begun = time.perf_counter()
    assert w.told(text)
    assert time.perf_counter() - begun < 2


def test_a_text_that_is_too_long_for_a_message_stays_as_it_is() -> None:
    long = "Make a new key. " * (LENGTH_MAX // 16 + 1)
    assert told(long) == f"<{long}>"


def test_what_stays_english_is_marked_and_what_was_sent_is_no_markup() -> None:
    german, english = speech("de"), speech("en")
    assert german.told("odd <b>. Check the folder.") == '<span lang="en">odd &lt;b&gt;.</span> Prüfe den Ordner.'
    assert english.told("odd <b>.", as_sentence=True) == "Odd &lt;b&gt;."
    assert german.told(Markup("schon <b>gesagt</b>")) == "schon <b>gesagt</b>"
    assert german.told("the file cannot be kept: full.", as_sentence=True).startswith("Die Datei")
    assert (capital("net: is empty"), capital("interrupted."), capital("a-b is")) == (
        "net: is empty",
        "Interrupted.",
        "a-b is",
    )


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_of_a_built_in_connector_and_every_error_has_its_translation(language: str) -> None:
    assert sentences.declared() <= catalogue("web", language).keys()
    assert sentences.told() <= catalogue("web", language, sentences.ERROR).keys()


def test_sentences_of_errors_come_from_where_they_are_raised() -> None:
    found = sentences.told()
    assert "{1} refused the credentials." in found  # an f-string
    assert 'It says: "{1}"' in found  # what a name stands for
    assert "Check them, or make a new key." in found  # a hint
    assert 'Stripe answered with an error: "{1}"' in found  # a connector
    assert "you paused it." in found  # stored, never raised
    assert "--json and --csv cannot both be had." not in found  # only in the terminal


# --- on pages ---


def test_a_form_helps_in_german(german: httpx.Client, world: World) -> None:
    connections.add(world.deps, "awin", "awin", credentials={"token": "t" * 36, "publisher_id": "12345"}, options={})
    for address in ("/connections/awin", "/connections/add/awin"):
        page = words(german.get(address))
        assert "Die Nummer neben dem Namen deines Kontos" in page
        assert "Publisher id" not in page
        assert "ui.awin.com/awin-api oder Account > API credentials" in page
    assert "Ghost hat keine Schlüssel, die nur lesen" in words(german.get("/connections/add/ghost"))
    listed = words(german.get("/connections/add"))
    assert "Liest Transaktionen" in listed
    assert "API-Schlüssel" in listed


def test_a_connector_of_ones_own_keeps_its_words(german: httpx.Client, world: World) -> None:
    world.add("network")
    page = german.get("/connections/network")
    assert "Neue Schlüssel" in words(page)
    assert re.search(r'<label for="credential-key">Key</label>', page.text)


def test_a_refused_key_is_told_in_german(german: httpx.Client, world: World) -> None:
    asked = {"slug": "network", "title": "Network", "interval": "1h", "option.base_url": world.server.url}
    answer = send(german, "/connections/add/pretend-network", do="connect", **asked, **{"credential.key": "wrong"})
    assert "127.0.0.1 hat die Zugangsdaten abgelehnt." in words(answer)
    world.add("network")
    answer = send(
        german, "/connections/network/credentials", "/connections/network", **{"credential.key": "a-wrong-key"}
    )
    assert "127.0.0.1 hat die Zugangsdaten abgelehnt." in words(answer)
    answer = send(german, "/streams", name="x" * 300)
    assert "Kein Name für eine Einnahmequelle" in words(answer)


def test_trouble_that_was_stored_is_told_in_german(german: httpx.Client, world: World) -> None:
    for slug in ("network", "shop", "bank"):
        world.add(slug)
    world.provider.answers["/orders"] = world.provider.answers["/commissions"] = lambda asked: Reply(b"", 503)
    world.sync("network")
    connections.pause(world.deps, "shop")
    world.provider.key = "another"
    world.sync("bank")
    world.provider.key = KEY
    stored = "Wholly new: <b>no</b> sentence of ours."
    page = words(german.get("/connections"))
    assert "127.0.0.1 hat Probleme (503)." in page
    assert "Es wird später noch einmal versucht." in page
    assert "Du hast sie pausiert." in page
    assert "127.0.0.1 hat die Zugangsdaten abgelehnt." in page
    assert "Es läuft keine Uhr (noch nie gesehen)." in page
    assert "hat Probleme (503)" in words(german.get("/connections/network"))  # its run
    with world.engine.begin() as conn:
        conn.execute(update(connection_t).where(connection_t.c.slug == "network").values(last_error=stored))
    assert (
        '<span lang="en">Wholly new: &lt;b&gt;no&lt;/b&gt; sentence of ours.</span>'
        in german.get("/connections/network").text
    )


def test_a_reason_for_quarantine_is_told_in_german(german: httpx.Client, world: World) -> None:
    world.add("network")
    updated = (world.now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.provider.put("/commissions", earning("c1", updated=updated, status="odd"))
    world.sync("network")
    (row,), _ = quarantine.held(world.engine)
    for address in ("/quarantine", f"/quarantine/{row.id}"):
        assert "unbekanntes Wort 'odd'" in words(german.get(address))


def test_what_a_user_asks_wrongly_is_answered_in_the_users_language(german: httpx.Client) -> None:
    answer = german.get("/quarantine?connection=nope")
    assert answer.status_code == 400
    assert "Keine Verbindung heißt 'nope'." in words(answer)
    german.headers["Accept-Language"] = "nb"
    assert "Ingen tilkobling heter 'nope'." in words(german.get("/quarantine?connection=nope"))

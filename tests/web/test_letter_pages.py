"""Pages about letters: any month as it would arrive, who got it, and sending it."""

import re
from pathlib import Path

import httpx
import pytest

from tests.post_office import BROKEN, ME, PostOffice
from tests.pretend import START, earning
from tests.web.conftest import send, words
from tests.world import World
from tracker.delivery import Outcome, send_now


@pytest.fixture
def earned(world: World) -> World:
    world.provider.put("/commissions", earning("c1", net="31.00", status="approved"))
    world.add("network")
    world.sync("network")
    return world


def test_without_income_there_is_no_letter(inside: httpx.Client) -> None:
    said = words(inside.get("/letters"))
    assert "No letter yet" in said
    assert "these settings are missing: Mail server, Sender and Who gets it." in said


def test_every_month_since_the_first_income_has_a_letter(inside: httpx.Client, earned: World) -> None:
    earned.later(days=18)
    page = inside.get("/letters")
    assert page.text.count('<th scope="row"><a href="/letters/2') == 2
    assert f'href="/letters/{START:%Y-%m}"' in page.text


def test_a_letter_is_shown_as_it_will_arrive(inside: httpx.Client, earned: World) -> None:
    month = f"/letters/{START:%Y-%m}"
    page = inside.get(month)
    assert f'src="{month}/preview"' in page.text
    preview, text = inside.get(f"{month}/preview"), inside.get(f"{month}/text")
    assert "31.00" in words(preview)
    assert "31.00" in text.text
    assert text.headers["content-type"].startswith("text/plain")
    policy = preview.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "sandbox" in policy
    assert "frame-ancestors 'self'" in policy
    assert "script-src" not in policy


@pytest.mark.parametrize("period", ["2026-13", "x", "1990-01", "2999-01", "2026-6"])
def test_a_month_without_a_letter_is_no_page(inside: httpx.Client, earned: World, period: str) -> None:
    assert inside.get(f"/letters/{period}").status_code == 404
    assert inside.get(f"/letters/{period}/preview").status_code == 404


def test_a_letter_is_sent_once_and_again_only_when_asked(
    inside: httpx.Client, viewer: httpx.Client, earned: World, tmp_path: Path
) -> None:
    with PostOffice() as office:
        earned.deps.settings = office.settings(earned.deps.settings)
        month = f"/letters/{START:%Y-%m}"
        earned.later(days=18)
        assert send(viewer, f"{month}/send", "/letters").status_code == 403
        assert office.mails == []
        send(inside, f"{month}/send", month)
        assert "was sent to" in words(inside.get(month))
        send(inside, f"{month}/send", month)
        assert len(office.mails) == 1
        send(inside, f"{month}/send", month, again="yes")
        assert len(office.mails) == 2
        assert "sent on" in words(inside.get(month))
        assert "already" in send_now(earned.deps, START.year * 100 + START.month)[0].outcome


def test_what_is_not_set_up_or_not_over_is_told(inside: httpx.Client, earned: World) -> None:
    month = f"/letters/{START:%Y-%m}"
    assert send(inside, f"{month}/send", month).status_code == 400
    assert "The month is not over" in words(inside.get(month))


def test_the_letter_is_in_the_language_in_which_it_is_sent_and_the_page_in_the_readers(
    inside: httpx.Client, earned: World
) -> None:
    earned.deps.settings = earned.deps.settings.model_copy(update={"locale": "de_DE"})
    month = f"/letters/{START:%Y-%m}"
    page = inside.get(month, headers={"Accept-Language": "nb"})
    assert '<html lang="nb">' in page.text
    assert re.search(r'<h1 lang="de">Einnahmen im [^<]+</h1>', page.text)
    preview, text = inside.get(f"{month}/preview"), inside.get(f"{month}/text")
    assert '<html lang="de">' in preview.text
    assert "wurden bisher 31,00 € verdient" in words(preview)
    assert text.text.startswith("Einnahmen im ")
    assert (preview.headers["content-language"], text.headers["content-language"]) == ("de", "de")


def test_a_letter_in_doubt_is_told_on_both_pages_with_what_to_do(inside: httpx.Client, earned: World) -> None:
    with PostOffice() as office:
        office.answers["TEXT"] = BROKEN
        earned.deps.settings = office.settings(earned.deps.settings)
        month = f"/letters/{START:%Y-%m}"
        earned.later(days=18)
        assert [one.outcome for one in send_now(earned.deps, START.year * 100 + START.month)] == [Outcome.IN_DOUBT]
        every, single = inside.get("/letters"), words(inside.get(month))
        told = re.search(r'<p class="problem">(.+)</p>', every.text)
        assert told
        assert ME in told[1]
        assert f'<a href="{month}">What to do</a>' in told[1]
        assert "in doubt The mail server got the letter on" in single
        assert "look into the mailbox, and if it is not there, send it again." in single
        assert "None" not in single
        office.answers.clear()
        send(inside, f"{month}/send", month, again="yes")
        assert "in doubt" not in words(inside.get(month)) + words(inside.get("/letters"))


def test_a_refusal_for_now_says_when_it_is_tried_again(inside: httpx.Client, earned: World) -> None:
    with PostOffice() as office:
        office.answers["RCPT"] = "451 4.7.1 greylisted"
        earned.deps.settings = office.settings(earned.deps.settings)
        earned.later(days=18)
        send_now(earned.deps, START.year * 100 + START.month)
        single = words(inside.get(f"/letters/{START:%Y-%m}"))
        assert "tried again later" in single
        assert "Next try in 5 minutes." in single

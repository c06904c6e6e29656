"""Users and their sessions, on both databases."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import Engine

from tracker import accounts
from tracker.accounts import PASSWORD_MAX, SESSION, Visitor
from tracker.errors import UsageError
from tracker.store.database import migrate, open_engine

PASSWORD, ANOTHER = "a long password", "ein anderes Paßwort 🔑"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    migrate(engine)
    yield engine
    engine.dispose()


def test_an_owner_is_made_once_and_recognised_by_name_and_password(engine: Engine, now: datetime) -> None:
    assert not accounts.any_user(engine)
    assert accounts.recognise(engine, "Eva", PASSWORD) is None
    eva = accounts.add_owner(engine, " Eva ", PASSWORD, now)
    assert accounts.any_user(engine)
    with pytest.raises(UsageError, match="there is an owner already"):
        accounts.add_owner(engine, "Mallory", PASSWORD, now)
    tries = [("Eva", PASSWORD), ("Eva", ANOTHER), ("eva", PASSWORD), ("Eva", PASSWORD + "x" * 300), ("Eva", "")]
    assert [accounts.recognise(engine, *one) for one in tries] == [eva, None, None, None, None]


def test_a_session_is_over_when_it_is_closed_or_old(engine: Engine, now: datetime) -> None:
    eva = accounts.add_owner(engine, "Eva", PASSWORD, now)
    first, second = (accounts.open_session(engine, eva, now) for _ in range(2))
    assert accounts.visitor(engine, first, now) == Visitor(eva, "Eva", "owner", None)
    assert accounts.visitor(engine, "invented", now) is None
    accounts.close_session(engine, first)
    assert [accounts.visitor(engine, one, now) is None for one in (first, second)] == [True, False]
    assert accounts.visitor(engine, second, now + SESSION) is None
    accounts.open_session(engine, eva, now + SESSION)
    with engine.connect() as conn:
        assert conn.exec_driver_sql("select count(*) from session").scalar() == 1  # what is over is swept out


def test_a_forgotten_password_is_set_anew_and_ends_what_was_open(engine: Engine, now: datetime) -> None:
    assert accounts.set_password(engine, PASSWORD, now) == "owner"
    user = accounts.recognise(engine, "owner", PASSWORD)
    assert user
    token = accounts.open_session(engine, user, now)
    assert accounts.set_password(engine, ANOTHER, now) == "owner"
    assert accounts.visitor(engine, token, now) is None
    assert [accounts.recognise(engine, "owner", one) for one in (PASSWORD, ANOTHER)] == [None, user]


# --- several users ---


@pytest.fixture
def eva(engine: Engine, now: datetime) -> int:
    return accounts.add_owner(engine, "Eva", PASSWORD, now, "de")


def users(engine: Engine, now: datetime) -> list[tuple[str, str]]:
    return [(row.name, row.role) for row in accounts.every_user(engine, now)]


def test_users_are_added_and_removed_with_what_is_theirs(engine: Engine, eva: int, now: datetime) -> None:
    ole = accounts.add_user(engine, " Ole ", ANOTHER, "viewer", now)
    assert users(engine, now) == [("Eva", "owner"), ("Ole", "viewer")]
    assert accounts.recognise(engine, "Ole", ANOTHER) == ole == accounts.find_user(engine, "Ole")
    token = accounts.open_session(engine, ole, now)
    assert [row.browsers for row in accounts.every_user(engine, now)] == [0, 1]
    assert accounts.remove_user(engine, ole) == "Ole"
    assert accounts.visitor(engine, token, now) is None
    with pytest.raises(UsageError, match="no user is called 'Ole'"):
        accounts.find_user(engine, "Ole")
    with pytest.raises(UsageError, match="no such user any more"):
        accounts.remove_user(engine, ole)


@pytest.mark.parametrize(
    ("name", "password", "role", "told"),
    [
        ("Eva", PASSWORD, "viewer", "there is a user called Eva already"),
        ("", PASSWORD, "viewer", "a name has 1 to 64 letters"),
        ("O\nle", PASSWORD, "viewer", "a name has 1 to 64 letters"),
        ("Ole", "short", "viewer", "too short"),
        ("Ole", PASSWORD, "king", "no role is called 'king'. There are: owner, viewer."),
    ],
)
def test_what_is_no_user_is_refused(
    engine: Engine, eva: int, now: datetime, name: str, password: str, role: str, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        accounts.add_user(engine, name, password, role, now)
    assert users(engine, now) == [("Eva", "owner")]


def test_there_is_always_an_owner(engine: Engine, eva: int, now: datetime) -> None:
    ole = accounts.add_user(engine, "Ole", ANOTHER, "viewer", now)
    with pytest.raises(UsageError, match=r"Eva is the only owner\. Make somebody else an owner first\."):
        accounts.remove_user(engine, eva)
    with pytest.raises(UsageError, match="Eva is the only owner"):
        accounts.set_role(engine, eva, "viewer")
    assert accounts.set_role(engine, eva, "owner") == "Eva"  # as it was
    assert accounts.set_role(engine, ole, "owner") == "Ole"
    assert accounts.set_role(engine, eva, "viewer") == "Eva"
    assert users(engine, now) == [("Eva", "viewer"), ("Ole", "owner")]


def test_a_name_and_a_language_are_the_users_own(engine: Engine, eva: int, now: datetime) -> None:
    accounts.add_user(engine, "Ole", ANOTHER, "viewer", now)
    token = accounts.open_session(engine, eva, now)
    assert accounts.visitor(engine, token, now) == Visitor(eva, "Eva", "owner", "de")
    assert accounts.rename(engine, eva, " Eva B. ") == "Eva B."
    accounts.set_language(engine, eva, "nb")
    assert accounts.visitor(engine, token, now) == Visitor(eva, "Eva B.", "owner", "nb")
    accounts.set_language(engine, eva, None)
    with pytest.raises(UsageError, match="called Ole already"):
        accounts.rename(engine, eva, "Ole")
    with pytest.raises(UsageError, match="do not come in 'fr'"):
        accounts.set_language(engine, eva, "fr")
    assert accounts.visitor(engine, token, now) == Visitor(eva, "Eva B.", "owner", None)


def test_a_new_password_asks_for_the_old_one_and_keeps_this_browser_only(
    engine: Engine, eva: int, now: datetime
) -> None:
    here, there = (accounts.open_session(engine, eva, now) for _ in range(2))
    with pytest.raises(UsageError, match="the old password is wrong"):
        accounts.change_password(engine, eva, "a wrong password", ANOTHER, here)
    with pytest.raises(UsageError, match="too short"):
        accounts.change_password(engine, eva, PASSWORD, "short", here)
    assert accounts.recognise(engine, "Eva", PASSWORD) == eva
    accounts.change_password(engine, eva, PASSWORD, ANOTHER, here)
    assert [accounts.recognise(engine, "Eva", one) for one in (PASSWORD, ANOTHER)] == [None, eva]
    assert [accounts.visitor(engine, one, now) is None for one in (here, there)] == [False, True]


def test_a_reset_password_ends_every_session_of_that_user_alone(engine: Engine, eva: int, now: datetime) -> None:
    ole = accounts.add_user(engine, "Ole", PASSWORD, "viewer", now)
    tokens = [accounts.open_session(engine, user, now) for user in (eva, ole)]
    assert accounts.reset_password(engine, ole, ANOTHER) == "Ole"
    assert [accounts.visitor(engine, one, now) is None for one in tokens] == [False, True]
    assert accounts.recognise(engine, "Ole", ANOTHER) == ole
    with pytest.raises(UsageError, match="no such user"):
        accounts.reset_password(engine, 4711, ANOTHER)


def test_sessions_are_listed_and_ended_one_by_one_or_all_others(engine: Engine, eva: int, now: datetime) -> None:
    ole = accounts.add_user(engine, "Ole", PASSWORD, "viewer", now)
    here, there, third = (accounts.open_session(engine, eva, now) for _ in range(3))
    assert len(accounts.sessions_of(engine, eva, now)) == 3
    assert accounts.sessions_of(engine, eva, now + SESSION) == []
    ref = accounts.ref_of(there)
    assert [accounts.end_session(engine, *one) for one in ((ole, ref), (eva, "%"), (eva, ref), (eva, ref))] == [
        False, False, True, False,
    ]  # fmt: skip
    assert accounts.end_other_sessions(engine, eva, here) == 1
    assert [accounts.visitor(engine, one, now) is None for one in (here, there, third)] == [False, True, True]


def test_a_list_of_browsers_is_ones_own(engine: Engine, eva: int, now: datetime) -> None:
    ole = accounts.add_user(engine, "Ole", PASSWORD, "viewer", now)
    tokens = [accounts.open_session(engine, user, now) for user in (eva, ole)]
    listed = [
        [row.token_digest[: accounts.REF] for row in accounts.sessions_of(engine, user, now)] for user in (eva, ole)
    ]
    assert listed == [[accounts.ref_of(token)] for token in tokens]
    assert accounts.end_other_sessions(engine, eva, tokens[0]) == 0
    assert accounts.visitor(engine, tokens[1], now) is not None


def test_the_longest_password_is_taken_whole_and_nothing_after_it(engine: Engine, now: datetime) -> None:
    longest = "x" * PASSWORD_MAX
    eva = accounts.add_owner(engine, "Eva", longest, now)
    tries = (longest, longest + "y", longest[:-1])
    assert [accounts.recognise(engine, "Eva", one) for one in tries] == [eva, None, None]

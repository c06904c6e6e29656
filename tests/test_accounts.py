"""Users and their sessions, on both databases."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import Engine

from tracker import accounts
from tracker.accounts import SESSION, Visitor
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
    assert accounts.visitor(engine, first, now) == Visitor(eva, "Eva", "owner")
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

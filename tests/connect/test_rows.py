"""Rows: split without decoding, decoded exactly, scrubbed of people."""

import copy
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from tests.pretend import network
from tracker.connect.fields import text
from tracker.connect.normalise import prepare
from tracker.connect.rows import Page, csv_as_json, decode, digest, encode, scrub, split
from tracker.errors import UnexpectedData

NUMBERS = st.integers(-(10**30), 10**30) | st.decimals(allow_nan=False, allow_infinity=False, places=6)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc$.*", max_size=3), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text("abcx", min_size=1, max_size=3), JSON, max_size=4)


@given(value=JSON)
def test_what_is_decoded_and_encoded_again_is_the_same(value: Any) -> None:
    raw = encode(value)
    assert decode(raw) == value
    assert encode(decode(raw)) == raw


@given(number=st.decimals(-(10**12), 10**12, places=18))
def test_decimals_keep_every_digit(number: Decimal) -> None:
    raw = f'{{"n": {number:f}}}'.encode()
    assert decode(raw)["n"].as_tuple() == Decimal(f"{number:f}").as_tuple()


@given(rows=st.lists(OBJECTS, max_size=6), more=OBJECTS)
def test_a_page_is_split_into_its_rows(rows: list[Any], more: dict[str, Any]) -> None:
    found, envelope = split(encode(rows), "", ())
    assert ([decode(raw) for raw in found], envelope) == (rows, {})
    body = encode({**more, "data": {"list": rows, "next": more}, "n": 1})
    found, envelope = split(body, "data.list", ("data.next", "n", "absent.path"))
    assert [decode(raw) for raw in found] == rows
    assert envelope == {"data.next": more, "n": 1, "absent.path": None}


@given(rows=st.lists(OBJECTS, min_size=1, max_size=4), data=st.data())
def test_a_truncated_page_is_refused(rows: list[Any], data: st.DataObject) -> None:
    body = encode({"rows": rows})
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(UnexpectedData):
        split(body[:cut], "rows", ("next",))


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"7", b'{"rows": {}}', b'{"rows": null}', b"{}", b"<html>", b"\xff\xfe", b"[" * 100_000,
     b'{"rows": [], "next": "\xff"}', b'{"rows": [], "next": 1E999999999999999999999}', b'{"rows": []} more'],
)  # fmt: skip
def test_an_answer_without_its_list_is_refused(body: bytes) -> None:
    with pytest.raises(UnexpectedData) as refused:
        split(body, "rows", ("next",))
    assert "the next sync asks for it again" in str(refused.value)


@pytest.mark.parametrize("raw", [b"{", b"\xff", b'"\xff"', b"[" * 100_000, b"1E" + b"9" * 25, b"NaN", b"9" * 5000])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(UnexpectedData, match="not valid JSON"):
        decode(raw)


def test_equal_bytes_have_equal_digests() -> None:
    assert digest(b"a") == digest(msgspec.Raw(b"a")) != digest(b"b")
    assert len(digest(b"")) == 16


def test_the_last_row_of_a_page_tells_its_place() -> None:
    assert Page(rows=[msgspec.Raw(b'{"a": {"b": 7}}')]).value_of_last("a.b") == 7
    assert Page(rows=[]).value_of_last("a.b") is None


# --- people ---

PATHS = [("email",), ("who", "name"), ("items", "*", "mail"), ("deep", "*", "*", "x"), ("gone", "*")]


@given(row=OBJECTS, people=st.lists(st.text("abc@ABC ", min_size=1, max_size=6), min_size=1, max_size=3))
def test_no_personal_value_stays_and_nothing_else_is_touched(row: dict[str, Any], people: list[str]) -> None:
    marked = [f"PERSON-{name}" for name in people]
    full = copy.deepcopy(row) | {
        "email": marked[0], "who": {"name": marked[-1], "id": 1}, "items": [{"mail": name, "n": 1} for name in marked],
        "deep": {"a": [{"x": marked[0]}, {"y": 2}]},
    }  # fmt: skip
    dropped, named = copy.deepcopy(full), copy.deepcopy(full)
    assert scrub(dropped, PATHS, (), str)
    assert b"PERSON" not in encode(dropped)
    assert scrub(named, (), PATHS, lambda value: f"p_{len(value)}")
    assert b"PERSON" not in encode(named)
    assert named["items"] == [{"mail": f"p_{len(name.strip().lower())}", "n": 1} for name in marked]
    for scrubbed in (dropped, named):
        assert {key: value for key, value in scrubbed.items() if key in row.keys() - full.keys() | {"abc"}} == {
            key: value for key, value in full.items() if key in row.keys() - full.keys() | {"abc"}
        }
        assert scrubbed["who"]["id"] == 1
    assert not scrub(dropped, PATHS, (), str)


def test_the_same_person_gets_the_same_name_however_it_is_written() -> None:
    rows: list[dict[str, Any]] = [{"e": value} for value in ("Ann@x", " ann@X ", None, "", 7)]
    assert [scrub(row, (), [("e",)], lambda text: f"<{text}>") for row in rows] == [True, True, False, False, True]
    assert rows == [{"e": "<ann@x>"}, {"e": "<ann@x>"}, {"e": None}, {"e": ""}, {"e": "<7>"}]


@given(row=JSON)
def test_any_row_is_prepared_or_faulted_but_never_stops_a_page(row: Any) -> None:
    prepared = prepare(network.resource("commissions"), encode(row), str.upper, lambda row: row)
    assert (prepared.fault is None) == bool(prepared.key)


def test_a_connectors_function_that_stumbles_faults_just_the_row() -> None:
    def stumble(row: Any) -> None:
        row["absent"].append(1)

    usual = network.resource("commissions")
    tidied = prepare(msgspec.structs.replace(usual, tidy=stumble), b'{"id": "a", "email": "x"}', str, lambda row: row)
    assert str(tidied.fault) == "row: cannot be read (KeyError: 'absent')"
    assert b"email" not in tidied.kept
    strange = prepare(msgspec.structs.replace(usual, row_id=text("a.b")), b'{"a": [1]}', str, lambda row: row)
    assert (strange.key, str(strange.fault)) == ("", "id: 'a.b' is missing")


def test_csv_becomes_rows_by_the_names_of_its_columns() -> None:
    text = '\ufeff"Payment ID",Total Commission (Paid)\r\n7,"1,234.50"\r\n\r\n8,"two\nlines"\n'
    assert decode(csv_as_json(text.encode(), "payment_id")) == [
        {"payment_id": "7", "total_commission_paid": "1,234.50"},
        {"payment_id": "8", "total_commission_paid": "two\nlines"},
    ]
    once = csv_as_json(text.encode())
    assert csv_as_json(once, "payment_id") == once


@pytest.mark.parametrize("body", [b"", b"You cannot request more", b"id\n1", b'"a', b"\xff\xfe\n"])
def test_what_is_no_report_is_refused(body: bytes) -> None:
    with pytest.raises(UnexpectedData):
        csv_as_json(body, "payment_id")

"""SOAP: what is asked is escaped; an answer's list is read with references, nothings and single rows as they are."""

import json
from xml.etree import ElementTree

import pytest

from tracker.connect.soap import call, fault, rows_as_json
from tracker.errors import UnexpectedData

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def envelope(inner: str, beside: str = "") -> bytes:
    space = "http://schemas.xmlsoap.org/soap/envelope/"
    return f'<e:Envelope xmlns:e="{space}" {XSI}><e:Body>{inner}{beside}</e:Body></e:Envelope>'.encode()


def listed(items: str, beside: str = "") -> bytes:
    return envelope(f'<n:getThingsResponse xmlns:n="urn:x"><things>{items}</things></n:getThingsResponse>', beside)


def test_values_are_escaped_and_may_be_nested() -> None:
    written = call("urn:x&y", "getThings", {"key": "a<&b", "options": {"limit": "5"}})
    document = ElementTree.fromstring(written)  # noqa: S314 - our own
    operation = document[0][0]
    assert operation.tag == "{urn:x&y}getThings"
    assert [(child.tag, child.text) for child in operation] == [("key", "a<&b"), ("options", None)]
    assert operation.findtext("options/limit") == "5"


def test_rows_keep_nothing_text_lists_and_objects_apart() -> None:
    body = listed(
        '<item><ID xsi:type="xsd:int"> 7 </ID><day xsi:nil="true"/><note/><inner><a>1</a></inner>'
        "<many><item>x</item><item><b>2</b></item></many></item>"
    )
    assert json.loads(rows_as_json(body)) == {
        "rows": [{"ID": "7", "day": None, "note": "", "inner": {"a": "1"}, "many": ["x", {"b": "2"}]}]
    }


@pytest.mark.parametrize("body", [listed(""), envelope('<n:getThingsResponse xmlns:n="urn:x"/>')])
def test_no_rows_are_an_empty_list(body: bytes) -> None:
    assert json.loads(rows_as_json(body)) == {"rows": []}


def test_what_is_written_once_is_read_wherever_it_is_referred_to() -> None:
    inside = listed('<item><of id="r1"><ID>3</ID></of></item><item><of href="#r1"/></item>')
    beside = listed('<item href="#i1"/>', '<multiRef id="i1"><of><ID>3</ID></of></multiRef>')
    assert json.loads(rows_as_json(inside))["rows"] == [{"of": {"ID": "3"}}] * 2
    assert json.loads(rows_as_json(beside))["rows"] == [{"of": {"ID": "3"}}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"Service unavailable", "not valid XML"),
        (b"<html/>", "not a SOAP envelope"),
        (envelope(""), "not a SOAP envelope"),
        (listed("<thing/>"), "not a list of items"),
        (listed('<item><of href="#gone"/></item>'), "not in it"),
        (listed('<item id="a"><of href="#a"/></item>'), "nested too deeply"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + listed(""), "document type"),
    ],
)
def test_an_answer_that_is_something_else_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(UnexpectedData, match=words):
        rows_as_json(body)


def test_a_fault_is_read_with_its_code() -> None:
    text = "<x:Fault><faultcode>x:Client</faultcode><faultstring xml:lang='en'>No &lt;way&gt;</faultstring></x:Fault>"
    assert fault(text) == ("x:Client", "No <way>")
    assert fault("<x:Fault><faultstring>No</faultstring></x:Fault>") == ("", "No")
    assert fault(listed("").decode()) is None

"""SOAP 1.1 in remote-procedure style: calls as XML, and the list in an answer as JSON.

Source: www.w3.org/TR/2000/NOTE-SOAP-20000508 (envelope, 5.4.1 references, 5.4.2 arrays, 4.4 faults).
"""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, unescape

from tracker.connect.rows import encode
from tracker.errors import UnexpectedData

_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_DEEPEST = 20

Values = Mapping[str, "str | Values"]


def call(namespace: str, operation: str, values: Values) -> bytes:
    """The envelope of a call; values may be nested."""
    inner = f"<t:{operation}>{_written(values)}</t:{operation}>"
    opening = f'<s:Envelope xmlns:s="{_ENVELOPE}" xmlns:t="{escape(namespace)}">'
    return f'<?xml version="1.0" encoding="UTF-8"?>{opening}<s:Body>{inner}</s:Body></s:Envelope>'.encode()


def _written(values: Values) -> str:
    inner = ((name, escape(value) if isinstance(value, str) else _written(value)) for name, value in values.items())
    return "".join(f"<{name}>{text}</{name}>" for name, text in inner)


def fault(text: str) -> tuple[str, str] | None:
    """The code and the words of a fault in an answer, None when it has none."""
    code, words = (re.search(rf"<fault{name}\b[^>]*>([^<]*)<", text) for name in ("code", "string"))
    return (unescape(code[1]).strip() if code else "", unescape(words[1]).strip()) if words else None


def rows_as_json(body: bytes) -> bytes:
    """`{"rows": […]}` of an answer whose result is an array. Values are text, None, lists or objects.

    Raises UnexpectedData.
    """
    if b"<!DOCTYPE" in body:  # nothing that SOAP needs, and a way to make a small answer huge
        raise UnexpectedData("the answer is not SOAP: it has a document type.")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - without a document type there are no entities
    except ElementTree.ParseError as error:
        raise UnexpectedData(f"the answer is not valid XML ({error}).") from None
    response = root.find(f"{{{_ENVELOPE}}}Body/*")
    if response is None:
        raise UnexpectedData("the answer is not a SOAP envelope.")
    marked = {element.get("id", ""): element for element in root.iter() if element.get("id")}
    result = _followed(response[0], marked) if len(response) else response
    if any(_name(child) != "item" for child in result):
        raise UnexpectedData(f"the answer to {_name(response)} is not a list of items.")
    return encode({"rows": [_value(child, marked, 0) for child in result]})


def _value(element: ElementTree.Element, marked: Mapping[str, ElementTree.Element], depth: int) -> Any:
    if depth > _DEEPEST:
        raise UnexpectedData("the answer is nested too deeply.")
    element = _followed(element, marked)
    if element.get(_NIL) in ("true", "1"):
        return None
    if not len(element):
        return (element.text or "").strip()
    if all(_name(child) == "item" for child in element):
        return [_value(child, marked, depth + 1) for child in element]
    return {_name(child): _value(child, marked, depth + 1) for child in element}


def _followed(element: ElementTree.Element, marked: Mapping[str, ElementTree.Element]) -> ElementTree.Element:
    """What a reference stands for: a thing that is named twice is written once."""
    reference = element.get("href", "")
    if not reference:
        return element
    if reference[1:] not in marked:
        raise UnexpectedData("the answer refers to something that is not in it.")
    return marked[reference[1:]]


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]

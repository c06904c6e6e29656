"""What came back from a provider: an answer, what an error says in it, and why there was none."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from requests.structures import CaseInsensitiveDict

from tracker.connect.fields import lookup
from tracker.connect.rows import decode
from tracker.errors import UnexpectedData


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: CaseInsensitiveDict[str]
    body: bytes


def as_told(answer: Answer, dotted: str) -> Answer:
    """The answer with the status that stands at a path of its body, where a provider sends 200 whatever happens."""
    if not dotted or answer.status != 200:
        return answer
    try:
        told = str(lookup(decode(answer.body), tuple(dotted.split("."))))
    except UnexpectedData:
        return answer  # who reads the rows says what is wrong with it
    return Answer(int(told), answer.headers, answer.body) if re.fullmatch("[1-5][0-9]{2}", told) else answer


def document_of(answer: Answer) -> Any:
    """The decoded body of an error answer; plain text as it is, None for a web page."""
    try:
        return None if is_html(answer) else decode(answer.body[:100_000])
    except UnexpectedData:
        return answer.body[:2_000].decode(errors="replace")


def is_html(answer: Answer) -> bool:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml") or answer.body[:200].lstrip().lower().startswith(
        (b"<!doctype", b"<html")
    )


def seconds_asked(value: str) -> float | None:
    value = value.strip()
    if value.isdecimal():
        return min(float(value[:9]), 86_400.0)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # "-0000" comes back without a zone
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), 86_400.0)


def why(error: Exception) -> str:
    text = str(error)
    for sign, meaning in (
        ("NameResolution", "its name is not known"),
        ("getaddrinfo", "its name is not known"),
        ("refused", "the connection was refused"),
        ("unreachable", "no network"),
        ("IncompleteRead", "the answer broke off"),
        ("reset", "the connection broke off"),
        ("aborted", "the connection broke off"),
        ("decode", "the answer is badly compressed"),
        ("timed out", "the answer stopped half-way"),
    ):
        if sign.lower() in text.lower():
            return meaning
    return type(error).__name__

"""CJ's Commission Detail API in the sandbox: one GraphQL query over commissions that are corrected by new rows.

Source of the arguments, fields and checks: CJ's developer portal, "Commission Detail API (publisher)". Refusals come
as HTTP 200 with `errors[]`, in the documented order: authentication, schema, authorization, values.
"""

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkAction
from tracker.demo.graphql import Field, QueryError, parse

_ENVELOPE = ("count", "limit", "maxCommissionId", "payloadComplete", "records")
_AXES: dict[str, Callable[[NetworkAction, datetime], datetime]] = {
    "PostingDate": lambda row, now: row.posted,
    "EventDate": lambda row, now: row.occurred,
    "LockingDate": lambda row, now: locking_at(row, now),
}
_LISTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "commissionIds": lambda row: str(row["commissionId"]),
    "advertiserIds": lambda row: str(row["advertiserId"]),
    "adIds": lambda row: str(row["aid"]),
    "websiteIds": lambda row: str(row["websiteId"]),
    "actionStatuses": lambda row: str(row["actionStatus"]),
    "actionTypes": lambda row: str(row["actionType"]),
    "lockingMethods": lambda row: str(row["lockingMethod"]),
    "validationStatuses": lambda row: str(row["validationStatus"]),
}


class Cj:
    def __init__(self, history: History, token: str, publisher_cid: str, page_limit: int) -> None:
        self._actions = history.actions
        self._token, self._cid, self._limit = token, publisher_cid, page_limit
        self._ids = [action.id for action in history.actions]
        sample = _row(history.actions[0], history.horizon, publisher_cid)
        self._fields = set(sample)
        self._item_fields = set(sample["items"][0])

    def caller(self, request: Request) -> str:
        return request.headers.get("authorization", "")

    def throttled(self) -> Answer:
        return as_json(429, {"errors": [{"message": "Too many requests"}]})

    def error_in_200(self) -> Answer:
        return _refused("Internal server error while executing the query")

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """Never complete: with `turn` 0 the same highest id for ever, else one that grows."""
        body = msgspec.json.decode(self._answer(request, now, from_the_start=True).body)
        page = (body.get("data") or {}).get("publisherCommissions")
        if page and page.get("maxCommissionId") is not None:
            page["payloadComplete"] = False
            page["maxCommissionId"] = str(self._ids[-1] + turn)
        return as_json(200, body)

    def answer(self, request: Request, now: datetime) -> Answer:
        return self._answer(request, now)

    def _answer(self, request: Request, now: datetime, *, from_the_start: bool = False) -> Answer:
        if request.path.rstrip("/") != "/query":
            return Answer(404, b"Not Found", content_type="text/plain")
        if request.method != "POST":
            return Answer(405, b"Method Not Allowed", content_type="text/plain")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token.strip() != self._token:
            return _refused("Authentication failed: the personal access token is missing or not valid")
        try:
            roots = parse(*_query_of(request))
            if from_the_start:
                for root in roots.values():
                    root.arguments.pop("sinceCommissionId", None)
            return as_json(200, {"data": {"publisherCommissions": self._commissions(roots, now)}})
        except QueryError as error:
            return _refused(str(error))

    def _commissions(self, roots: dict[str, Field], now: datetime) -> dict[str, Any]:
        root = roots.get("publisherCommissions")
        if root is None or len(roots) != 1:
            other = next((name for name in roots if name != "publisherCommissions"), "")
            raise QueryError(f"Validation error of type FieldUndefined: Field '{other}' in type 'Query' is undefined")
        self._check_fields(root)
        arguments = root.arguments
        known = (
            {f"{side}{axis}" for axis in _AXES for side in ("since", "before")}
            | set(_LISTS)
            | {"forPublishers", "sinceCommissionId"}
        )
        for name in arguments:
            if name not in known:
                raise QueryError(f"Validation error of type UnknownArgument: Unknown field argument {name}")
        publishers = arguments.get("forPublishers")
        if not publishers:
            raise QueryError("Validation error of type MissingFieldArgument: Missing field argument forPublishers")
        if [str(cid) for cid in _many(publishers)] != [self._cid] or not all(
            isinstance(cid, str) for cid in _many(publishers)
        ):
            raise QueryError("Not authorized: you may not see the commissions of these publishers")
        return self._page(root, self._matching(arguments, now), now)

    def _check_fields(self, root: Field) -> None:
        records = root.fields.get("records")
        for name, allowed, kind in (
            *((name, set(_ENVELOPE), "PublisherCommissions") for name in root.fields),
            *((name, self._fields, "PublisherCommission") for name in (records.fields if records else ())),
            *((name, self._item_fields, "PublisherCommissionItem") for name in (_fields_of(records, "items"))),
        ):
            if name not in allowed:
                raise QueryError(
                    f"Validation error of type FieldUndefined: Field '{name}' in type '{kind}' is undefined"
                )
        if not root.fields or (records is not None and not records.fields):
            raise QueryError("Validation error of type SubSelectionRequired: Sub selection required")

    def _matching(self, arguments: dict[str, Any], now: datetime) -> list[dict[str, Any]]:
        first = bisect_left(self._ids, _number(arguments.get("sinceCommissionId")) + 1)
        rows = [row for row in self._actions[first:] if row.posted <= now]
        for axis, of in _AXES.items():
            since, before = _instant(arguments, f"since{axis}"), _instant(arguments, f"before{axis}")
            if since and before and before <= since:
                raise QueryError(f"before{axis} must be after since{axis}")
            if since:
                rows = [row for row in rows if of(row, now) >= since]
            if before:
                rows = [row for row in rows if of(row, now) < before]
        drawn = [_row(row, now, self._cid) for row in rows]
        for name, read in _LISTS.items():
            if name in arguments:
                wanted = {str(value).lower() for value in _many(arguments[name])}
                drawn = [row for row in drawn if read(row).lower() in wanted]
        return drawn

    def _page(self, root: Field, rows: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
        page = rows[: self._limit]
        envelope = {
            "count": len(page),
            "limit": self._limit,
            "maxCommissionId": page[-1]["commissionId"] if page else None,
            "payloadComplete": len(rows) <= self._limit,
            "records": [_selected(row, root.fields["records"].fields) for row in page]
            if "records" in root.fields
            else [],
        }
        return {name: envelope[name] for name in root.fields}


def locking_at(row: NetworkAction, now: datetime) -> datetime:
    """An advertiser that extends moves the locking date, and CJ shows only the new one."""
    return row.extended_locking if row.extended and row.extended_locking and row.extended <= now else row.locking


def status_at(row: NetworkAction, now: datetime) -> str:
    if now < locking_at(row, now):
        return "extended" if row.extended and row.extended <= now else "new"
    return "closed" if row.closed <= now else "locked"


def _validation(row: NetworkAction, now: datetime) -> str:
    if not row.open_ended:
        return "AUTOMATED"
    if row.fully_corrected and row.fully_corrected <= now:
        return "DECLINED"
    return "PENDING" if now < locking_at(row, now) else "ACCEPTED"


def _row(row: NetworkAction, now: datetime, cid: str) -> dict[str, Any]:
    programme = row.programme
    sale, commission = f"{row.sale:f}", f"{row.commission:f}"
    item = {
        "commissionItemId": str(row.id * 10),
        "sku": f"{programme.name[:3].upper()}-{row.action_id % 97}",
        "quantity": 1,
        "perItemSaleAmountPubCurrency": sale,
        "perItemSaleAmountUsd": sale,
        "totalCommissionPubCurrency": commission,
        "totalCommissionUsd": commission,
        "discountPubCurrency": "0",
        "discountUsd": "0",
    }
    books = programme.name.endswith("Books")
    return {
        "commissionId": str(row.id),
        "original": row.original,
        "originalActionId": str(row.action_id),
        "actionStatus": status_at(row, now),
        "actionType": "item_sale" if books else "sim_sale",
        "actionTrackerId": str(programme.id + 9),
        "actionTrackerName": "Subscription Sale" if programme.name.endswith("VPN") else "Online Sale",
        "advertiserId": str(programme.id),
        "advertiserName": programme.name,
        "aid": str(15_000_000 + programme.id % 9973),
        "websiteId": "8812345",
        "websiteName": "pfad-und-papier.example",
        "publisherId": cid,
        "publisherName": "Pfad und Papier",
        "shopperId": row.sub_id,
        "sid": row.sub_id,
        "clickDate": _zulu(row.clicked),
        "eventDate": _zulu(row.occurred),
        "postingDate": _zulu(row.posted),
        "lockingDate": _zulu(locking_at(row, now)),
        "lockingMethod": "OPEN_ENDED" if row.open_ended else "FIXED_DATE",
        "validationStatus": _validation(row, now),
        "reviewedStatus": None,
        "source": "CJ",
        "orderId": row.order,
        "saleAmountPubCurrency": sale,
        "saleAmountUsd": sale,
        "pubCommissionAmountPubCurrency": commission,
        "pubCommissionAmountUsd": commission,
        "orderDiscountPubCurrency": "0",
        "orderDiscountUsd": "0",
        "correctionReason": row.reason,
        "country": row.country,
        "coupon": None,
        "isCrossDevice": False,
        "items": [item],
    }


def _selected(row: dict[str, Any], fields: dict[str, Field]) -> dict[str, Any]:
    body = {name: row[name] for name in fields}
    if "items" in fields:
        body["items"] = [{name: item[name] for name in fields["items"].fields} for item in row["items"]]
    return body


def _fields_of(records: Field | None, name: str) -> list[str]:
    return list(records.fields[name].fields) if records and name in records.fields else []


def _query_of(request: Request) -> tuple[str, dict[str, Any]]:
    """The bare text, as CJ's own example posts it, or the usual JSON envelope."""
    text = request.body.decode("utf-8", "replace")
    if "json" not in request.headers.get("content-type", "") and not text.lstrip().startswith('{"'):
        return text, {}
    try:
        body = msgspec.json.decode(request.body)
        return str(body["query"]), dict(body.get("variables") or {})
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        raise QueryError("The request body is neither a query nor a JSON object with a query") from None


def _instant(arguments: dict[str, Any], name: str) -> datetime | None:
    value = arguments.get(name)
    if value is None:
        return None
    try:
        if not isinstance(value, str) or not value.endswith("Z"):
            raise ValueError(value)
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        raise QueryError(f"{name} must be a date and time in UTC such as 2026-03-01T00:00:00Z") from None


def _number(value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, str) or not value.isdigit():
        raise QueryError("sinceCommissionId must be a string of digits")
    return int(value)


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _zulu(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _refused(message: str) -> Answer:
    return as_json(
        200, {"data": None, "errors": [{"message": message, "extensions": {"classification": "ExecutionAborted"}}]}
    )

"""The API against its own OpenAPI document: whatever is sent, the answers are those that it promises."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, openapi
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth

from tests.web.api_story import program, tell
from tests.world import World

GOLDEN = Path(__file__).parents[1] / "golden" / "openapi.json"
#: What is understood may still not be possible, because of what is or is not in the ledger.
_CONFIG: dict[str, Any] = {
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "304", "400", "403", "404", "422"]}},
    "generation": {"allow-x00": True},
}
#: Which of the things there are an operation is about, so that not everything is about nothing.
_THERE = {
    "slug": {"connections": "network", "streams": "reviews"},
    "earning_id": 1,
    "payout_id": 1,
    "row_id": 1,
    "rule_id": 1,
    "month": "2026-06",
}


def test_the_document_is_as_it_was_accepted(served: str, accept: bool) -> None:
    with program(served, None) as nobody:
        answer = nobody.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    found = json.dumps(answer.json(), indent=1, ensure_ascii=False) + "\n"
    if accept:
        GOLDEN.write_text(found, "utf-8")
    assert found == GOLDEN.read_text("utf-8")


@pytest.mark.parametrize("scope", ["read", "write"])
def test_no_request_brings_an_answer_that_the_document_does_not_know(world: World, served: str, scope: str) -> None:
    token = getattr(tell(world), scope)
    document = json.loads(GOLDEN.read_text("utf-8"))
    schema = openapi.from_dict(document, config=SchemathesisConfig.from_dict(_CONFIG))
    schema.config.update(base_url=f"{served}/api/v1")
    seen: set[tuple[str, int]] = set()
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
                for there in ({}, _named(operation.path)):
                    _attempt(operation, mode, there, session, seen)
    statuses = {status for _, status in seen}
    assert {200, 304, 404, 422} <= statuses
    assert {label for label, _ in seen} == {label for label, status in seen if status < 500}
    good = {label for label, status in seen if status < 300}
    assert {label for label, _ in seen if label.startswith("GET")} - good == set()


def _named(path: str) -> dict[str, Any]:
    names = [step[1:-1] for step in path.split("/") if step.startswith("{")]
    known = {name: _THERE[name] for name in names}
    return {name: one[path.split("/")[1]] if isinstance(one, dict) else one for name, one in known.items()}


def _attempt(operation: Any, mode: Any, there: dict[str, Any], session: Any, seen: set[tuple[str, int]]) -> None:
    @given(case=operation.as_strategy(mode, path_parameters=there or None))
    @settings(
        max_examples=5, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def attempt(case: Any) -> None:
        answer = case.call_and_validate(session=session, excluded_checks=[ignored_auth])
        assert answer.status_code < 500
        seen.add((operation.label, answer.status_code))

    attempt()

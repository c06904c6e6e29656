"""Where the reading of a resource is, so that a killed run goes on there."""

from typing import Any

import msgspec

from tracker.connect.paging import Step
from tracker.connect.plans import Leg


class Place(msgspec.Struct):
    """How far a resource is: its state, the step inside an unfinished leg, the count of changes."""

    state: dict[str, str]
    resume: dict[str, Any] | None
    revision: int

    def start_of(self, leg: Leg) -> Step | None:
        if self.resume is None or self.resume.get("leg") != leg.key:
            return None
        return msgspec.convert(self.resume["step"], Step)

    def begun(self, leg: Leg) -> Leg | None:
        """The same leg as a killed run asked for it: its steps lead on only there, and only so far does it reach.

        Windows of one axis that differ only in their times count as one: now lies elsewhere than it did for that run.
        """
        key = self.resume.get("leg", "") if self.resume is not None else ""
        plain = leg.path is None and leg.payout is None and ":" in leg.key
        alike = plain and key.partition(":")[0] == leg.key.partition(":")[0]
        if self.resume is None or not (alike or key == leg.key):
            return None
        return msgspec.structs.replace(leg, key=key, params=self.resume["params"], done=self.resume["done"])

    def begin(self, leg: Leg) -> None:
        for name, value in leg.begin.items():
            self.state.setdefault(name, value)

    def finish(self, leg: Leg) -> None:
        self.state = {name: value for name, value in {**self.state, **leg.done}.items() if value}

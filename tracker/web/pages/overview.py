"""`/`: the overview."""

from decimal import Decimal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from tracker.figures.comparison import portion
from tracker.letters.written import Written, listed
from tracker.overview import overview
from tracker.web.site import User, show, site_of

router = APIRouter()
#: The pipeline's steps as the page names them.
STAGES = (
    ("pending", "Waiting for validation", "The provider may still decline it."),
    ("approved", "Approved", "Not known to be paid yet."),
    ("paid", "Paid this month", "Earned at any time, and paid since the month began."),
)


@router.get("/")
def page(request: Request, visitor: User) -> Response:
    deps = site_of(request).deps
    found = overview(deps.engine, deps.settings, deps.now())
    share = portion(found.total.recurring.amount, found.total.total.amount)
    values = {
        "visitor": visitor,
        "o": found,
        "wr": Written(found),
        "stages": STAGES,
        "listed": listed,
        "share": share if share is not None and 0 <= share <= Decimal(1) else None,
    }
    return show(request, "empty.html.j2" if found.empty else "overview.html.j2", values)

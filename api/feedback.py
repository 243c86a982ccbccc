"""What a caller says of a job: the route that it needed, how good its answer was."""

from typing import Annotated, Any

from fastapi import APIRouter

from api import views
from api.body import described, read_as
from api.guard import Asking
from api.lookup import load, no_such
from api.shapes import FeedbackTaken
from api.state import Fleet
from fleet.catalogue import Catalogue
from fleet.errors import InvalidRequest
from fleet.request import FeedbackRequest

router = APIRouter()


@router.post(
    "/v1/jobs/{job_id}/feedback",
    openapi_extra=described(FeedbackRequest),
    responses={200: {"model": FeedbackTaken}},
)
async def give_feedback(
    job_id: str,
    feedback: Annotated[FeedbackRequest, read_as(FeedbackRequest)],
    fleet: Fleet,
    caller: Asking,
) -> dict[str, Any]:
    """Say what the job's question needed, or how good its answer was; the latest word counts."""
    _check_route(feedback.route, fleet.settings.catalogue)
    job = await load(fleet, caller, job_id)
    if not await fleet.ledger.give_feedback(job, feedback):
        raise no_such(job_id)
    return views.feedback(job.id, feedback)


def _check_route(route: str | None, catalogue: Catalogue) -> None:
    """It may be one that is not served yet: that of the models which cost money."""
    known = tuple(dict.fromkeys((*catalogue.served_routes, "claude")))
    if route is not None and route not in known:
        raise InvalidRequest(
            f"route: there is no {route[:80]!r}; there are: {', '.join(known)}", param="route"
        )

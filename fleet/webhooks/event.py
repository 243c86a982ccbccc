"""What a webhook tells: one event for a job's end, in OpenAI's form. Pure."""

import json

from fleet.job import Status, named_for
from fleet.webhooks.delivery import Delivery

#: Responses has no word of its own for a job that nobody could answer in time.
_OF_RESPONSES = {Status.EXPIRED: "failed"}


def event_id(job_id: str) -> str:
    """A job ends once, so its one event has an id of the same digits: each try has the same."""
    return "evt_" + job_id.removeprefix("job_")


def event_body(delivery: Delivery) -> str:
    """The body, the same for each try. `created_at` is the end of the job."""
    data = {"id": named_for(delivery.api, delivery.job_id)}
    if delivery.api != "responses":
        data["status"] = delivery.status.value
    told = {
        "id": event_id(delivery.job_id),
        "object": "event",
        "created_at": delivery.finished_at // 1000,
        "type": event_type(delivery.api, delivery.status),
        "data": data,
    }
    return json.dumps(told, separators=(",", ":"))


def event_type(api: str, status: Status) -> str:
    """What the end is called: `response.…` for a job that came by Responses, else `job.…`."""
    if api == "responses":
        return f"response.{_OF_RESPONSES.get(status, status.value)}"
    return f"job.{status.value}"

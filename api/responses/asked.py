"""What of a response is known from the start: what was asked, and how. Pure."""

from dataclasses import dataclass
from typing import Any, Self

from api.responses import tools
from fleet.job import Job, named_for


@dataclass(frozen=True, slots=True)
class Asked:
    """The part of a response that does not change."""

    job_id: str
    #: The model that was asked for.
    model: str
    #: What the model reads.
    request: dict[str, Any]
    #: `Job.form`; see `api.responses.asking.form_of`.
    form: dict[str, Any]
    metadata: dict[str, str]

    @classmethod
    def of(cls, job: Job) -> Self:
        """A job's, whichever API it came by."""
        ours = job.api == "responses" and job.form is not None
        form = job.form if ours and job.form else _form_of_another(job)
        return cls(job.id, job.asked_model, job.request, form, job.metadata)

    @property
    def id(self) -> str:
        """What this API calls the job."""
        return named_for("responses", self.job_id)

    @property
    def digits(self) -> str:
        """What the ids of its items are made of."""
        return self.job_id.removeprefix("job_")

    @property
    def background(self) -> bool:
        """Whether nobody has to wait for it."""
        return bool(self.form.get("background"))

    @property
    def sure(self) -> bool:
        """Whether log probabilities are shown."""
        return bool(self.request.get("logprobs"))

    def shown(self) -> dict[str, Any]:
        """The object's fields that do not change."""
        form, request = self.form, self.request
        parallel = request.get("parallel_tool_calls")
        reasoning = {"effort": request.get("reasoning_effort"), "summary": None}
        return {
            "id": self.id,
            "object": "response",
            "background": self.background,
            "instructions": form.get("instructions"),
            "max_output_tokens": request.get("max_tokens"),
            "max_tool_calls": form.get("max_tool_calls"),
            "metadata": self.metadata,
            "parallel_tool_calls": True if parallel is None else parallel,
            "previous_response_id": form.get("previous_response_id"),
            "prompt_cache_key": form.get("prompt_cache_key"),
            "reasoning": reasoning,
            "safety_identifier": form.get("safety_identifier"),
            "store": form.get("store", True),
            "temperature": request.get("temperature"),
            "text": {"format": form.get("format") or {"type": "text"}},
            "tool_choice": form.get("tool_choice") or "auto",
            "tools": form.get("tools") or [],
            "top_logprobs": request.get("top_logprobs"),
            "top_p": request.get("top_p"),
            "truncation": form.get("truncation") or "disabled",
            "user": form.get("user"),
        }


def _form_of_another(job: Job) -> dict[str, Any]:
    """What a job of another API would have asked for here."""
    return {
        "background": job.api == "jobs",
        "store": job.stored,
        "format": tools.shown_format(job.request.get("response_format")),
        "tools": [tools.shown(tool) for tool in job.request.get("tools") or ()],
        "tool_choice": tools.shown_choice(job.request.get("tool_choice")),
    }

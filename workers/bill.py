"""What one call of a model that costs money may cost, and has cost so far. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from fleet.catalogue import Model
from fleet.events import Piece
from fleet.job import Job
from fleet.spend.settings import Spend
from fleet.spend.sheet import Hold, cap_of_all, cap_of_caller, cap_of_model
from fleet.tokens import BYTES_PER_TOKEN, prompt_tokens
from workers.backend import Step


class Bill:
    """One attempt's call, as its stream goes on."""

    def __init__(self, job: Job, model: Model, spend: Spend) -> None:
        self._model = model
        self._prompt = prompt_tokens(job.request)
        wanted = job.request.get("max_tokens") or model.max_tokens
        caps = [cap_of_all(spend), cap_of_model(model)]
        caps.append(cap_of_caller(job.caller, job.paid_calls or 0, job.budget_usd or 0.0))
        longest = usage_of(self._prompt, min(wanted, model.max_tokens))
        self.hold = Hold(f"{job.id}.{job.attempt}", self._usd(longest) or 0.0, caps)
        #: Whether the provider was asked.
        self.called = False
        self._told: dict[str, Any] = {}
        self._answer_bytes = 0
        self._ended = False

    def note(self, step: Step) -> None:
        """What has arrived."""
        for piece in step.pieces:
            self._answer_bytes += _size(piece)
        self._told |= step.usage or {}
        if step.end:
            self._ended = True
            self._told |= step.end.usage

    @property
    def cost_usd(self) -> float | None:
        """By the provider's figures as far as they were told, else by the size of what was sent
        and has arrived; None: nothing has. A server of our own bills no answer that broke off.
        """
        begun = self._ended or self._told or self._answer_bytes
        if not begun or not (self._ended or self._model.external):
            return None
        answer = -(-self._answer_bytes // BYTES_PER_TOKEN)
        if self._ended and self._told.get("completion_tokens") is not None:
            return self._usd(self._told)
        prompt = self._told.get("prompt_tokens") or self._prompt
        so_far = max(answer, int(self._told.get("completion_tokens") or 0))
        return self._usd({**self._told, **usage_of(prompt, so_far)})

    def _usd(self, usage: Mapping[str, Any]) -> float | None:
        return self._model.price.cost_usd(usage) if self._model.price else None


def usage_of(prompt: int, answer: int) -> dict[str, int]:
    """The figures that a price is reckoned from."""
    return {"prompt_tokens": prompt, "completion_tokens": answer}


def _size(piece: Piece) -> int:
    """Bytes of a piece; of calls, with the little that stands around their words."""
    said = piece.value if isinstance(piece.value, str) else json.dumps(piece.value)
    return len(said.encode("utf-8", "surrogatepass"))

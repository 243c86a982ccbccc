"""Bodies in which `null` is as good as not given, as with OpenAI. Pure."""

from typing import Any

from pydantic import BaseModel, model_validator


class NullIsNotGiven(BaseModel):
    """A body whose fields may all be null."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {name: value for name, value in body.items() if value is not None}

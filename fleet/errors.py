"""The one tree of errors. Where it branches tells whose fault it was.

FleetError
├── CallerError            the request cannot be served as it stands (4xx)
│   ├── InvalidRequest
│   ├── NotFound
│   ├── NoSuchModel
│   ├── NoSuchResponse
│   ├── NoSuchPrevious
│   ├── MethodNotAllowed
│   ├── Conflict
│   ├── JobCancelled
│   ├── NotEnded
│   ├── TooLarge
│   ├── Unauthorized
│   ├── TooManyJobs        a key has as many unended jobs as it may (429)
│   ├── TooManyWebhooks    … as many webhooks that are not delivered yet (429)
│   ├── RateLimited        a key has used up this minute's share (429)
│   │   ├── TooManyRequests
│   │   └── TooManyTokens
│   └── BudgetExceeded     a key has spent this day's money (429)
├── ModelError             a model server, or what it said (5xx)
│   ├── TryNext            another model may well answer
│   │   ├── TryLater           … and this one too, after a while
│   │   │   ├── ServerUnreachable
│   │   │   │   └── NotConnected       it has not heard the question
│   │   │   ├── ServerLoading
│   │   │   ├── ServerBusy         its provider wants fewer questions
│   │   │   ├── BreakerOpen        its server failed lately, and is left alone
│   │   │   └── Broken             … unless it is the job's own doing: it counts as an attempt
│   │   │       ├── ServerFailed
│   │   │       ├── ServerStalled
│   │   │       └── StreamCut
│   │   │           └── NotBegunAgain  it could not go on, and is not to begin again
│   │   ├── ContextExceeded
│   │   ├── CapReached
│   │   └── NotServed          its provider does not take the form of the request
│   │       └── Barred             … or the key, the account, or knows no such model
│   ├── AllModelsUnavailable   the whole plan has failed
│   └── Refused            no model would answer this request
└── FleetFault             ours (5xx, or the exit of a command)
    ├── DeadlineExceeded
    ├── Restarting
    ├── StoreUnavailable
    ├── QueueFull
    ├── TooBusy            it would wait longer than it is to
    ├── TooManyAttempts
    └── ConfigError

The docstring of a class is its default message; `code` is what machines read.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Literal

Fault = Literal["caller", "model", "fleet"]
#: What an error says of the server that gave it, to the server's breaker: nothing; one failure;
#: that it wants to be left alone, for a while or for long.
Trips = Literal["", "counts", "at_once", "for_long"]


class FleetError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    fault: ClassVar[Fault] = "fleet"
    type: ClassVar[str] = "server_error"
    trips: ClassVar[Trips] = ""

    def __init__(
        self, message: str = "", *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.param = param
        #: Seconds after which the same request may succeed; None: nobody knows.
        self.retry_after_s = retry_after_s
        #: What the head of an answer says beside it.
        self.headers: dict[str, str] = {}
        super().__init__(self.message)

    def as_dict(self) -> dict[str, Any]:
        """The error as it stands in every event and record, and in most envelopes."""
        return {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
            "fault": self.fault,
            **self.more,
        }

    @property
    def more(self) -> dict[str, Any]:
        """What else machines may want to read of it."""
        return {}

    def body(self) -> dict[str, Any]:
        """The error as the body of an answer has it."""
        return self.as_dict()


class CallerError(FleetError):
    """The request cannot be served as it stands."""

    code = "bad_request"
    status = 400
    fault = "caller"
    type = "invalid_request_error"


class InvalidRequest(CallerError):
    """The request is not valid."""

    code = "invalid_request"


class NotFound(CallerError):
    """There is no such thing here."""

    code = "not_found"
    status = 404


class NoSuchModel(CallerError):
    """There is no such model, or it is not for this key."""

    code = "model_not_found"
    status = 404


class NoSuchResponse(CallerError):
    """There is no such response."""

    code = "response_not_found"
    status = 404

    def body(self) -> dict[str, Any]:
        """Exactly what OpenAI says of it."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": None}


class NoSuchPrevious(CallerError):
    """There is no response to go on from."""

    code = "previous_response_not_found"


class MethodNotAllowed(CallerError):
    """This endpoint does not take that method."""

    code = "method_not_allowed"
    status = 405


class Conflict(CallerError):
    """The request contradicts an earlier one."""

    code = "conflict"
    status = 409


class JobCancelled(CallerError):
    """The job was cancelled before its answer was whole."""

    code = "cancelled"
    status = 409


class NotEnded(CallerError):
    """The job has not ended yet: follow its events, or wait for it with `?wait=`."""

    code = "not_ended"
    status = 409


class TooLarge(CallerError):
    """The request is larger than this server accepts."""

    code = "request_too_large"
    status = 413


class Unauthorized(CallerError):
    """A valid key is needed: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`."""

    code = "unauthorized"
    status = 401
    type = "authentication_error"


class TooManyJobs(CallerError):
    """This key has as many jobs that have not ended as it may."""

    code = "too_many_jobs"
    status = 429
    type = "rate_limit_error"


class TooManyWebhooks(CallerError):
    """This key has as many webhooks that could not be delivered yet as it may."""

    code = "too_many_webhooks"
    status = 429
    type = "rate_limit_error"


class RateLimited(CallerError):
    """This key has used up what it may ask for in a minute."""

    code = "rate_limit_exceeded"
    status = 429
    type = "rate_limit_error"


class TooManyRequests(RateLimited):
    """This key has made as many requests as it may in a minute."""

    type = "requests"


class TooManyTokens(RateLimited):
    """This key has used as many tokens as it may in a minute."""

    type = "tokens"


class BudgetExceeded(CallerError):
    """This key has spent what it may in a day."""

    code = "budget_exceeded"
    status = 429
    type = "insufficient_quota"


class ModelError(FleetError):
    """The model could not answer."""

    code = "model_error"
    status = 502
    fault: ClassVar[Fault] = "model"


class TryNext(ModelError):
    """This model could not answer; another one may."""


class TryLater(TryNext):
    """This model could not answer now; it may later, and another one at once."""


class Broken(TryLater):
    """This model began and failed: the server's doing, or the job's own."""

    trips: ClassVar[Trips] = "counts"


class ServerUnreachable(TryLater):
    """The model's server does not answer."""

    code = "server_unreachable"
    status = 503
    trips = "counts"


class NotConnected(ServerUnreachable):
    """No connection to the model's server: it has not heard the question."""


class ServerLoading(TryLater):
    """The model's server is still loading its model."""

    code = "server_loading"
    status = 503


class ServerBusy(TryLater):
    """The model's provider takes no more questions for now."""

    code = "server_busy"
    status = 503
    trips = "at_once"


class BreakerOpen(TryLater):
    """The model's server failed lately, and is left alone until it answers again."""

    code = "breaker_open"
    status = 503


class ServerFailed(Broken):
    """The model's server reported an error."""

    code = "server_failed"


class ServerStalled(Broken):
    """The model's server sent nothing for too long."""

    code = "server_stalled"
    status = 504


class StreamCut(Broken):
    """The model's stream ended before its end was announced."""

    code = "stream_cut"


class NotBegunAgain(StreamCut):
    """The answer broke off before, and the configuration says not to begin again."""

    trips = ""


class ContextExceeded(TryNext):
    """The conversation is longer than this model's context."""

    code = "context_exceeded"
    status = 400
    fault = "caller"
    type = "invalid_request_error"
    #: Tokens of the conversation, as far as the server told; 0: it did not.
    needs = 0

    def __init__(self, message: str = "", *, param: str | None = None, needs: int = 0) -> None:
        super().__init__(message, param=param)
        self.needs = needs


class CapReached(TryNext):
    """What calls of this model may cost in a day is used up."""

    code = "cap_reached"


class NotServed(TryNext):
    """The model's provider does not serve this request."""

    code = "not_served"


class Barred(NotServed):
    """The model's provider does not serve this key, account or model."""

    trips = "for_long"


class AllModelsUnavailable(ModelError):
    """All models unavailable."""

    code = "all_models_unavailable"
    status = 503

    def __init__(
        self,
        message: str = "",
        *,
        tried: Sequence[dict[str, Any]] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        #: `{model, code, message, tries}` for each model, in the order in which they were asked
        #: first; what it said last.
        self.tried = tuple(tried)

    @property
    def more(self) -> dict[str, Any]:
        """See `FleetError.more`."""
        wait_s = self.retry_after_s
        return {"tried": list(self.tried)} | ({} if wait_s is None else {"retry_after_s": wait_s})


class Refused(ModelError):
    """The model's server refused the request itself."""

    code = "refused"
    status = 400
    fault = "caller"
    type = "invalid_request_error"


class FleetFault(FleetError):
    """The fleet itself failed."""

    code = "internal_error"


class DeadlineExceeded(FleetFault):
    """Nobody could answer before the job's deadline, or begin it in time."""

    code = "deadline_exceeded"
    status = 504


class Restarting(FleetFault):
    """This server restarts; the job goes on without it."""

    code = "server_restarting"
    status = 503


class StoreUnavailable(FleetFault):
    """Redis does not answer; try again in a moment."""

    code = "store_unavailable"
    status = 503


class QueueFull(FleetFault):
    """Every queue that could take this job is full."""

    code = "queue_full"
    status = 503


class TooBusy(FleetFault):
    """Every model that could answer would keep the job waiting for too long."""

    code = "too_busy"
    status = 503


class TooManyAttempts(FleetFault):
    """The job was given up: too many workers died while they ran it."""

    code = "too_many_attempts"


class ConfigError(FleetFault):
    """The configuration is not valid."""

    code = "config_error"


def codes_of(branch: type[FleetError]) -> frozenset[str]:
    """The codes of a branch of the tree: records keep those."""
    below = frozenset[str]().union(*(codes_of(child) for child in branch.__subclasses__()))
    return below | ({branch.code} if "code" in vars(branch) else frozenset())


#: Failures after which the same model may be asked again.
PASSING = codes_of(TryLater)


def revived(told: Mapping[str, Any]) -> FleetError:
    """The error that `FleetError.as_dict` has told, as far as its code and type are known."""
    code, known = str(told.get("code")), _by_code_and_type()
    kind = known.get((code, str(told.get("type"))), known.get((code, ""), ModelError))
    error = kind.__new__(kind)
    wait_s = told.get("retry_after_s")
    FleetError.__init__(
        error, str(told.get("message") or ""), param=told.get("param"), retry_after_s=wait_s
    )
    if isinstance(error, AllModelsUnavailable):
        error.tried = tuple(told.get("tried") or ())
    return error


@cache
def _by_code_and_type() -> dict[tuple[str, str], type[FleetError]]:
    found: dict[tuple[str, str], type[FleetError]] = {}
    left = [FleetError]
    while left:
        kind = left.pop()
        for known in ((kind.code, kind.type), (kind.code, "")):
            found.setdefault(known, kind)  # a branch speaks for what grows on it
        left += kind.__subclasses__()
    return found

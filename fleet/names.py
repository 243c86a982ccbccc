"""Every name that two processes must agree on: queues, tasks, Redis keys, channels.

========================= ======= ====================================================
key                       type    lives
========================= ======= ====================================================
fleet:job:{id}            hash    `[store] retention_s` after its last move
fleet:job:{id}:log        stream  as its job
fleet:job:{id}:followers  list    as its job; the jobs that get its answer, too
fleet:jobs:{caller}       zset    permanent; trimmed to `[store] index_size`
fleet:due                 zset    permanent; jobs that have not ended, by their next check
fleet:due:later           zset    permanent; jobs that wait for a next try, by its time
fleet:due:load            hash    permanent; each caller's jobs that have not ended
fleet:due:looked          hash    permanent; when a reaper has looked
fleet:due:webhooks        zset    permanent; jobs whose webhook is not delivered, by their next try
fleet:due:webhooks:load   hash    permanent; how many of these each caller has
fleet:due:webhooks:looked hash    permanent; when a deliverer was woken, and has taken some
fleet:webhooks:failed     zset    permanent; jobs whose webhook was given up, the last `FAILED_MOST`
fleet:webhooks:secret     string  permanent; what signing secrets are derived from, if none is set
fleet:waiting:{q}         zset    permanent; the jobs that wait in a queue, as they will be served
fleet:waiting:{q}:turns   hash    permanent; gone when nobody waits there
fleet:waiting:{q}:running zset    `[store] retention_s` after a claim; jobs that its workers have
fleet:claim:{c}           string  a minute; which job a claim has got
fleet:generations:{s}     set     `[store] retention_s` after a claim; what a server keeps for us
fleet:paces               hash    permanent; what a job of each model takes: mean, variance, count
fleet:mix                 hash    permanent; how the last decisions spread: asked:model, count
fleet:conversation:{c}    hash    `[router] conversation_s` after its last decision or answer
fleet:decisions           stream  permanent; trimmed to `[router] log_size`
fleet:feedback            stream  permanent; trimmed to `EXAMPLES_MOST`
fleet:idem:{h}            string  `[store] retention_s`
fleet:nodes               set     permanent; names of processes, pruned by readers
fleet:node:{node}         string  `NODE_TTL_S`; renewed by its process
fleet:keys                hash    permanent; who may ask, by the caller's name
fleet:keys:digests        hash    permanent; the caller's name, by the SHA-256 of the key
fleet:bucket:{caller}     hash    two minutes after its last change: it is full again then
fleet:breaker:{s}         hash    ten minutes and the longest pause after its last change; what is
                                  known of a server
fleet:book:{day}          hash    400 days; calls and money of that day, see `fleet/spend/sheet.py`
fleet:holds               zset    permanent; what is set aside for calls under way, by its end
fleet:holds:{id}          hash    `[store] retention_s`, at least a day, and the longest deadline;
                                  what became of it
fleet:cache:{d}           string  `[cache] ttl_s` after an answer; the job that has it
fleet:cache:{d}:flight    string  as its job; the job that is giving the answer
fleet:cache:counts        hash    permanent; how often answers were given again
fleet:similar:{frame}     string  `[cache] ttl_s` and a deadline after the last question; questions
                                  by their embeddings, at most `[cache.semantic] entries`
========================= ======= ====================================================

Channels: `fleet:live:{id}` carries a job's events as they are written,
`fleet:cancels` the ids of running jobs that must stop, `fleet:breakers` what is known of a model
server, when that changes.
"""

import hashlib
from typing import Final

ROUTE_TASK: Final = "router.route"
RUN_TASK: Final = "workers.run"
DELIVER_TASK: Final = "webhooks.deliver"
ROUTER_QUEUE: Final = "router"
WEBHOOKS_QUEUE: Final = "webhooks"

JOBS_PREFIX: Final = "fleet:job:"
NODES_PREFIX: Final = "fleet:node:"
LIVE_PREFIX: Final = "fleet:live:"
CANCELS_CHANNEL: Final = "fleet:cancels"
BREAKERS_CHANNEL: Final = "fleet:breakers"
DUE: Final = "fleet:due"
DUE_WEBHOOKS: Final = f"{DUE}:webhooks"
WEBHOOKS_LOAD: Final = f"{DUE_WEBHOOKS}:load"
WEBHOOKS_FAILED: Final = "fleet:webhooks:failed"
WEBHOOKS_SECRET: Final = "fleet:webhooks:secret"
PACE: Final = "fleet:paces"
MIX: Final = "fleet:mix"
#: What was decided and what came of it, in entries `k` (kind) and `d` (JSON): see `fleet/rows.py`.
DECISIONS: Final = "fleet:decisions"
#: Texts with the route that a caller says they need.
FEEDBACK: Final = "fleet:feedback"
#: How requests were answered that might be from the cache; see `fleet.cache.finding.counts`.
CACHE_COUNTS: Final = "fleet:cache:counts"
NODES: Final = "fleet:nodes"
#: Who may ask, beside the callers in the settings; see `fleet/keys.py`.
KEYS: Final = "fleet:keys"
KEY_DIGESTS: Final = "fleet:keys:digests"
#: Prefix of the days' books; the scripts add the day.
BOOK_PREFIX: Final = "fleet:book:"
#: Money set aside for calls under way, by the time at which it is given back.
HOLDS: Final = "fleet:holds"
#: No such key is ever made: to add to what is not there asks whether one could write.
NEVER_THERE: Final = "fleet:never"

#: Entries kept in `FEEDBACK`.
EXAMPLES_MOST: Final = 10_000

#: Entries kept in `WEBHOOKS_FAILED`.
FAILED_MOST: Final = 1_000

#: Seconds that a process counts as alive after its last sign of life.
NODE_TTL_S: Final = 15

#: kombu keeps one Redis list per step; a priority belongs to the step below it.
PRIORITY_STEPS: Final = (0, 3, 6, 9)
PRIORITY_SEPARATOR: Final = "\x06\x16"


def job_key(job_id: str) -> str:
    """Hash of one job record."""
    return f"{JOBS_PREFIX}{job_id}"


def jobs_index(caller: str) -> str:
    """Sorted set of a caller's jobs by the time of their making."""
    return f"fleet:jobs:{caller}"


def log_key(job_id: str) -> str:
    """Stream of one job's events; entry `N-1` holds sequence number N."""
    return f"{JOBS_PREFIX}{job_id}:log"


def live_channel(job_id: str) -> str:
    """Channel on which one job's events are announced as they are written."""
    return f"{LIVE_PREFIX}{job_id}"


def idempotency_key(digest: str) -> str:
    """String that maps a caller's Idempotency-Key (hashed) to a job."""
    return f"fleet:idem:{digest}"


def conversation_key(handle: str) -> str:
    """Hash of what is remembered of a conversation; see `fleet.decision.Memory`."""
    return f"fleet:conversation:{handle}"


def node_key(node: str) -> str:
    """String with one process's last report about itself, as JSON."""
    return f"{NODES_PREFIX}{node}"


def waiting_key(queue: str) -> str:
    """Sorted set of the jobs that wait in a queue, in the order in which they will be served."""
    return f"fleet:waiting:{queue}"


def claim_key(claim: str) -> str:
    """String that remembers which job a claim has got."""
    return f"fleet:claim:{claim}"


def generations_key(server: str) -> str:
    """Set of the generations that a model server may hold for us."""
    return f"fleet:generations:{_digest(server)}"


def breaker_key(server: str) -> str:
    """Hash of what is known of a model server's health."""
    return f"fleet:breaker:{_digest(server)}"


def _digest(server: str) -> str:
    return hashlib.sha256(server.encode()).hexdigest()[:16]


def cache_key(digest: str) -> str:
    """String with the job that has the answer to requests of this digest."""
    return f"fleet:cache:{digest}"


def flight_key(digest: str) -> str:
    """String with the job that is giving that answer."""
    return f"{cache_key(digest)}:flight"


def similar_key(frame: str) -> str:
    """String with the embeddings of questions that differ in nothing else."""
    return f"fleet:similar:{frame}"


def bucket_key(caller: str) -> str:
    """Hash of the requests and tokens that a caller has left of this minute's."""
    return f"fleet:bucket:{caller}"


def book_key(day: int) -> str:
    """Hash of what was called and spent on a day, by its number in the configured time zone."""
    return f"{BOOK_PREFIX}{day}"


def queue_lists(queue: str) -> list[str]:
    """The Redis lists in which kombu keeps the messages of a queue."""
    return [queue_list(queue, step) for step in PRIORITY_STEPS]


def queue_list(queue: str, priority: int = 0) -> str:
    """Redis list in which kombu keeps the messages of a queue at a priority (0 is first)."""
    step = max(s for s in PRIORITY_STEPS if s <= priority)
    return f"{queue}{PRIORITY_SEPARATOR}{step}" if step else queue

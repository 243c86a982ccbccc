"""What Redis says when it takes no command, in plain words. Pure."""

#: How Redis begins what it says: what that means, and what helps.
_MEANINGS = {
    "OOM": "Redis' memory is full: raise its maxmemory, or keep jobs for a shorter time "
    "([store] retention_s).",
    "MISCONF": "Redis cannot write to its disk, so it takes no changes: make room there, or "
    "mend the disk.",
    "READONLY": "Redis is a read-only replica: redis_url must name the primary.",
    "LOADING": "Redis is still loading its data: it answers when that is done.",
    "BUSY": "Redis is busy with a script that does not end: see SCRIPT KILL.",
    "NOREPLICAS": "Redis has too few replicas to take changes (min-replicas-to-write).",
    "MASTERDOWN": "Redis is a replica that has lost its primary.",
    "NOAUTH": "Redis wants a password: give it in redis_url.",
    "WRONGPASS": "Redis does not take the user or the password in redis_url.",
    "NOPERM": "Redis does not allow its user what the fleet needs.",
}


def in_plain_words(said: str) -> str:
    """What an error of Redis means; empty if it is none of those that an operator can mend."""
    return _MEANINGS.get(said.partition(" ")[0], "")

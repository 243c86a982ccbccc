"""Fetches a large file: resumed where it stopped, with a progress bar."""

import shutil
import sys
from pathlib import Path

import httpx
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from cli.screen import err
from fleet.errors import ConfigError

#: Above this somebody at a terminal is asked first.
ASK_ABOVE_BYTES = 1024**3
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_MAGIC = b"GGUF"


def fetch(url: str, target: Path, *, yes: bool = False) -> Path:
    """Download `url` to `target` and say what it cost.

    Raises:
        ConfigError: it cannot be had, does not fit, was declined, or is no GGUF file.
    """
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        _download(url, part, yes)
    except httpx.HTTPError as error:
        raise ConfigError(f"{url}: {error}; start again to go on where it stopped") from None
    with part.open("rb") as file:
        if file.read(4) != _MAGIC:
            part.unlink()
            raise ConfigError(f"{url}: this is not a GGUF file")
    part.replace(target)
    err.print(f"{target.name} takes {mib(target.stat().st_size)} in {target.parent}")
    return target


def _download(url: str, part: Path, yes: bool) -> None:
    tag = part.with_name(part.name + ".etag")
    with httpx.stream(
        "GET", url, headers=_resume(part, tag), follow_redirects=True, timeout=_TIMEOUT
    ) as response:
        if response.status_code == 416:  # nothing is missing any more
            return
        response.raise_for_status()
        have = part.stat().st_size if response.status_code == 206 else 0
        more = int(response.headers.get("content-length") or 0)
        _agree(part, have + more, more, yes)
        tag.write_text(response.headers.get("etag", ""), encoding="utf-8")
        _write(response, part, have, have + more)
    tag.unlink(missing_ok=True)


def _resume(part: Path, tag: Path) -> dict[str, str]:
    """Ask for the rest only while the server's file is still the one we began."""
    plain = {"Accept-Encoding": "identity"}
    etag = tag.read_text(encoding="utf-8") if tag.is_file() else ""
    if not part.is_file() or not etag or etag.startswith("W/"):
        return plain
    return {**plain, "Range": f"bytes={part.stat().st_size}-", "If-Range": etag}


def _agree(part: Path, total: int, more: int, yes: bool) -> None:
    free = shutil.disk_usage(part.parent).free
    if more > free:
        raise ConfigError(f"{part.stem} needs {mib(more)}, and {mib(free)} are free")
    if total > ASK_ABOVE_BYTES and not yes and sys.stdin.isatty():
        from rich.prompt import Confirm

        if not Confirm.ask(f"Fetch {part.stem}, {mib(total)}?", console=err, default=True):
            raise ConfigError(f"{part.stem} was not fetched")


def _write(response: httpx.Response, part: Path, have: int, total: int) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as progress, part.open("ab" if have else "wb") as file:
        task = progress.add_task(part.stem, total=total or None, completed=have)
        for block in response.iter_raw():
            file.write(block)
            progress.advance(task, len(block))


def mib(size: int) -> str:
    """A size as people read it."""
    return f"{size / 1024**3:.1f} GiB" if size >= 1024**3 else f"{size / 1024**2:.0f} MiB"

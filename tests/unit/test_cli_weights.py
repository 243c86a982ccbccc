import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.fetch import fetch, mib
from cli.weights import download_target, find_weights
from fleet.errors import ConfigError

WHERE = "models.fast.server.weights"
FILE = b"GGUF" + bytes(range(256)) * 64


class Files(BaseHTTPRequestHandler):
    """Serves one file, in part where asked; `/broken` ends halfway."""

    ranges: list[str | None] = []  # noqa: RUF012

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        body = b"<html>" if self.path.startswith("/page") else FILE
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - begin))
        self.send_header("ETag", '"one"')
        self.end_headers()
        breaks = self.path.startswith("/broken") and not wanted
        self.wfile.write(body[begin : len(body) // 2 if breaks else None])


@pytest.fixture
def files() -> Iterator[str]:
    Files.ranges = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def find(source: str, tmp_path: Path) -> Path:
    config = tmp_path / "config" / "fleet.toml"
    config.parent.mkdir(exist_ok=True)
    return find_weights(source, WHERE, config, tmp_path / "home", yes=True)


def test_a_relative_path_begins_at_the_configurations_own_folder(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "model.gguf"
    file.write_bytes(FILE)
    assert find("model.gguf", tmp_path) == file
    assert find(str(file), tmp_path) == file


def test_the_weights_inside_an_installed_package_are_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "some_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "model.gguf").write_bytes(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find("package:some_weights", tmp_path) == package / "model.gguf"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nothing.gguf", "nothing.gguf: no such file"),
        ("package:no_such_package", "the package 'no_such_package' is not installed"),
        ("package:os.path", "'os.path' is not the name of a package"),
        ("http://example.org/model.gguf", "use https"),
    ],
)
def test_weights_that_cannot_be_had_are_named_with_their_key(
    tmp_path: Path, source: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=f"{WHERE}: .*{said}"):
        find(source, tmp_path)


def test_an_address_is_fetched_once_and_kept(files: str, tmp_path: Path) -> None:
    path = find(f"{files}/a/model.gguf", tmp_path)
    assert path.name == "model.gguf"
    assert path.read_bytes() == FILE
    assert find(f"{files}/a/model.gguf", tmp_path) == path
    assert Files.ranges == [None]


def test_two_addresses_with_one_file_name_do_not_share_a_place(tmp_path: Path) -> None:
    first = download_target("https://example.org/a/model.gguf", tmp_path)
    assert first != download_target("https://example.org/b/model.gguf", tmp_path)


def test_a_download_that_broke_goes_on_where_it_stopped(files: str, tmp_path: Path) -> None:
    target = tmp_path / "model.gguf"
    with pytest.raises(ConfigError, match="start again to go on"):
        fetch(f"{files}/broken/model.gguf", target)
    assert not target.exists()
    assert fetch(f"{files}/broken/model.gguf", target).read_bytes() == FILE
    assert Files.ranges == [None, f"bytes={len(FILE) // 2}-"]
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]


def test_a_page_instead_of_a_model_is_refused_and_not_kept(files: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a GGUF file"):
        fetch(f"{files}/page/model.gguf", tmp_path / "model.gguf")
    assert list(tmp_path.glob("*.gguf*")) == []


def test_a_missing_file_is_said_so(files: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="404"):
        fetch(f"{files}/missing/model.gguf", tmp_path / "model.gguf")


def test_sizes_are_shown_as_people_read_them() -> None:
    assert mib(98_362_432) == "94 MiB"
    assert mib(5 * 1024**3) == "5.0 GiB"

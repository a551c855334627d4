"""Find and read the site file: how a cluster is spoken to."""

from __future__ import annotations

import fnmatch
import sys
from pathlib import Path

from speechkit.config import build_config
from speechkit.errors import ConfigError
from speechkit.jobs.config import SiteConfig, SiteDefaults

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PLACES = (Path("conf/slurm.toml"), Path.home() / ".config" / "speechkit" / "slurm.toml")


def parse_backend(cmd: str) -> tuple[str, Path | None]:
    """`local`, `slurm` or `slurm:FILE` as backend and site file; without FILE the first that exists is taken.

    Raises:
        ConfigError: none of these, or the file is absent.
    """
    backend, colon, name = cmd.partition(":")
    if backend not in ("local", "slurm") or (colon and (backend == "local" or not name)):
        raise ConfigError(f"there is no backend `{cmd}`", expected="local, slurm or slurm:conf/slurm.toml")
    if name and not Path(name).is_file():
        raise ConfigError(f"the site file `{name}` does not exist", hint="docs/cluster.md shows one")
    if backend == "local":
        return backend, None
    return backend, Path(name) if name else next((place for place in _PLACES if place.is_file()), None)


def load_site(path: Path | None) -> SiteConfig:
    """The site file, or the defaults of Slurm without one.

    Raises:
        ConfigError: not TOML, or with every problem at once.
    """
    if path is None:
        return SiteConfig()
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from None
    try:
        return build_config(SiteConfig, tree, {(): str(path)})
    except ConfigError as error:
        error.hint = "docs/cluster.md shows a site file"
        raise


def defaults_of(site: SiteConfig, name: str) -> SiteDefaults:
    """The defaults for a job of this name: those of every job, then of each matching pattern in the order given."""
    merged = site.defaults
    for pattern, own in site.jobs.items():
        if fnmatch.fnmatchcase(name, pattern):
            merged = merged.model_copy(update=own.model_dump(exclude_unset=True))
    return merged

"""The one way to configure: pydantic defaults < YAML file < `--set key=value`.

All problems are reported at once, each with file:line and the nearest known name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import pydantic
import yaml
from pydantic_core import PydanticUndefined

from speechkit.errors import ConfigError, SpeechkitError

C = TypeVar("C", bound="Config")


class Config(pydantic.BaseModel):
    """Base of every configuration: immutable, and unknown keys are errors."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars: `1e-3` is a number; `no` and `1:30` are text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in [
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+0123456789.")),
]:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def parse_yaml(text: str, source: str) -> tuple[Any, dict[tuple[str, ...], int]]:
    """The plain value of a YAML text, and the line of each key path.

    Raises:
        ConfigError: not YAML, or a key given twice; the message names source:line.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"not valid YAML: {problem}", where=f"{source}{line}") from None
    lines: dict[tuple[str, ...], int] = {}
    if node is None:
        return {}, lines
    _walk_lines(node, (), lines, source)
    return _Loader("").construct_document(node), lines


def _walk_lines(node: yaml.Node, path: tuple[str, ...], lines: dict[tuple[str, ...], int], source: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            child = (*path, str(key.value))
            if child in lines:
                raise ConfigError(
                    f"key `{'.'.join(child)}` is given twice", where=f"{source}:{key.start_mark.line + 1}"
                )
            lines[child] = key.start_mark.line + 1
            _walk_lines(value, child, lines, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk_lines(value, (*path, str(index)), lines, source)


def load_config(cls: type[C], path: Path | None = None, overrides: Sequence[str] = ()) -> C:
    """Defaults of `cls`, then the YAML file, then `a.b=value` overrides.

    Raises:
        ConfigError: with every problem of the file and the overrides at once.
    """
    tree: Any = {}
    lines: dict[tuple[str, ...], int] = {}
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the config `{path}`", where=str(error)) from None
        tree, lines = parse_yaml(text, str(path))
        if not isinstance(tree, dict):
            raise ConfigError("the config is not a mapping of keys to values", where=f"{path}:1")
    origin: dict[tuple[str, ...], str] = {key: f"{path}:{line}" for key, line in lines.items()}
    for override in overrides:
        _apply_override(tree, origin, override)
    return build_config(cls, tree, origin)


def _apply_override(tree: dict[str, Any], origin: dict[tuple[str, ...], str], override: str) -> None:
    key, equals, text = override.partition("=")
    keys = tuple(key.strip().split("."))
    if not equals or not all(keys):
        raise ConfigError(f"`--set {override}` is not key=value", expected="for example --set optim.lr=1e-3")
    value, _ = parse_yaml(text, f"--set {override}")
    value = "" if value == {} and not text.strip() else value
    node = tree
    for name in keys[:-1]:
        child = node.setdefault(name, {})
        if not isinstance(child, dict):
            raise ConfigError(f"`--set {override}`: `{name}` holds a value, not a section")
        node = child
    node[keys[-1]] = value
    for known in [k for k in origin if k[: len(keys)] == keys]:
        del origin[known]
    origin[keys] = f"--set {override}"


def build_config(cls: type[C], tree: object, origin: dict[tuple[str, ...], str] | None = None) -> C:
    """Validate a plain tree; `origin` says where each key came from, for the messages."""
    try:
        return cls.model_validate(tree)
    except pydantic.ValidationError as error:
        problems = [_describe(cls, item, origin or {}) for item in error.errors()]
    raise ConfigError(
        f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the configuration",
        where=problems,
        hint="`--show-config` prints every key with its default and meaning",
    )


def _describe(cls: type[Config], item: Any, origin: dict[tuple[str, ...], str]) -> str:
    # pydantic puts the tag of a union into the location; it is no key of the user's
    loc = tuple(str(part) for part in item["loc"])
    source = ""
    for size in range(len(loc), -1, -1):
        for candidate in (loc[:size], tuple(p for i, p in enumerate(loc[:size]) if i != 1)):
            source = source or origin.get(candidate, "")
    dotted = ".".join(loc) or "(all)"
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(loc[-1], _known_keys(cls, loc[:-1]), n=3, cutoff=0.5)
        text = f"unknown key `{dotted}`" + (f", did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else "")
    else:
        given = item.get("input")
        shown = "" if isinstance(given, dict) or item["type"] == "missing" else f" (got {given!r})"
        text = f"`{dotted}`: {item['msg'][:1].lower()}{item['msg'][1:]}{shown}"
    return f"{source}  {text}" if source else text


def _known_keys(cls: type[Config], path: Sequence[str]) -> list[str]:
    models: list[type[Config]] = [cls]
    for part in path:
        found = [m for model in models if part in model.model_fields for m in _models_in(model.model_fields[part].annotation)]
        models = found or [m for m in models if _tag_of(m) == part] or models
    return [name for model in models for name in model.model_fields]


def _models_in(annotation: object) -> list[type[Config]]:
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    return [model for arg in get_args(annotation) for model in _models_in(arg)]


def _tag_of(model: type[Config]) -> object:
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


def to_yaml(config: Config) -> str:
    """The resolved tree as YAML: what goes to `config.yaml`."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def show_config(config: Config) -> str:
    """The resolved tree with the description of each key as a comment: the documentation of a config."""
    return "\n".join(_show(config, 0)) + "\n"


def _show(config: Config, depth: int) -> list[str]:
    pad = "  " * depth
    lines: list[str] = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        comment = f"  # {field.description}" if field.description else ""
        if isinstance(value, Config):
            lines += [f"{pad}{name}:{comment}", *_show(value, depth + 1)]
        else:
            dumped = config.model_dump(mode="json", include={name})[name]
            text = yaml.safe_dump(dumped, default_flow_style=True, width=10**6).removesuffix("\n").removesuffix("\n...")
            default = field.get_default(call_default_factory=True) if not field.is_required() else PydanticUndefined
            note = "" if default is PydanticUndefined or default == value else f" (default: {default})"
            lines.append(f"{pad}{name}: {text}{comment}{note}")
    return lines


def read_config(cls: type[C], path: Path) -> C:
    """The `config.yaml` that an earlier command left in its artifact.

    Raises:
        SpeechkitError: the file is missing; ConfigError: it does not fit this version.
    """
    if not path.is_file():
        raise SpeechkitError(f"`{path}` is missing", expected="the folder of a finished speechkit command")
    return load_config(cls, path)

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

from speechkit.errors import ConfigError, SpeechkitError

C = TypeVar("C", bound="Config")


# json_schema_extra of a field that cannot change a result, such as the number of worker processes
NEUTRAL: dict[str, Any] = {"neutral": True}
# of a field that came later, with a default that does what was done before: artifacts of then stay up to date
LATER: dict[str, Any] = {"later": True}


class Config(pydantic.BaseModel):
    """Base of every configuration: immutable, and unknown keys are errors."""

    def deciding_fields(self) -> dict[str, Any]:
        """The plain tree without fields marked as `NEUTRAL`, or `LATER` at their default: what a fingerprint counts."""
        fields = type(self).model_fields
        neutral = {name for name, field in fields.items() if field.json_schema_extra == NEUTRAL}
        later = {name for name, field in fields.items() if field.json_schema_extra == LATER}
        neutral |= {name for name in later if getattr(self, name) == fields[name].default}
        plain = self.model_dump(mode="json", exclude=neutral)
        for name in fields.keys() - neutral:
            value = getattr(self, name)
            if isinstance(value, Config):
                plain[name] = value.deciding_fields()
        return plain

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars: `1e-3` is a number; `no` and `1:30` are text. No anchors: a config says what it says."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (`*name`) are not supported", mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, TypeError, AttributeError):  # PyYAML's answers to `!!int abc` and the like
            problem = f"`{node.value!s:.40}` is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or our loader would not read as text."""


_MAX_INT_LENGTH = 1000  # Python itself refuses to read or print some thousand digits
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in [
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", _FLOAT, list("-+0123456789.")),
]:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    # YAML 1.1 would read 010 as 8 and stumble over 08
    text = str(loader.construct_scalar(node))
    if len(text) > _MAX_INT_LENGTH:
        raise ValueError("too many digits")
    return int(text, 16 if text.startswith("0x") else 10)


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # in any other style these line breaks would be written as they are and read as newlines or folds
    style = '"' if re.search("[\x85\u2028\u2029]", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Dumper.add_representer(str, _represent_text)


def parse_yaml(text: str, source: str) -> tuple[Any, dict[tuple[str, ...], int]]:
    """The plain value of a YAML text, and the line of each key path.

    Raises:
        ConfigError: not YAML, or a key given twice; the message names source:line.
    """
    lines: dict[tuple[str, ...], int] = {}
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            return {}, lines
        _walk_lines(node, (), lines, source)
        return _Loader("").construct_document(node), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark and not source.startswith("--set ") else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"not valid YAML: {problem}", where=f"{source}{line}") from None
    except RecursionError:
        raise ConfigError("not valid YAML: sections or lists are nested too deeply", where=source) from None


def _walk_lines(node: yaml.Node, path: tuple[str, ...], lines: dict[tuple[str, ...], int], source: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError("a key is not a plain word", where=f"{source}:{key.start_mark.line + 1}")
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
    value, _ = parse_yaml(text, f"--set {override:.80}")
    if value == {} and not text.strip().startswith("{"):  # empty, or what YAML takes for a comment
        value = text.strip()
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
        hint="see --help" if origin is None else "`--show-config` prints every key with its default and meaning",
    )


def _describe(cls: type[Config], item: Any, origin: dict[tuple[str, ...], str]) -> str:
    path, known = _user_path(cls, item["loc"])
    kind, dotted = item["type"], ".".join(path) or "the configuration"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        path, dotted = [*path, "kind"], f"{dotted}.kind"
    source = _origin_of(tuple(path), origin)
    if kind == "extra_forbidden":
        text = f"unknown key `{dotted}`{_did_you_mean(path[-1], known)}"
    elif kind == "union_tag_invalid":
        tags = item["ctx"]["expected_tags"].replace("'", "`")
        text = f"`{dotted}`: there is no `{item['ctx']['tag']}`, expected one of {tags}"
    elif kind in ("union_tag_not_found", "missing"):
        text = f"`{dotted}` is missing"
    elif kind == "model_type":
        text = f"`{dotted}` is a section of keys (got {item['input']!r})"
    else:
        given = item.get("input")
        shown = "" if isinstance(given, dict) else f" (got {given!r})"
        message = item["msg"].removeprefix("Value error, ")  # pydantic's prefix for our own validators
        text = f"{message[:1].lower()}{message[1:]}{shown}"
        text = f"`{dotted}`: {text}" if path else text
    return f"{source}  {text}" if source else text


def _origin_of(path: tuple[str, ...], origin: dict[tuple[str, ...], str]) -> str:
    for size in range(len(path), 0, -1):
        for key, source in origin.items():  # the key itself, a key below it, then the section around it
            if key[:size] == path[:size]:
                return source
    return origin.get((), "")


def _user_path(cls: type[Config], loc: Sequence[str | int]) -> tuple[list[str], list[str]]:
    """The path as the user wrote it, without the union tags pydantic puts in, and the keys known at its end."""
    models, known, path = [cls], [], []
    for part in map(str, loc):
        tagged = [m for m in models if _tag_of(m) == part]
        if tagged and len(models) > 1:
            models = tagged
            continue
        path.append(part)
        known = [name for model in models for name in model.model_fields]
        if not part.isdigit():
            fields = [model.model_fields[part] for model in models if part in model.model_fields]
            models = [model for field in fields for model in _models_in(field.annotation)]
    return path, known


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f", did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else ""


def _models_in(annotation: object) -> list[type[Config]]:
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    return [model for arg in get_args(annotation) for model in _models_in(arg)]


def _tag_of(model: type[Config]) -> object:
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


def to_yaml(config: Config) -> str:
    """The resolved tree as YAML: what goes to `config.yaml`."""
    return _dump(config.model_dump(mode="json"), default_flow_style=False)


def _dump(value: object, *, default_flow_style: bool) -> str:
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=10**6,
        default_flow_style=default_flow_style,
    )
    return text


def show_config(config: Config) -> str:
    """The resolved tree with the description of each key as a comment: the documentation of a config."""
    return "\n".join(_show(config, 0)) + "\n"


def _show(config: Config, depth: int) -> list[str]:
    pad = "  " * depth
    lines: list[str] = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        notes = [field.description] if field.description else []
        text = ""
        if not isinstance(value, Config):
            dumped = config.model_dump(mode="json", include={name})[name]
            text = " " + _dump(dumped, default_flow_style=True).removesuffix("\n").removesuffix("\n...")
            default = field.get_default(call_default_factory=True) if not field.is_required() else value
            notes += [] if default == value else [f"(default: {default})"]
        lines.append(f"{pad}{name}:{text}" + (f"  # {' '.join(notes)}" if notes else ""))
        lines += _show(value, depth + 1) if isinstance(value, Config) else []
    return lines


def read_config(cls: type[C], path: Path) -> C:
    """The `config.yaml` that an earlier command left in its artifact.

    Raises:
        SpeechkitError: the file is missing; ConfigError: it does not fit this version.
    """
    if not path.is_file():
        raise SpeechkitError(f"`{path}` is missing", expected="the folder of a finished speechkit command")
    return load_config(cls, path)

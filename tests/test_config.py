"""Configuration: YAML values keep their type, all problems are named at once with file:line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from speechkit.config import (
    Config,
    build_config,
    load_config,
    parse_yaml,
    read_config,
    show_config,
    to_yaml,
)
from speechkit.errors import ConfigError, SpeechkitError

HINT = "hint: `--show-config` prints every key with its default and meaning"


class Small(Config):
    """One kind of model."""

    kind: Literal["small"] = "small"
    size: int = Field(1, ge=1, description="how small")


class Wide(Config):
    """Another kind of model."""

    kind: Literal["wide"] = "wide"
    width: float = 1.0


class Optim(Config):
    """A section."""

    lr: float = Field(1e-3, gt=0, description="learning rate")
    warmup_steps: int = 10
    name: str = "adam"
    nesterov: bool = False


class Top(Config):
    """The whole tree."""

    model: Annotated[Small | Wide, Field(discriminator="kind")] = Field(Small(), description="what is trained")
    optim: Optim = Optim()
    stages: list[Optim] = Field([])
    layers: list[Annotated[Small | Wide, Field(discriminator="kind")]] = Field([])
    limit: int | None = None
    weights: dict[str, float] = Field({})


class Needy(Config):
    """A key without default."""

    source: str
    optim: Optim


def load(folder: Path, text: str, *overrides: str, cls: type[Config] = Top) -> Any:
    path = folder / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(cls, path, overrides)


def message(folder: Path, text: str, *overrides: str, cls: type[Config] = Top) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, *overrides, cls=cls)
    return str(caught.value).replace(str(folder / "c.yaml"), "c.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("+3.", 3.0),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("3", 3),
        ("-3", -3),
        ("010", 10),
        ("08", 8),
        ("0x1F", 31),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-01-02", "2026-01-02"),
        ("0o7", "0o7"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("'1e-3'", "1e-3"),
        ("=", "="),
        ("é", "é"),
        ("[1e-3, no]", [1e-3, "no"]),
    ],
)
def test_yaml_scalars_are_read_as_yaml_1_2(text: str, value: object) -> None:
    assert parse_yaml(f"k: {text}", "f") == ({"k": value}, {(): 1, ("k",): 1, **_items(value)})


def _items(value: object) -> dict[tuple[str, ...], int]:
    return {("k", str(n)): 1 for n in range(len(value))} if isinstance(value, list) else {}


def test_defaults_then_file_then_overrides(tmp_path: Path) -> None:
    config = load(tmp_path, "optim:\n  lr: 1e-2\n  warmup_steps: 5\n", "optim.lr=2e-2", "model.kind=wide", "limit=3")
    assert config.optim == Optim(lr=0.02, warmup_steps=5)
    assert config.model == Wide()
    assert config.limit == 3
    assert load(tmp_path, "") == Top() == load_config(Top)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Top().limit = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optim.name=a b", "a b"),
        ("optim.name=", ""),
        ("optim.name=#x", "#x"),
        ("optim.name=no", "no"),
        ("optim.name='3'", "3"),
        ("optim.name=a=b", "a=b"),
        ("optim={name: z}", "z"),
        (" optim.name =y", "y"),
    ],
)
def test_overrides_are_read_like_yaml(tmp_path: Path, override: str, expected: str) -> None:
    assert load(tmp_path, "optim:\n  name: from the file\n", override).optim.name == expected


def test_the_last_override_wins(tmp_path: Path) -> None:
    assert load(tmp_path, "", "limit=1", "limit=null", "limit=2").limit == 2


def test_unknown_keys_get_the_nearest_names_and_all_problems_come_at_once(tmp_path: Path) -> None:
    text = (
        "optim:\n  lr: abc\n  wramup_steps: 3\nmodle:\n  kind: wide\nlimit: two\nstages:\n- lr: 1\n- lrr: 2\n  lr: -1\n"
    )
    assert message(tmp_path, text) == (
        "error: 6 problems in the configuration\n"
        "  c.yaml:2  `optim.lr`: input should be a valid number, unable to parse string as a number (got 'abc')\n"
        "  c.yaml:3  unknown key `optim.wramup_steps`, did you mean `warmup_steps`?\n"
        "  c.yaml:10  `stages.1.lr`: input should be greater than 0 (got -1)\n"
        "  c.yaml:9  unknown key `stages.1.lrr`, did you mean `lr`?\n"
        "  c.yaml:6  `limit`: input should be a valid integer, unable to parse string as an integer (got 'two')\n"
        "  c.yaml:4  unknown key `modle`, did you mean `model`?\n" + HINT
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model:\n  kind: wide\n  widht: 3\n", "c.yaml:3  unknown key `model.widht`, did you mean `width`?"),
        ("model:\n  kind: wide\n  size: 3\n", "c.yaml:3  unknown key `model.size`"),
        (
            "model:\n  kind: small\n  size: 0\n",
            "c.yaml:3  `model.size`: input should be greater than or equal to 1 (got 0)",
        ),
        ("model:\n  kind: wdie\n", "c.yaml:2  `model.kind`: there is no `wdie`, expected one of `small`, `wide`"),
        ("model:\n  width: 3\n", "c.yaml:1  `model.kind` is missing"),
        ("model: wide\n", "c.yaml:1  `model`: "),
        ("layers:\n- kind: wide\n  widht: 3\n", "c.yaml:3  unknown key `layers.0.widht`, did you mean `width`?"),
        ("layers:\n- kind: wide\n- size: 3\n", "c.yaml:3  `layers.1.kind` is missing"),
        ("optim: 3\n", "c.yaml:1  `optim` is a section of keys (got 3)"),
        ("optim:\n", "c.yaml:1  `optim` is a section of keys (got None)"),
        ("optim:\n  name: 3\n", "c.yaml:2  `optim.name`: input should be a valid string (got 3)"),
        ("optim:\n  warmup_steps: 1:30\n", "c.yaml:2  `optim.warmup_steps`: input should be a valid integer"),
        ("weights:\n  a: x\n", "c.yaml:2  `weights.a`: input should be a valid number"),
        ("zzz: 1\n", "c.yaml:1  unknown key `zzz`"),
    ],
)
def test_a_problem_is_named_by_the_key_as_it_was_written(tmp_path: Path, text: str, problem: str) -> None:
    lines = message(tmp_path, text).splitlines()
    assert lines[0] == "error: 1 problem in the configuration"
    assert lines[1].strip().startswith(problem)
    assert lines[1].endswith("?") or "did you mean" not in problem


def test_a_missing_key_points_to_its_section_or_the_file(tmp_path: Path) -> None:
    assert message(tmp_path, "optim:\n  lr: 1\n", cls=Needy).splitlines()[1] == "  c.yaml:1  `source` is missing"
    with pytest.raises(ConfigError, match="`source` is missing"):
        load_config(Needy)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("optm.lr=2", "  --set optm.lr=2  unknown key `optm`, did you mean `optim`?"),
        ("optim.lr=x", "  --set optim.lr=x  `optim.lr`: input should be a valid number, unable to parse string as a"),
        ("optim.lr.deep=3", "  --set optim.lr.deep=3  `optim.lr`: input should be a valid number"),
        ("model.kind=x", "  --set model.kind=x  `model.kind`: there is no `x`, expected one of `small`, `wide`"),
        ("optim=", "  --set optim=  `optim` is a section of keys (got '')"),
    ],
)
def test_a_wrong_override_is_named_as_it_was_typed(tmp_path: Path, override: str, text: str) -> None:
    assert message(tmp_path, "optim:\n  warmup_steps: 3\n", override).splitlines()[1].startswith(text)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("optim.lr", "error: `--set optim.lr` is not key=value\nexpected: for example --set optim.lr=1e-3"),
        ("=3", "error: `--set =3` is not key=value\nexpected: for example --set optim.lr=1e-3"),
        ("optim..lr=3", "error: `--set optim..lr=3` is not key=value\nexpected: for example --set optim.lr=1e-3"),
        ("limit.x=3", "error: `--set limit.x=3`: `limit` holds a value, not a section"),
        ("limit=[1", "error: not valid YAML: expected ',' or ']', but got '<stream end>'\n  --set limit=[1"),
    ],
)
def test_a_malformed_override_is_explained(tmp_path: Path, override: str, text: str) -> None:
    assert message(tmp_path, "limit: 3\n", override) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1\n", "not valid YAML: expected ',' or ']', but got '<stream end>'\n  c.yaml:2"),
        ("a: 1\n\tb: 2\n", "not valid YAML: found character '\\t' that cannot start any token\n  c.yaml:2"),
        ("optim:\n  lr: 1\n  lr: 2\n", "key `optim.lr` is given twice\n  c.yaml:3"),
        ("a: &x 1\nb: *x\n", "not valid YAML: aliases (`*name`) are not supported\n  c.yaml:2"),
        ("a: &x {b: *x}\n", "not valid YAML: aliases (`*name`) are not supported\n  c.yaml:1"),
        ("? [a]\n: 1\n", "a key is not a plain word\n  c.yaml:1"),
        ("- 1\n", "the config is not a mapping of keys to values\n  c.yaml:1"),
        ("just text\n", "the config is not a mapping of keys to values\n  c.yaml:1"),
        ("a: 1\n---\nb: 2\n", "not valid YAML: but found another document\n  c.yaml:2"),
        ("a: !!python/object/apply:os.system [ls]\n", "not valid YAML: could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_config_is_named_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    assert message(tmp_path, text).startswith(f"error: {problem}")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("!!int abc", "`abc` is no int"),
        ("!!int", "`` is no int"),
        ("!!float abc", "`abc` is no float"),
        ("!!bool maybe", "`maybe` is no bool"),
        ("!!timestamp x", "`x` is no timestamp"),
        ("9" * 5000, f"`{'9' * 40}` is no int"),
        ("0x" + "9" * 5000, f"`0x{'9' * 38}` is no int"),
        ("[" * 3000, "sections or lists are nested too deeply"),
    ],
)
def test_a_value_that_yaml_can_not_hold_is_a_config_error(tmp_path: Path, value: str, problem: str) -> None:
    (tmp_path / "c.yaml").write_text(f"limit: {value}\n")
    for path, overrides in ((tmp_path / "c.yaml", []), (None, [f"limit={value}"])):
        with pytest.raises(ConfigError) as caught:
            load_config(Top, path, overrides)
        assert caught.value.what == f"not valid YAML: {problem}"
        assert len(caught.value.where[0]) < 200


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "1e999"])
def test_numbers_must_be_finite(tmp_path: Path, value: str) -> None:
    assert "`optim.lr`: input should be" in message(tmp_path, f"optim:\n  lr: {value}\n")
    assert "`weights.a`: input should be a finite number" in message(tmp_path, f"weights:\n  a: {value}\n")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the config"):
        load_config(Top, tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read the config"):
        load_config(Top, tmp_path / "binary.yaml")


def test_a_plain_tree_can_be_checked_without_a_file() -> None:
    assert build_config(Top, {"limit": 3}).limit == 3
    with pytest.raises(ConfigError) as caught:
        build_config(Top, {"limti": 3})
    assert caught.value.where == ["unknown key `limti`, did you mean `limit`?"]


TEXTS = st.text() | st.sampled_from(
    ["1e-3", "no", "1:30", "0x10", "~", "", "true", "010", "1_0", "=", "<<", "#", " a ", "\x85", "a\u2028b"]
)
OPTIMS = st.builds(
    Optim,
    lr=st.floats(min_value=1e-300, allow_infinity=False),
    warmup_steps=st.integers(),
    name=TEXTS,
    nesterov=st.booleans(),
)
TREES = st.builds(
    Top,
    model=st.one_of(
        st.builds(Small, size=st.integers(min_value=1)),
        st.builds(Wide, width=st.floats(allow_nan=False, allow_infinity=False)),
    ),
    optim=OPTIMS,
    stages=st.lists(OPTIMS, max_size=2),
    limit=st.none() | st.integers(),
    weights=st.dictionaries(TEXTS, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)


@given(TREES)
def test_a_config_written_and_read_is_the_same(config: Top) -> None:
    tree, _ = parse_yaml(to_yaml(config), "f")
    assert build_config(Top, tree) == config


@given(TREES)
def test_what_show_config_prints_can_be_loaded(config: Top) -> None:
    tree, _ = parse_yaml(show_config(config), "f")
    assert build_config(Top, tree) == config


@given(TREES)
def test_other_yaml_readers_see_the_same_texts(config: Top) -> None:
    assert yaml.safe_load(to_yaml(config))["optim"]["name"] == config.optim.name


def test_show_config_explains_keys_and_marks_changed_lists() -> None:
    shown = show_config(Top(stages=[Optim()], model=Wide()))
    assert shown == (
        "model:  # what is trained\n  kind: wide\n  width: 1.0\n"
        "optim:\n  lr: 0.001  # learning rate\n  warmup_steps: 10\n  name: adam\n  nesterov: false\n"
        "stages: [{lr: 0.001, warmup_steps: 10, name: adam, nesterov: false}]  # (default: [])\n"
        "layers: []\nlimit: null\nweights: {}\n"
    )


def test_an_artifact_s_config_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(Top(limit=3)))
    assert read_config(Top, tmp_path / "config.yaml") == Top(limit=3)
    with pytest.raises(SpeechkitError, match=r"absent/config\.yaml` is missing"):
        read_config(Top, tmp_path / "absent" / "config.yaml")

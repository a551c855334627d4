"""The frozen list of commands and options: scripts depend on it, so a change shows up in review."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from command_line import all_commands
from source_code import REPO


def _line(param: Any) -> str:
    notes = ["required"] * bool(param.required) + ["repeatable"] * bool(param.multiple or param.nargs == -1)
    is_option = param.opts[0].startswith("-")
    name = "/".join([*param.opts, *param.secondary_opts]) if is_option else (param.metavar or param.name).upper()
    return f"  {name}" + (f" ({', '.join(notes)})" if notes else "")


def list_of_options() -> str:
    """One command per paragraph, one argument or option per line."""
    lines = []
    for words, command in all_commands():
        lines.append(" ".join(words))
        lines += [_line(p) for p in command.params if not p.opts[0].startswith("-")]
        lines += sorted(_line(p) for p in command.params if p.opts[0].startswith("-"))
    return "\n".join(lines) + "\n"


def test_commands_and_options_are_those_of_the_golden_list(check_golden: Callable[[str, str], None]) -> None:
    check_golden("cli.txt", list_of_options())


@pytest.mark.parametrize(
    "words, command", list(all_commands()), ids=lambda x: " ".join(x) if isinstance(x, tuple) else ""
)
def test_every_command_and_option_says_what_it_is_for(words: tuple[str, ...], command: Any) -> None:
    assert (command.help or "").strip(), f"`{' '.join(words)}` has no help"
    silent = [p.opts[0] for p in command.params if not (p.help or "").strip()]
    assert not silent, f"`{' '.join(words)}`: no help text for {silent}"


def test_options_of_one_name_mean_the_same_everywhere() -> None:
    repeatable: dict[str, dict[bool, list[str]]] = {}
    for words, command in all_commands():
        for param in command.params:
            if param.opts[0].startswith("--"):
                repeatable.setdefault(param.opts[0], {}).setdefault(bool(param.is_flag), []).append(" ".join(words))
    mixed = {name: by_kind for name, by_kind in repeatable.items() if len(by_kind) > 1}
    assert not mixed, f"a flag in one command, an option with a value in another: {mixed}"


SHOWING = [words[1:] for words, command in all_commands() if any("--show-config" in p.opts for p in command.params)]
DECIDING = {  # what decides the config stays required
    ("data", "prepare"): ["fsdd"],
    ("train",): ["egs/fewtexts/conf/ctc.yaml"],
    ("cutpaste", "select"): ["--num", "3"],
    ("prompt", "train"): ["egs/speech_commands_prompt/conf/commands.yaml"],
    ("prompt", "icl"): [
        "egs/digits_prompt/conf/icl.yaml",
        *("--set", "warmup=[{name: a, label: text, units: u, cuts: c}]"),
        *("--set", "evaluation=[{name: b, label: text, units: u, cuts: c}]"),
    ],
    ("prompt", "import"): ["--from", "gslm"],
}


@pytest.mark.parametrize("words", SHOWING, ids=" ".join)
def test_show_config_needs_no_files(words: tuple[str, ...], run_speechkit: Callable[..., Any]) -> None:
    deciding = DECIDING.get(words, [])
    own = [str(REPO / word) if word.startswith("egs/") else word for word in deciding]
    shown = run_speechkit(*words, *own, "--show-config")
    assert shown.exit_code == 0 and "  # " in shown.stdout, shown.stderr
    if deciding:
        refused = run_speechkit(*words, "--show-config")
        assert refused.exit_code == 2 and "error: missing" in refused.stderr
    assert run_speechkit(*words, *own).exit_code == 2  # without it the files are required again

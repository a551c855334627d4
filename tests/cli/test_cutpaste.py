"""`speechkit cutpaste` from the command line: the chain, messages, exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from paste_corpus import make_paste_corpus

from speechkit.cutpaste.exclude import text_key
from speechkit.data.store import load_cuts


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_paste_corpus(tmp_path / "corpus")


def test_the_chain_makes_new_texts_from_recorded_words(
    run_speechkit: Callable[..., object], corpus: Path, tmp_path: Path
) -> None:
    inv, plan, out = (tmp_path / name for name in ("inv", "plan", "pasted"))
    never = tmp_path / "test.txt"
    never.write_text("Ba gi.\nDE TU!\n")
    steps = [
        ("inventory", corpus, "--out", inv),
        ("plan", inv, "--mode", "cover", "--ratio", "1.5", "--exclude-text", never, "--out", plan),
        ("render", plan, "--out", out, "--nj", 2),
    ]
    for step in steps:
        result = run_speechkit("cutpaste", *step)
        assert result.exit_code == 0, result.stderr  # type: ignore[attr-defined]
        assert str(step[-1] if step[-1] != 2 else out) in result.stdout  # type: ignore[attr-defined]
        assert run_speechkit("cutpaste", *step).stdout.startswith("up to date")  # type: ignore[attr-defined]
    cuts = list(load_cuts(out))
    recorded = {cut.supervisions[0].text for cut in load_cuts(corpus)}
    assert not {cut.supervisions[0].text for cut in cuts} & recorded
    assert not {text_key(cut.supervisions[0].text) for cut in cuts} & {"bagi", "detu"}


@pytest.mark.parametrize(
    "args, code, message",
    [
        (("plan", "INV", "--out", "x"), 2, "expected: one of --num N, --hours H, --ratio R"),
        (("plan", "INV", "--num", 3, "--hours", 1, "--out", "x"), 2, "not exactly one amount"),
        (("plan", "INV", "--num", 3, "--mode", "target-lm", "--out", "x"), 2, "expected: --target-text FILE"),
        (("plan", "INV", "--num", 3, "--mode", "poetry", "--out", "x"), 2, "poetry"),
        (("plan", "INV", "--num", 3, "--set", "text.ordr=2", "--out", "x"), 2, "did you mean `order`"),
        (("plan", "INV", "--num", 3, "--prefix", "a/b", "--out", "x"), 2, "can not begin the name of a file"),
        (("plan", "nothing", "--num", 3, "--out", "x"), 1, "`nothing` does not exist"),
        (("plan", "INV", "--num", 3, "--exclude-text", "none.txt", "--out", "x"), 1, "none.txt` does not exist"),
        (("inventory", "nothing", "--out", "x"), 1, "manifest `nothing` does not exist"),
        (("inventory", "INV", "--out", "x"), 1, "does not exist"),
        (("render", "INV", "--out", "x"), 1, "is not a plan"),
        (("render", "INV", "--max-bad", "many", "--out", "x"), 1, "is not a plan"),
    ],
)
def test_a_wrong_use_says_what_is_wrong(
    run_speechkit: Callable[..., object], inventory_of_tones: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, args: tuple[object, ...], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    result = run_speechkit("cutpaste", *(inventory_of_tones if arg == "INV" else arg for arg in args))
    assert result.exit_code == code, result.stderr  # type: ignore[attr-defined]
    assert message in result.stderr  # type: ignore[attr-defined]
    assert not (tmp_path / "x").exists()


@pytest.fixture(scope="session")
def inventory_of_tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from paste_corpus import make_inventory

    folder = tmp_path_factory.mktemp("cli-paste")
    make_inventory(make_paste_corpus(folder / "corpus", num_speakers=1), folder / "inv")
    return folder / "inv"


@pytest.mark.parametrize("command", ["inventory", "plan"])
def test_show_config_prints_every_key(run_speechkit: Callable[..., object], command: str, tmp_path: Path) -> None:
    result = run_speechkit("cutpaste", command, "any", "--out", tmp_path / "x", "--show-config")
    assert result.exit_code == 0  # type: ignore[attr-defined]
    keys = {
        "inventory": ["min_confidence", "snap_ms", "max_bad"],
        "plan": ["candidates", "fade_ms", "verbatim", "seed"],
    }
    assert all(f"{key}: " in result.stdout for key in keys[command])  # type: ignore[attr-defined]
    assert not (tmp_path / "x").exists()

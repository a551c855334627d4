"""The wording and exit code of each kind of error."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechkit.errors import CheckFailed, ConfigError, Requeue, SpeechkitError, disk_error, missing_package


def test_a_message_has_what_where_expected_and_hint() -> None:
    error = SpeechkitError("3 are too short", where=["a:1", "b:2"], expected="longer ones", hint="drop them")
    assert error.render() == ("error: 3 are too short\n  a:1\n  b:2\nexpected: longer ones\nhint: drop them")
    assert str(error) == error.render()
    assert error.args == ("3 are too short",)


def test_parts_that_are_not_given_are_left_out() -> None:
    assert SpeechkitError("no").render() == "error: no"
    assert SpeechkitError("no", where="f:1").render() == "error: no\n  f:1"


def test_the_first_ten_places_are_shown_and_the_rest_counted() -> None:
    lines = SpeechkitError("no", where=[f"u{n}" for n in range(12)]).render().splitlines()
    assert lines == ["error: no", *(f"  u{n}" for n in range(10)), "  ... and 2 more"]
    assert "more" not in SpeechkitError("no", where=[f"u{n}" for n in range(10)]).render()


@pytest.mark.parametrize(("kind", "code"), [(SpeechkitError, 1), (ConfigError, 2), (CheckFailed, 3), (Requeue, 85)])
def test_each_kind_has_its_exit_code(kind: type[SpeechkitError], code: int) -> None:
    assert kind("x").exit_code == code
    assert isinstance(kind("x"), SpeechkitError)


def test_a_missing_package_names_the_extra_to_install() -> None:
    error = missing_package("kenlm", "lm", "decoding with --lm")
    assert error.exit_code == 2
    assert error.render() == (
        "error: decoding with --lm needs the package `kenlm`, which is not installed\n"
        "hint: in the checkout: pip install -e '.[lm]'"
    )


def test_a_failed_write_tells_whether_the_disk_is_full(tmp_path: Path) -> None:
    full = disk_error(tmp_path / "a", 1 << 62, OSError("odd"))
    assert full.render().splitlines() == [
        f"error: cannot write `{tmp_path / 'a'}`: no space left on device",
        "hint: free some disk space and run the same command again",
    ]
    assert disk_error(tmp_path / "a", 0, OSError("odd")).render() == f"error: cannot write `{tmp_path / 'a'}`: odd"

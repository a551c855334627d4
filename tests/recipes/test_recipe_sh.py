"""tools/recipe.sh: options, stages, failure messages, interruption and starting again."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_recipe import Recipe, make_toy

OPTIONS = """
option nj 4 "processes"
option rate 0.5 "a share"
option noisy false "add noise"
option exp exp/toy "experiment folder"
option long_name "" "may be empty"
"""
LIST = """
list seeds 0 "a training per seed"
"""
PRINT = """
if stage 0 "print"; then
  printf '%s|' "$nj" "$rate" "$noisy" "$exp" "$long_name"
fi
if stage 1 "nothing"; then
  true
fi
"""
CHAIN_OPTIONS = 'option word x "first word"\noption last y "last word"'
CHAIN = """
if stage 0 "first"; then
  speechkit copy in.txt --out exp/a --word "$word"
fi
if stage 1 "second"; then
  speechkit copy exp/a --out exp/b --word "$last"
fi
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return make_toy(tmp_path / "project")


@pytest.fixture
def printing(recipe: Recipe) -> Recipe:
    recipe.write(PRINT, OPTIONS)
    return recipe


@pytest.fixture
def chain(recipe: Recipe) -> Recipe:
    recipe.write(CHAIN, CHAIN_OPTIONS)
    (recipe.folder / "in.txt").write_text("in")
    return recipe


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def built(recipe: Recipe) -> list[str]:
    """What was made since the last call."""
    path = recipe.folder / "built.txt"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def test_defaults_hold_without_options(printing: Recipe) -> None:
    done = printing.run()
    assert done.returncode == 0
    assert done.stdout == "4|0.5|false|exp/toy||"
    assert re.findall(r"== stage (\d): (\w+)", done.stderr) == [("0", "print"), ("1", "nothing")]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--nj", "8"], "8|0.5|false|exp/toy||"),
        (["--nj=8", "--exp=a=b"], "8|0.5|false|a=b||"),
        (["--nj", "-1", "--rate", "-.5e-3"], "-1|-.5e-3|false|exp/toy||"),
        (["--noisy", "true", "--rate=1"], "4|1|true|exp/toy||"),
        (["--long-name", "x", "--long-name=y"], "4|0.5|false|exp/toy|y|"),
        (["--long-name=--nj"], "4|0.5|false|exp/toy|--nj|"),
        (["--long-name", "", "--nj", "2"], "2|0.5|false|exp/toy||"),
    ],
)
def test_options_are_taken_in_both_forms(printing: Recipe, args: list[str], expected: str) -> None:
    done = printing.run(*args)
    assert (done.returncode, done.stdout) == (0, expected), done.stderr


@pytest.mark.parametrize(
    ("args", "expected"), [([], "<0>"), (["--seeds", "0 1 2"], "<0><1><2>"), (["--seeds=7"], "<7>")]
)
def test_a_list_takes_words_and_may_begin_as_a_number(recipe: Recipe, args: list[str], expected: str) -> None:
    recipe.write("""if stage 0 "print"; then\n  for seed in $seeds; do printf '<%s>' "$seed"; done\nfi""", LIST)
    assert recipe.run(*args).stdout == expected
    for wrong in (" ", "*", "0;1"):
        done = recipe.run("--seeds", wrong)
        message = f"error: `--seeds` takes words separated by spaces, not `{wrong}`\nexpected: for example --seeds 0\n"
        assert (done.returncode, done.stderr) == (2, message)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--nj", "two"], "error: `--nj` takes a whole number, not `two`\nexpected: for example --nj 4\n"),
        (["--nj=08"], "error: `--nj` takes a whole number, not `08`\nexpected: for example --nj 4\n"),
        (["--nj=1.5"], "error: `--nj` takes a whole number, not `1.5`\nexpected: for example --nj 4\n"),
        (["--nj="], "error: `--nj` takes a whole number, not ``\nexpected: for example --nj 4\n"),
        (["--rate", "half"], "error: `--rate` takes a number, not `half`\nexpected: for example --rate 0.5\n"),
        (["--noisy", "yes"], "error: `--noisy` takes true or false, not `yes`\nexpected: for example --noisy false\n"),
        (["--exp="], "error: `--exp` takes a value that is not empty, not ``\nexpected: for example --exp exp/toy\n"),
        (["--nj"], "error: `--nj` needs a value\nexpected: --nj VALUE or --nj=VALUE\n"),
        (["--nj", "--exp", "x"], "error: `--nj` needs a value\nexpected: --nj VALUE or --nj=VALUE\n"),
        (["--njj", "3"], "error: unknown option `--njj`, did you mean `--nj`?\nexpected: an option of `RUN --help`\n"),
        (["--long-nmae", "3"], "error: unknown option `--long-nmae`, did you mean `--long-name`?\n"),
        (["--stpo-stage=1"], "error: unknown option `--stpo-stage`, did you mean `--stop-stage`?\n"),
        (["--zzz"], "error: unknown option `--zzz`\nexpected: an option of `RUN --help`\n"),
        (["--nj[$(touch x)]=1"], "error: unknown option `--nj[$(touch x)]`"),
        (["stray"], "error: unexpected word `stray`\nexpected: --name value or --name=value\n"),
        (["-n", "3"], "error: unexpected word `-n`\nexpected: --name value or --name=value\n"),
        (["--nj", "2", "3"], "error: unexpected word `3`\nexpected: --name value or --name=value\n"),
        (["--"], "error: unexpected word `--`\n"),
        (["--=3"], "error: unknown option `--=3`\n"),
        (["--stage", "2"], "error: there is no stage 2\nexpected: a stage from 0 to 1; `RUN --list` shows them\n"),
        (["--stage", "-1"], "error: there is no stage -1\n"),
        (["--stage", "1", "--stop-stage", "0"], "error: --stop-stage 0 comes before --stage 1\nexpected: at least 1\n"),
    ],
)
def test_wrong_options_leave_at_once_with_2(printing: Recipe, args: list[str], message: str) -> None:
    done = printing.run(*args)
    assert done.returncode == 2
    assert done.stderr.replace(str(printing.script), "RUN").startswith(message)
    assert done.stdout == ""
    assert "stage 0:" not in done.stderr


@pytest.mark.parametrize(
    "value", ["$(touch x)", "`touch x`", "a b", 'it\'s "quoted"', "two\nlines\n", "*", "\\", ";touch x", "tab\t", "é"]
)
def test_values_stay_verbatim(recipe: Recipe, value: str) -> None:
    recipe.write('if stage 0 "show"; then\n  printf \'%s\' "$text"\nfi\n', 'option text d "a text"')
    for args in (["--text", value], [f"--text={value}"]):
        done = recipe.run(*args)
        assert (done.returncode, done.stdout) == (0, value)
    assert not [*recipe.project.rglob("x")]


def test_list_prints_the_stages_and_runs_none(printing: Recipe) -> None:
    done = printing.run("--nj", "3", "--list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0  print\n1  nothing\n", "")


def test_help_shows_purpose_options_with_defaults_and_stages(printing: Recipe) -> None:
    done = printing.run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "A toy.\n\noptions (a relative path starts at the folder of the recipe):\n"
        "  --stage          first stage to run [0]\n  --stop-stage     last stage to run [99]\n"
        "  --cmd            where arrays run: local, slurm, or slurm:FILE with a site file [local]\n"
        "  --nj             processes [4]\n  --rate           a share [0.5]\n"
        "  --noisy          add noise [false]\n  --exp            experiment folder [exp/toy]\n"
        "  --long-name      may be empty []\n"
        "  --list           print the stages and exit\n  --help           print this and exit\n"
        "\nstages:\n  0  print\n  1  nothing\n"
    )


def test_stage_and_stop_stage_choose_what_runs(recipe: Recipe) -> None:
    recipe.write("".join(f'if stage {n} "s"; then\n  printf {n}\nfi\n' for n in range(4)))
    assert recipe.run("--stage", "1", "--stop-stage", "2").stdout == "12"
    assert recipe.run("--stop-stage=0").stdout == "0"
    assert recipe.run("--stage=3").stdout == "3"


def test_it_runs_in_its_own_folder_from_anywhere(
    printing: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printing.write('if stage 0 "where"; then\n  pwd -P\nfi\n')
    link = tmp_path / "link to recipe"
    link.symlink_to(printing.folder)
    monkeypatch.setenv("CDPATH", str(tmp_path))  # would lead `cd egs/toy` astray
    (tmp_path / "egs" / "toy").mkdir(parents=True)
    for script, cwd in [
        ("./run.sh", printing.folder),
        ("egs/toy/run.sh", printing.project),
        (str(printing.script), tmp_path),
        (f"{link}/run.sh", tmp_path),
    ]:
        done = printing.run(script=script, cwd=cwd)
        assert (done.returncode, done.stdout) == (0, f"{printing.folder.resolve()}\n"), done.stderr


def test_an_old_bash_is_refused(recipe: Recipe) -> None:
    recipe.write('if stage 0 "x"; then\n  true\nfi\n')
    recipe.script.write_text(recipe.script.read_text().replace("set -euo", "BASH_VERSION=3.2.57\nset -euo"))
    done = recipe.run()
    assert (done.returncode, done.stderr) == (2, "error: recipes need bash 4.3 or newer, this is 3.2.57\n")


def test_a_missing_program_is_named_with_its_cure(printing: Recipe) -> None:
    (printing.project / "bin" / "speechkit").unlink()
    tools = printing.project / "bin"
    for name in ("bash", "env", "dirname", "date", "sed", "find", "tail"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = subprocess.run(
        [str(printing.script)], env={"PATH": str(tools)}, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: `speechkit` is not installed\nexpected: `make .venv` in {printing.project.resolve()},"
        " or `pip install speechkit`\n"
    )


def test_the_environment_of_the_project_comes_first(recipe: Recipe) -> None:
    own = recipe.project / ".venv" / "bin"
    own.mkdir(parents=True)
    (own / "speechkit").write_text("#!/bin/sh\necho from the project\n")
    (own / "speechkit").chmod(0o755)
    recipe.write('if stage 0 "x"; then\n  speechkit show\nfi\n')
    assert recipe.run().stdout == "from the project\n"


FAILURES = {
    "plain": ("  sh -c 'exit 2' \\\n    x", 2, "  sh -c 'exit 2' \\\n    x"),
    "pipe": ("  echo a |\n    false |\n    cat", 1, "  echo a |\n    false |\n    cat"),
    "function": ("  step 3", 3, "  step 3"),
    "function in a pipe": ("  step 1 | cat", 1, "  step 1 | cat"),
    "loop": ("  for n in 0 3; do\n    step $n\n  done", 3, "    step $n"),
    "substitution": ("  x=$(step 3)", 3, "  x=$(step 3)"),
    "unknown command": ("  nosuchcommand", 127, "  nosuchcommand"),
}


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_names_stage_line_command_and_resume(recipe: Recipe, name: str, number: int) -> None:
    command, code, shown = FAILURES[name]
    before = 'if stage 0 "fine"; then\n  true\nfi\n' if number else ""
    body = f'step() {{ sh -c "exit $1"; }}\n{before}if stage {number} "bad"; then\n{command}\n  echo went on\nfi\n'
    recipe.write(body, 'option text d "a text"')
    done = recipe.run("--text", "a b", "--stop-stage=5")
    assert done.returncode == code
    assert "went on" not in done.stdout
    found = re.search(
        r"\nerror: stage (\d) failed \(exit (\d+)\) at run.sh:(\d+)\n(.*)\nresume: (.*)\n$", done.stderr, re.DOTALL
    )
    assert found is not None, done.stderr
    lines = recipe.script.read_text().splitlines()
    assert (int(found[1]), int(found[2]), found[4]) == (number, code, shown)
    assert lines[int(found[3]) - 1] in shown.splitlines()
    assert shlex.split(found[5]) == [str(recipe.script), "--text", "a b", "--stop-stage=5", "--stage", str(number)]
    assert done.stderr.count("error: stage") == 1


def test_an_unset_variable_names_the_stage(recipe: Recipe) -> None:
    recipe.write('if stage 0 "bad"; then\n  echo "$nowhere"\nfi\n')
    done = recipe.run()
    assert done.returncode == 1
    assert "nowhere: unbound variable" in done.stderr
    assert f"error: stage 0 failed (exit 1)\nresume: {recipe.script} --stage 0\n" in done.stderr


def test_the_resume_command_repeats_any_value_and_works(recipe: Recipe) -> None:
    recipe.write(
        'if stage 0 "a"; then\n  true\nfi\nif stage 1 "b"; then\n  [[ -e ok ]]\n  printf %s "$text"\nfi\n',
        'option text d "a text"',
    )
    value = "$(touch x) 'a'\n\"b\" é"
    done = recipe.run("--stage", "0", "--text", value)
    assert done.returncode == 1
    resume = done.stderr.split("\nresume: ")[1]
    assert resume.count("--stage") == 1
    (recipe.folder / "ok").touch()
    again = subprocess.run(["bash", "-c", resume], env=recipe.environment, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (0, value)
    assert "stage 0" not in again.stderr


def test_the_last_lines_of_the_newest_log_of_the_stage_are_shown(recipe: Recipe) -> None:
    body = 'if stage 0 "jobs"; then\n  mkdir -p exp/x/log\n  seq 9 >exp/x/log/1.txt\n  false\nfi\n'
    recipe.write(body)
    (recipe.folder / "exp" / "empty").mkdir(parents=True)
    (recipe.folder / "exp" / "empty" / "log.txt").touch()
    os.utime(recipe.folder / "exp" / "empty" / "log.txt", (2**31 - 1, 2**31 - 1))
    old = recipe.folder / "exp" / "old" / "log.txt"
    old.parent.mkdir(parents=True)
    old.write_text("older\n")
    os.utime(old, (1, 1))
    done = recipe.run()
    assert f"last lines of {recipe.folder.resolve()}/exp/x/log/1.txt:\n  5\n  6\n  7\n  8\n  9\nresume: " in done.stderr
    assert "older" not in done.stderr


def test_logs_of_earlier_stages_are_not_shown(recipe: Recipe) -> None:
    recipe.write('if stage 0 "fails"; then\n  false\nfi\n')
    old = recipe.folder / "exp" / "old" / "log.txt"
    old.parent.mkdir(parents=True)
    old.write_text("older\n")
    os.utime(old, (1, 1))
    assert "last lines" not in recipe.run().stderr


def test_requeue_passes_85_and_says_so(recipe: Recipe) -> None:
    recipe.write('if stage 0 "train"; then\n  speechkit fail 85\nfi\n', 'option nj 1 "processes"')
    done = recipe.run("--nj", "2")
    assert done.returncode == 85
    assert done.stderr.endswith(
        f"\ncheckpointed in stage 0; start again with the same command: {recipe.script} --nj 2\n"
    )
    assert "failed" not in done.stderr


def test_ctrl_c_ends_all_children_and_tells_how_to_go_on(chain: Recipe) -> None:
    (chain.folder / "hold").touch()
    running = chain.start("--word", "a b")
    wait_until(lambda: (chain.folder / "holding").exists())
    os.killpg(running.pid, signal.SIGINT)
    _, stderr = running.communicate(timeout=20)
    assert running.returncode == 130
    assert stderr.endswith(f"\ninterrupted in stage 0\nresume: {chain.script} --word a\\ b --stage 0\n")
    with pytest.raises(ProcessLookupError):  # nobody is left in the group
        os.killpg(running.pid, 0)
    assert sorted(p.name for p in (chain.folder / "exp").iterdir()) == []


def test_ctrl_c_ends_background_children(recipe: Recipe) -> None:
    recipe.write('if stage 0 "wait"; then\n  sleep 60 &\n  echo $! >pid\n  wait\nfi\n')
    running = recipe.start()
    pid = recipe.folder / "pid"
    wait_until(lambda: pid.exists() and pid.read_text().strip() != "")
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=20)
    assert running.returncode == 130
    wait_until(lambda: is_gone(int(pid.read_text())))


SPAWN = """
one() {
  local n=$1
  speechkit copy in.txt --out "exp/$n" --word "$2"
  speechkit fail "$3"
}
if stage 0 "many things"; then
  for n in 1 2 3; do
    spawn one "$n" "w $n \\"q\\" \\\\ &" 0
  done
  gather
  spawn one 4 x ${code}
  spawn speechkit copy in.txt --out exp/5
  gather
  gather # of nothing
  echo all
fi
"""
SPAWN_OPTIONS = 'option code 0 "of the fourth"\noption parallel 2 "at once"'


@pytest.fixture
def spawning(recipe: Recipe) -> Recipe:
    recipe.write(SPAWN, SPAWN_OPTIONS)
    (recipe.folder / "in.txt").write_text("in ")
    return recipe


def test_spawned_commands_run_as_arrays_up_to_the_limit(spawning: Recipe) -> None:
    done = spawning.run()
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stderr
    assert (spawning.folder / "exp" / "2" / "text").read_text() == 'in w 2 "q" \\ &'
    first = spawning.folder / "exp" / "jobs" / "0-many-things"
    spec = json.loads((first / "spec.json").read_text())
    assert (spec["max_run"], spec["stage"], spec["resumable"]) == (2, "0 many things", True)
    assert (first.with_name("0-many-things-2") / "status" / "2.json").is_file()
    assert "<" not in (spawning.folder / "exp" / "log" / "0-many-things.1.log").read_text()
    again = spawning.run()
    assert again.stdout.count("up to date: ") == 2
    assert sorted(built(spawning)) == [f"exp/{n}" for n in (1, 2, 3, 4, 5)]  # once


def test_a_failed_spawned_command_is_named_and_only_it_runs_again(spawning: Recipe) -> None:
    done = spawning.run("--code", "7")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: 1 of 2 elements of `0-many-things-2` failed: 1\n  element 1: exit 7 on " in done.stderr
    assert "error: stage 0 failed (exit 1) at run.sh:" in done.stderr
    assert sorted(built(spawning)) == [f"exp/{n}" for n in (1, 2, 3, 4, 5)]
    again = spawning.run()
    assert (again.returncode, sorted(built(spawning))) == (0, [])  # what the element had made is up to date
    assert "1 elements started, 1 done before" in again.stderr


def test_a_spawned_function_may_call_speechkit_only(recipe: Recipe) -> None:
    recipe.write('deep() { speechkit show a; touch b; }\nif stage 0 "x"; then\n  spawn deep\n  gather\nfi\n')
    done = recipe.run()
    assert done.returncode == 127
    assert "error: what is spawned may call speechkit only, not `touch`" in done.stderr
    assert not (recipe.folder / "b").exists()


def test_cmd_says_where_arrays_run(spawning: Recipe) -> None:
    done = spawning.run("--cmd", "lsf")
    assert done.returncode == 2
    assert "error: there is no backend `lsf`" in done.stderr


def test_ctrl_c_ends_spawned_commands_and_leaves_nothing_half_made(recipe: Recipe) -> None:
    recipe.write('if stage 0 "wait"; then\n  spawn speechkit copy in.txt --out exp/a\n  gather\nfi\n')
    (recipe.folder / "in.txt").write_text("in")
    (recipe.folder / "hold").touch()
    running = recipe.start()
    wait_until(lambda: (recipe.folder / "holding").exists())
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=20)
    assert running.returncode == 130
    lease = json.loads((recipe.folder / "exp" / "jobs" / "0-wait" / "lease" / "1.1").read_text())
    wait_until(lambda: is_gone(lease["pid"]))
    assert not (recipe.folder / "exp" / "a").exists()


def is_gone(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    toy = make_toy(tmp_path_factory.mktemp("finished") / "project")
    toy.write(CHAIN, CHAIN_OPTIONS)
    (toy.folder / "in.txt").write_text("in")
    assert toy.run().returncode == 0
    assert built(toy) == ["exp/a", "exp/b"]
    assert (toy.folder / "exp" / "b" / "text").read_text() == "inxy"
    return toy


@pytest.fixture
def finished(finished_once: Recipe, tmp_path: Path) -> Recipe:
    """A moved copy of a project whose recipe has run."""
    return Recipe(Path(shutil.copytree(finished_once.project, tmp_path / "moved")))


def test_a_second_run_does_no_work_and_changes_no_file(finished: Recipe) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.folder.rglob("*")}
    (finished.folder / "in.txt").touch()  # a new time alone is no change
    again = finished.run()
    assert (again.returncode, again.stdout) == (0, "up to date: exp/a\nup to date: exp/b\n")
    after = {p: p.stat().st_mtime_ns for p in finished.folder.rglob("*")}
    assert {p.name for p in before | after if before.get(p) != after.get(p)} == {"in.txt"}


def test_a_changed_config_makes_only_what_it_configures(finished: Recipe) -> None:
    finished.run("--last", "z")
    assert built(finished) == ["exp/b"]
    assert (finished.folder / "exp" / "b" / "text").read_text() == "inxz"


def test_a_changed_input_makes_everything_that_depends_on_it(finished: Recipe) -> None:
    (finished.folder / "in.txt").write_text("new")
    finished.run()
    assert built(finished) == ["exp/a", "exp/b"]
    assert (finished.folder / "exp" / "b" / "text").read_text() == "newxy"


def test_kill_9_leaves_no_half_result_and_the_next_run_finishes(chain: Recipe) -> None:
    (chain.folder / "hold").touch()
    running = chain.start()
    wait_until(lambda: (chain.folder / "holding").exists())
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=20)
    assert not (chain.folder / "exp" / "a").exists()
    (chain.folder / "hold").unlink()
    assert chain.run().returncode == 0
    assert sorted(p.name for p in (chain.folder / "exp").iterdir()) == ["a", "b"]
    assert (chain.folder / "exp" / "b" / "text").read_text() == "inxy"


def test_of_two_runs_at_once_the_second_fails_and_names_the_first(chain: Recipe) -> None:
    (chain.folder / "hold").touch()
    first = chain.start()
    wait_until(lambda: (chain.folder / "holding").exists())
    second = chain.run()
    (chain.folder / "hold").unlink()
    first.communicate(timeout=20)
    assert (first.returncode, second.returncode) == (0, 1)
    message = r"error: `exp/a` is being written by pid \d+ on host \S+\nhint: wait for it, or choose another --out\n"
    assert re.search(message, second.stderr)
    assert "error: stage 0 failed (exit 1)" in second.stderr
    assert built(chain) == ["exp/a", "exp/b"]


def test_a_request_to_stop_ends_with_143_and_the_resume_command(chain: Recipe) -> None:
    (chain.folder / "hold").touch()
    running = chain.start()
    wait_until(lambda: (chain.folder / "holding").exists())
    os.killpg(running.pid, signal.SIGTERM)  # what a batch system sends to all processes of a job
    _, stderr = running.communicate(timeout=20)
    assert running.returncode == 143
    assert stderr.endswith(f"\ninterrupted in stage 0\nresume: {chain.script} --stage 0\n")
    assert not (chain.folder / "exp" / "a").exists()

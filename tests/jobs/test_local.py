"""Jobs on this machine: what runs, what runs again, how elements are ended, and what is said."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from job_site import Site, wait_until

from speechkit.jobs.config import JobSpec
from speechkit.jobs.folder import JobFolder
from speechkit.jobs.run import submit

# Counts to 10 in a file; on TERM it saves and asks to be started again.
COUNT = """
import os, signal, sys, time
stop = []
signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
path = sys.argv[1]
for number in range(len(open(path).read().split()) if os.path.exists(path) else 0, 10):
    if stop:
        sys.exit(85)
    open(path, "a").write(f"{number} ")
    time.sleep(0.05)
"""


def spec_of(folder: Path, command: list[str], **fields: object) -> JobSpec:
    values = {"name": "x", "log": str(folder / "log" / "x.JOB.log"), "cwd": str(folder), "command": command}
    return JobSpec.model_validate({**values, **fields})


def states(folder: Path, command: list[str], **fields: object) -> list[tuple[int, str, str]]:
    results = submit(spec_of(folder, command, **fields)).wait(timeout=30)
    return [(result.element, result.status.state, result.status.reason) for result in results]


def gone(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_what_is_done_does_not_run_again_unless_input_or_output_changed(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a")
    program = "echo JOB >>ran; cat $0 >JOB.out"
    command = ["sh", "-c", program, "in.txt", "--out", "JOB.out"]

    def ran(words: list[str] = command) -> list[str]:
        submit(spec_of(tmp_path, words, num_elements=3)).wait(timeout=30)
        path = tmp_path / "ran"
        lines = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(lines)

    assert ran() == ["1", "2", "3"]
    assert ran() == []
    (tmp_path / "2.out").unlink()
    assert ran() == ["2"]
    (tmp_path / "in.txt").write_text("other")
    assert ran() == ["1", "2", "3"]
    assert ran([*command, "further"]) == ["1", "2", "3"]


def test_a_bad_element_is_named_with_its_log_and_only_it_runs_again(here: Site) -> None:
    words = ["job", "run", "--nj", "4", "--log", "log/b.JOB.log", "--"]
    words += ["sh", "-c", "echo JOB >>ran; echo the reason; test JOB != 3 || test -e mended"]
    done = here.run(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: 1 of 4 elements of `b` failed: 3\n  element 3: exit 1 on " in done.stderr
    assert "\n    the reason\nhint: the same command runs only this one again" in done.stderr
    (here.folder / "mended").touch()
    assert here.run(*words).returncode == 0
    assert sorted((here.folder / "ran").read_text().split()) == ["1", "2", "3", "3", "4"]
    log = (here.folder / "log" / "b.3.log").read_text()
    assert re.findall("^# Ended .code (.).", log, re.MULTILINE) == ["1", "0"]
    assert log.count("# Started ") == 2


def test_a_part_that_is_there_counts_although_the_whole_is_not(tmp_path: Path) -> None:
    program = "echo JOB >>ran; mkdir -p x.shards/JOB-of-2"
    command = ["sh", "-c", program, "--shard", "JOB/2", "--out", "x"]
    for _ in range(2):
        submit(spec_of(tmp_path, command, num_elements=2)).wait(timeout=30)
    assert sorted((tmp_path / "ran").read_text().split()) == ["1", "2"]


def test_pick_failed_leaves_what_never_ran_and_pick_all_takes_everything(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo JOB >>ran; test JOB != 2"]
    submit(spec_of(tmp_path, command, num_elements=3)).wait(timeout=30)
    JobFolder(tmp_path / "jobs" / "x").status_path(3).unlink()
    submit(spec_of(tmp_path, command, num_elements=3), pick="failed").wait(timeout=30)
    assert (tmp_path / "ran").read_text().split()[3:] == ["2"]
    submit(spec_of(tmp_path, command, num_elements=3), pick="all").wait(timeout=30)
    assert len((tmp_path / "ran").read_text().split()) == 7


def test_pick_failed_does_not_say_that_all_is_done(here: Site) -> None:
    words = ["job", "run", "--nj", "3", "--log", "log/p.JOB.log"]
    assert here.run(*words, "--", "test", "JOB", "!=", "2").returncode == 1
    JobFolder(here.job("p")).status_path(3).unlink()
    again = here.run(*words, "--pick", "failed", "--", "true", "JOB")
    assert (again.returncode, "2 of 3 elements done" in again.stderr) == (0, True), again.stderr
    assert here.run(*words, "--pick", "failed", "--", "true", "JOB").stdout == (
        "nothing failed: jobs/p; 1 elements never ran\n"
    )


WORDS = ["a b", "it's", '"q"', "$HOME", "`id`", "two\nlines", "\\", "*", "", "-n", "é"]


def test_words_arrive_as_they_are(tmp_path: Path) -> None:
    program = "import json, sys; json.dump(sys.argv[1:], open('words.json', 'w'))"
    assert states(tmp_path, [sys.executable, "-c", program, *WORDS, "xJOBx", "JOB/8", "a_JOB"])[0][1] == "done"
    assert json.loads((tmp_path / "words.json").read_text()) == [*WORDS, "xJOBx", "1/8", "a_1"]


def test_at_most_max_run_elements_run_at_once(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo + >>order; sleep 0.1; echo - >>order; : JOB"]
    submit(spec_of(tmp_path, command, num_elements=6, max_run=2)).wait(timeout=30)
    running, most = 0, 0
    for line in (tmp_path / "order").read_text().split():
        running += {"+": 1, "-": -1}[line]
        most = max(most, running)
    assert (running, most) == (0, 2)


def test_a_failed_element_is_tried_again_as_often_as_asked(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo JOB >>ran; test $(grep -c JOB ran) -ge JOB"]
    assert [state for _, state, _ in states(tmp_path, command, num_elements=3, retries=1)] == ["done", "done", "failed"]
    assert sorted((tmp_path / "ran").read_text().split()) == ["1", "2", "2", "3", "3"]


def test_commands_of_an_element_run_in_turn_until_one_fails(here: Site) -> None:
    lines = [[["sh", "-c", "echo a >>one"], ["sh", "-c", "echo b >>one"]], [["false"], ["touch", "never"]]]
    (here.folder / "commands").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = here.run("job", "run", "--commands", "commands", "--log", "log/c.JOB.log")
    assert done.returncode == 1
    assert "1 of 2 elements of `c` failed: 2" in done.stderr
    assert (here.folder / "one").read_text() == "a\nb\n"
    assert not (here.folder / "never").exists()


def test_ctrl_c_ends_every_process_and_leaves_with_130(here: Site) -> None:
    words = [
        "--nj",
        "2",
        "--max-run",
        "2",
        "--log",
        "log/l.JOB.log",
        "--",
        "sh",
        "-c",
        "sleep 60 & echo $! >JOB.pid; wait",
    ]
    runner = here.start("job", "run", *words)
    pids = [here.folder / f"{k}.pid" for k in (1, 2)]
    wait_until(lambda: all(path.exists() and path.read_text().strip() for path in pids))
    os.killpg(runner.pid, signal.SIGINT)
    runner.communicate(timeout=20)
    assert runner.returncode == 130
    wait_until(lambda: all(gone(int(path.read_text())) for path in pids))


@pytest.mark.parametrize("option", [[], ["--resumable"]])
def test_a_cancelled_job_ends_and_is_not_tried_again(here: Site, option: list[str]) -> None:
    words = ["job", "run", "--nj", "2", "--max-run", "1", "--retries", "2", "--log", "log/c.JOB.log", *option]
    runner = here.start(*words, "--", "sh", "-c", "touch JOB.on; sleep 60")
    wait_until(lambda: (here.folder / "1.on").exists())
    refused = here.run(*words, *option, "--", "true", "JOB")
    assert "is followed by pid" in refused.stderr
    assert "hint: wait for it, or speechkit job cancel" in refused.stderr
    assert here.run("job", "cancel", here.job("c")).returncode == 0
    _, stderr = runner.communicate(timeout=20)
    assert runner.returncode == 1
    assert re.search("element 1: ended from outside.*\n  element 2: never started: its runner was ended", stderr), (
        stderr
    )
    assert not (here.folder / "2.on").exists()


def test_a_job_of_another_machine_is_not_said_to_be_cancelled(here: Site) -> None:
    assert here.run("job", "run", "--log", "log/o.log", "--", "true").returncode == 0
    folder = JobFolder(here.job("o"))
    folder.write_submitted({"backend": "local", "submissions": [{"host": "elsewhere", "pid": 1}]})
    done = here.run("job", "cancel", here.job("o"))
    assert (done.returncode, "was started on elsewhere" in done.stderr) == (1, True)


def test_a_pool_whose_runner_died_before_it_came_to_life_starts_nothing(here: Site) -> None:
    folder = JobFolder(here.job("x"))
    folder.create()
    folder.save_spec(spec_of(here.folder, ["touch", "ran"]))
    dead = subprocess.Popen(["true"])
    dead.wait()
    words = [sys.executable, "-m", "speechkit.jobs.local", str(folder.path), "1"]
    subprocess.run([*words, str(dead.pid)], env=here.env, check=True, timeout=20)
    assert not (here.folder / "ran").exists()
    subprocess.run([*words, str(os.getpid())], env=here.env, check=True, timeout=20)
    assert (here.folder / "ran").exists()


def test_nothing_goes_on_when_the_runner_is_killed(here: Site) -> None:
    words = ["--log", "log/l.log", "--", "sh", "-c", "echo $$ >pid; sleep 60"]
    runner = here.start("job", "run", *words)
    pid = here.folder / "pid"
    wait_until(lambda: pid.exists() and pid.read_text().strip() != "")
    os.kill(runner.pid, signal.SIGKILL)
    runner.communicate()
    wait_until(lambda: gone(int(pid.read_text())))


def test_what_a_command_leaves_behind_does_not_go_on(tmp_path: Path) -> None:
    assert states(tmp_path, ["sh", "-c", "sleep 60 & echo $! >pid"]) == [(1, "done", "")]
    wait_until(lambda: gone(int((tmp_path / "pid").read_text())))


def test_terminated_without_a_checkpoint_it_leaves_with_143(here: Site) -> None:
    runner = here.start("job", "run", "--log", "log/l.log", "--", "sh", "-c", "touch on; sleep 60")
    wait_until(lambda: (here.folder / "on").exists())
    os.kill(runner.pid, signal.SIGTERM)
    runner.communicate(timeout=20)
    assert (runner.returncode, here.status("l")["state"]) == (143, "failed")


def test_terminated_it_passes_on_the_request_and_the_same_command_goes_on(here: Site) -> None:
    words = ["job", "run", "--resumable", "--log", "log/count.log", "--", *here.program(COUNT), "count"]
    runner = here.start(*words)
    wait_until(lambda: (here.folder / "count").exists())
    os.kill(runner.pid, signal.SIGTERM)
    _, stderr = runner.communicate(timeout=20)
    assert runner.returncode == 85, stderr
    assert here.status("count")["state"] == "requeue"
    again = here.run(*words)
    assert again.returncode == 0, again.stderr
    assert (here.folder / "count").read_text() == "0 1 2 3 4 5 6 7 8 9 "
    assert here.status("count")["attempt"] == 2


def test_an_element_that_asks_for_it_is_started_again_if_it_may_be(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo . >>n; test $(wc -l <n) = 3 || exit 85"]
    assert states(tmp_path, command, resumable=True) == [(1, "done", "")]
    (tmp_path / "n").unlink()
    ((_, state, reason),) = states(tmp_path, command, name="y")
    assert (state, reason) == ("failed", "checkpointed and asks to be started again: give --resumable")


def test_a_time_limit_holds_here_too(tmp_path: Path) -> None:
    begin = time.monotonic()
    ((_, state, reason),) = states(tmp_path, ["sleep", "30"], resources={"time": "0:01"}, retries=3)
    assert (state, reason) == ("failed", "time limit reached")
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("resumable", [True, False])
def test_a_failure_after_the_notice_stays_a_failure(tmp_path: Path, resumable: bool) -> None:
    command = ["sh", "-c", "kill -USR1 $PPID; sleep 0.2; exit 3"]
    results = submit(spec_of(tmp_path, command, resumable=resumable)).wait(timeout=30)
    assert [(r.status.state, r.status.rc, r.status.reason) for r in results] == [("failed", 3, "")]


def test_a_wrapper_that_was_killed_is_told_as_such(tmp_path: Path) -> None:
    ((_, state, reason),) = states(tmp_path, ["sh", "-c", "kill -9 $PPID; sleep 0.3"])
    assert (state, reason) == ("failed", "its wrapper was killed")


def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert states(tmp_path, ["nosuchcommand"]) == [(1, "failed", "cannot be started")]
    assert "cannot start `nosuchcommand`" in (tmp_path / "log" / "x.1.log").read_text()


ORPHAN = """
import time
from pathlib import Path
from speechkit.artifact import write_json
Path("on").touch()
while not Path("go").exists():
    time.sleep(0.02)
write_json(Path("result.json"), 1)
"""


def test_an_orphan_publishes_neither_its_result_nor_its_status(here: Site) -> None:
    program = here.program(ORPHAN)
    spec = spec_of(here.folder, program)
    folder = JobFolder(here.job("x"))
    folder.create()
    folder.save_spec(spec)
    env = {**here.env, "SPEECHKIT_JOB_HEARTBEAT": "60"}  # it notices only at the end
    orphan = subprocess.Popen(
        here.command("job", "exec", here.job("x"), "1"), cwd=here.folder, env=env, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: (here.folder / "on").exists())
    folder.lease_path(1, 2).touch()
    (here.folder / "go").touch()
    _, stderr = orphan.communicate(timeout=20)
    assert orphan.returncode == 1
    assert "a newer attempt at element 1 has taken over" in stderr
    assert not (here.folder / "result.json").exists()
    assert "result.json` is not published: a newer attempt has taken over" in (here.folder / "log/x.1.log").read_text()
    assert folder.read_status(1) is None


ALONE = """
import os, sys, time
before = open("pids").read().split() if os.path.exists("pids") else []
if any(os.path.exists(f"/proc/{pid}") for pid in before):
    sys.exit("another attempt runs")
open("pids", "a").write(f"{os.getpid()}\\n")
time.sleep(2)
"""


def test_an_orphan_is_ended_at_its_next_heartbeat_and_the_new_attempt_waits_for_that(here: Site) -> None:
    program = here.program(ALONE)
    folder = JobFolder(here.job("x"))
    folder.create()
    folder.save_spec(spec_of(here.folder, program))
    words = here.command("job", "exec", here.job("x"), "1")
    orphan = subprocess.Popen(words, cwd=here.folder, env=here.env, stderr=subprocess.DEVNULL)
    pids = here.folder / "pids"
    wait_until(lambda: pids.exists() and pids.read_text().count("\n") == 1)
    newer = here.run("job", "exec", here.job("x"), "1")
    assert (newer.returncode, orphan.wait(timeout=5)) == (0, 1), newer.stderr
    assert pids.read_text().count("\n") == 2
    assert here.status("x")["attempt"] == 2


def test_the_table_shows_what_runs_and_what_failed(here: Site) -> None:
    words = ["--nj", "3", "--max-run", "3", "--log", "exp/log/t.JOB.log", "--"]
    runner = here.start("job", "run", *words, "sh", "-c", "echo line JOB; test JOB != 2; test JOB != 3 || sleep 60")
    jobs = here.folder / "exp" / "jobs" / "t" / "status"
    wait_until(lambda: (jobs / "1.json").exists() and (jobs / "2.json").exists())
    table = here.run("job", "status", "exp", "--json", "table.json").stdout
    os.killpg(runner.pid, signal.SIGINT)
    runner.communicate(timeout=20)
    assert re.search(r"^jobs/t +local +3 +\d +\d +1 +0 ", table, re.MULTILINE), table
    assert re.search(r"^  3  running  \S+  \d s  line 3$", table, re.MULTILINE), table
    (row,) = json.loads((here.folder / "table.json").read_text())
    assert (row["elements"], row["running"], row["waiting"]) == (3, 1, 0)


def test_a_hundred_short_elements_cost_at_most_three_seconds_of_cpu(here: Site) -> None:
    def cpu_seconds(name: str) -> float:
        before = os.times()
        done = here.run("job", "run", "--nj", "100", "--log", f"log/{name}.JOB.log", "--", "true", "JOB")
        after = os.times()
        assert done.returncode == 0, done.stderr
        return after.children_user + after.children_system - before.children_user - before.children_system

    first = cpu_seconds("once")
    assert 0.2 < (first if first <= 3.0 else min(first, cpu_seconds("twice"))) <= 3.0  # other work slows both


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["--nj", "2", "--log", "x.JOB.log", "--", "true"], 2, "\n  all 2 elements would do the same: write JOB"),
        (["--nj", "2", "--log", "x.log", "--", "echo", "JOB"], 2, "would write the log"),
        (["--log", "x.log"], 2, "not exactly one of a command and --commands"),
        (["--", "true"], 2, "there is no --log"),
        (["--cmd", "lsf", "--log", "x.log", "--", "true"], 2, "there is no backend `lsf`"),
        (["--cmd", "slurm:no.toml", "--log", "x.log", "--", "true"], 2, "the site file `no.toml` does not exist"),
        (["--mem", "much", "--log", "x.log", "--", "true"], 2, "`resources.mem`: string should match"),
        (["--time", "1h", "--log", "x.log", "--", "true"], 2, "`resources.time`: string should match"),
        (["--commands", "none", "--log", "x.JOB.log"], 1, "cannot read `none`"),
        (["--commands", "bad", "--log", "x.JOB.log"], 1, "not a list of commands\n  bad:2"),
    ],
)
def test_wrong_requests_are_refused_before_anything_starts(
    run_speechkit: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPEECHKIT_CMD", raising=False)
    (tmp_path / "bad").write_text('[["true"]]\n["true"]\n')
    done = run_speechkit("job", "run", *words)  # type: ignore[operator]
    assert (done.exit_code, message in done.stderr) == (code, True), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


@pytest.mark.parametrize("verb", ["status", "attach", "cancel"])
def test_a_folder_without_a_job_is_refused(run_speechkit: object, tmp_path: Path, verb: str) -> None:
    done = run_speechkit("job", verb, tmp_path)  # type: ignore[operator]
    assert done.exit_code == 1
    assert "there is no job below" in done.stderr or "is no job folder" in done.stderr

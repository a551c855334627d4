"""What is promised about Slurm, against a real one of two nodes, with and without accounting."""

# above 300 lines: the acceptance list of jobs stands in one file

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from job_site import Site, wait_until
from tone_corpus import CONFIG_YAML, make_tone_corpus
from toy_recipe import make_toy

from speechkit.config import load_config
from speechkit.jobs.config import JobSpec, SiteConfig
from speechkit.jobs.folder import JobFolder, Status
from speechkit.jobs.run import submit
from speechkit.train import loop
from speechkit.train.config import TrainConfig

pytestmark = pytest.mark.slurm

# Counts to 20 in a file, one number a tick; goes on where it was; saves and leaves with 85 on TERM or USR1.
COUNT = """
import os, signal, sys, time
stop = []
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: stop.append(number))
path, tick = sys.argv[1], float(sys.argv[2])
first = len(open(path).read().split()) if os.path.exists(path) else 0
for number in range(first, 20):
    if stop:
        sys.exit(85)
    with open(path, "a") as stream:
        stream.write(f"{number} ")
    time.sleep(tick)
"""
COUNTED = " ".join(map(str, range(20))) + " "


def test_01_eight_good_elements(cluster: Site) -> None:
    words = ["job", "run", "--cmd", "slurm", "--nj", "8", "--mem", "100M", "--log", "log/good.JOB.log", "--"]
    words += ["sh", "-c", "echo result JOB >JOB.txt"]
    done = cluster.run(*words)
    assert done.returncode == 0, done.stderr
    assert [(cluster.folder / f"{k}.txt").read_text() for k in range(1, 9)] == [f"result {k}\n" for k in range(1, 9)]
    assert {cluster.status("good", k)["node"] for k in range(1, 9)} == {"sbx1", "sbx2"}
    job = cluster.job_id("good")
    again = cluster.run(*words)
    assert (again.returncode, again.stdout) == (0, "up to date: jobs/good\n")
    assert cluster.job_id("good") == job


def test_02_one_bad_element_of_32_is_named_at_once_and_only_it_runs_again(cluster: Site) -> None:
    words = ["job", "run", "--cmd", "slurm", "--nj", "32", "--mem", "100M", "--log", "log/bad.JOB.log", "--"]
    words += ["sh", "-c", "echo JOB >>ran; echo the reason; test JOB != 5 || test -e mended"]
    runner = cluster.start(*words)
    assert runner.stderr is not None
    named = 0.0
    lines = []
    for line in runner.stderr:
        lines.append(line)
        if "the reason" in line and not named:
            named = time.time()
    assert runner.wait() == 1
    stderr = "".join(lines)
    assert named - float(str(cluster.status("bad", 5)["end"])) <= 5
    assert "error: 1 of 32 elements of `bad` failed: 5\n" in stderr
    assert "element 5 of 32 failed: exit 1 on sbx" in stderr
    assert len((cluster.folder / "ran").read_text().split()) == 32
    (cluster.folder / "mended").touch()
    again = cluster.run(*words)
    assert again.returncode == 0, again.stderr
    assert (cluster.folder / "ran").read_text().split()[32:] == ["5"]


def test_03_a_job_whose_condition_never_holds_ends_within_ten_seconds(cluster: Site) -> None:
    other = cluster.call("sbatch", "--parsable", "--output=/dev/null", "--wrap=exit 1")
    begin = time.monotonic()
    words = ["--sbatch", f"--dependency=afterok:{other}", "--log", "log/after.log", "--", "touch", "ran"]
    done = cluster.run("job", "run", "--cmd", "slurm", *words)
    assert time.monotonic() - begin < 10
    assert done.returncode == 1
    assert "never started: the job it depends on failed" in done.stderr or "cancelled (scancel)" in done.stderr
    assert not (cluster.folder / "ran").exists()


def test_04_a_job_cancelled_from_outside_says_so(cluster: Site) -> None:
    words = ["--nj", "8", "--mem", "100M", "--log", "log/long.JOB.log", "--", "sh", "-c", "touch on.JOB; sleep 100"]
    runner = cluster.start("job", "run", "--cmd", "slurm", *words)
    wait_until(lambda: len(list(cluster.folder.glob("on.*"))) == 4)
    cluster.call("scancel", cluster.job_id("long"))
    _, stderr = runner.communicate(timeout=30)
    assert runner.returncode == 1
    assert "8 of 8 elements of `long` failed: 1-8" in stderr
    assert stderr.count("cancelled (scancel)") >= 3


def test_05_a_requeued_job_gives_what_an_undisturbed_one_gives(cluster: Site) -> None:
    words = ["--resumable", "--log", "log/count.log", "--", *cluster.program(COUNT), "count", "0.2"]
    runner = cluster.start("job", "run", "--cmd", "slurm", *words)
    wait_until(lambda: (cluster.folder / "count").exists())
    task = f"{cluster.job_id('count')}_1"
    cluster.call("scontrol", "requeue", task)
    cluster.start_now(task)
    _, stderr = runner.communicate(timeout=60)
    assert runner.returncode == 0, stderr
    assert (cluster.folder / "count").read_text() == COUNTED
    assert cluster.status("count")["attempt"] == 2


def test_06_a_checkpoint_before_the_time_limit_and_on_it_goes(cluster: Site) -> None:
    site = cluster.toml("notice_seconds = 110")
    words = ["--resumable", "--time", "2", "--log", "log/count.log", "--", *cluster.program(COUNT), "count", "8"]
    runner = cluster.start("job", "run", "--cmd", site, *words)
    wait_until((cluster.job("count") / "status" / "1.json").exists, 130)  # Slurm looks at time limits every half minute
    assert cluster.status("count")["state"] == "requeue"
    assert 0 < len((cluster.folder / "count").read_text().split()) < 20
    task = f"{cluster.job_id('count')}_1"
    (cluster.folder / "program.py").write_text(COUNT.replace("time.sleep(tick)", "time.sleep(0)"))
    cluster.start_now(task)
    _, stderr = runner.communicate(timeout=60)
    assert runner.returncode == 0, stderr
    assert (cluster.folder / "count").read_text() == COUNTED


LONELY = """
import os, sys, time
from pathlib import Path
from speechkit.artifact import write_json
Path("on." + os.environ["SLURMD_NODENAME"]).touch()
while not Path("go").exists():
    time.sleep(0.1)
write_json(Path("result.json"), os.environ["SLURMD_NODENAME"])
"""


def test_07_after_a_lost_node_it_runs_elsewhere_and_the_orphan_publishes_nothing(cluster: Site) -> None:
    tool, folder = cluster.sandbox
    words = ["--retries", "1", "--log", "log/lonely.log", "--", *cluster.program(LONELY)]
    runner = cluster.start("job", "run", "--cmd", "slurm", *words)
    wait_until(lambda: bool(list(cluster.folder.glob("on.*"))))
    lost = next(cluster.folder.glob("on.*")).suffix[1:]
    other = {"sbx1": "sbx2", "sbx2": "sbx1"}[lost]
    orphan = json.loads((cluster.job("lonely") / "lease" / "1.1").read_text())["pid"]
    subprocess.run([tool, "node", folder, lost, "down"], check=True, capture_output=True)
    try:
        wait_until(lambda: (cluster.folder / f"on.{other}").exists(), 90)
        (cluster.folder / "go").touch()
        _, stderr = runner.communicate(timeout=60)
    finally:
        subprocess.run([tool, "node", folder, lost, "up"], check=True, capture_output=True)
    assert runner.returncode == 0, stderr
    assert f"its node failed on {lost}; it is started again" in stderr
    wait_until(lambda: not Path(f"/proc/{orphan}").exists())
    status = cluster.status("lonely")
    assert (status["attempt"], status["node"], status["state"]) == (2, other, "done")
    assert json.loads((cluster.folder / "result.json").read_text()) == other


def test_08_a_log_folder_that_the_node_does_not_see(cluster: Site) -> None:
    words = ["--sbatch", "--begin=now+4", "--log", "log/x.log", "--", "true"]
    runner = cluster.start("job", "run", "--cmd", "slurm", *words)
    cluster.job_id("x")
    shutil.rmtree(cluster.folder / "log")
    _, stderr = runner.communicate(timeout=60)
    assert runner.returncode == 1
    assert "log or job folder not there" in stderr
    assert "not a shared disk?" in stderr


def test_09_an_impossible_time_limit_is_an_error_not_a_wait(cluster: Site) -> None:
    site = cluster.toml('[defaults]\npartition = "short"')
    begin = time.monotonic()
    done = cluster.run("job", "run", "--cmd", site, "--time", "10", "--log", "log/x.log", "--", "true")
    assert time.monotonic() - begin < 60
    assert done.returncode == 1
    assert re.search("never starts: the (partition does not allow|time limit is above)", done.stderr), done.stderr
    assert not cluster.queue()


class SlowServer(JobFolder):
    """A file server that shows status files 20 seconds late."""

    def _is_visible(self, element: int) -> bool:
        path = self.status_path(element)
        return path.exists() and time.time() - path.stat().st_mtime > 20

    def listed(self) -> set[int]:
        return {element for element in super().listed() if self._is_visible(element)}

    def read_status(self, element: int) -> Status | None:
        return super().read_status(element) if self._is_visible(element) else None


@contextlib.contextmanager
def environment_of(cluster: Site) -> object:
    """This process as the login node."""
    before = dict(os.environ)
    os.environ.update(cluster.env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def spec_of(cluster: Site, name: str, command: list[str], **fields: object) -> JobSpec:
    log = str(cluster.folder / "log" / f"{name}.JOB.log")
    values = {"name": name, "backend": "slurm", "log": log, "cwd": str(cluster.folder), "command": command}
    return JobSpec.model_validate({**values, "env": {"PATH": os.environ["PATH"]}, **fields})


def test_10_status_files_that_a_file_server_shows_late(cluster: Site) -> None:
    with environment_of(cluster):
        handle = submit(spec_of(cluster, "late", ["true", "JOB"], num_elements=2), site=SiteConfig())
        handle.folder = handle.watch.folder = SlowServer(handle.folder.path)
        begin = time.monotonic()
        results = handle.wait(timeout=90)
    assert [(result.element, result.status.state) for result in results] == [(1, "done"), (2, "done")]
    assert 19 < time.monotonic() - begin < 60


def test_11_a_squeue_that_fails_for_half_a_minute(cluster: Site) -> None:
    bin_folder = cluster.folder / "bin"
    bin_folder.mkdir()
    real = shutil.which("squeue", path=cluster.env["PATH"])
    script = f"""#!/bin/sh
echo asked >>{cluster.folder}/asked
if [ $(date +%s) -lt {int(time.time()) + 30} ]; then echo "squeue: error: Socket timed out" >&2; exit 1; fi
exec {real} "$@"
"""
    (bin_folder / "squeue").write_text(script)
    (bin_folder / "squeue").chmod(0o755)
    env = {**cluster.env, "PATH": f"{bin_folder}:{cluster.env['PATH']}"}
    words = [
        "job",
        "run",
        "--cmd",
        "slurm",
        "--nj",
        "2",
        "--log",
        "log/busy.JOB.log",
        "--",
        "sh",
        "-c",
        "sleep 32 #JOB",
    ]
    done = subprocess.run(
        cluster.command(*words), cwd=cluster.folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    assert (cluster.folder / "asked").read_text().count("asked") >= 3


def test_12_good_bad_killed_and_lost_elements_are_the_same_with_and_without_accounting(cluster: Site) -> None:
    program = """
import os, signal, sys
kind = sys.argv[1]
if kind == "2":
    sys.exit(9)
if kind == "3":
    os.kill(os.getpid(), signal.SIGKILL)
if kind == "4":  # the wrapper itself is lost
    os.kill(os.getppid(), signal.SIGKILL)
"""
    site = cluster.toml("lost_after_seconds = 4")
    words = ["--nj", "4", "--mem", "100M", "--log", "log/mixed.JOB.log", "--", *cluster.program(program), "JOB"]
    done = cluster.run("job", "run", "--cmd", site, *words)
    assert done.returncode == 1
    assert "3 of 4 elements of `mixed` failed: 2-4" in done.stderr
    assert "element 2: exit 9 on sbx" in done.stderr
    assert "element 3: killed, perhaps for memory (asked 100M, peak" in done.stderr
    assert re.search("element 4: lost: ended as FAILED without a word on sbx", done.stderr), done.stderr
    asked = subprocess.run(["sacct"], env=cluster.env, capture_output=True, check=False)
    assert (asked.returncode == 0) == (cluster.mode == "dbd")


WEIRD = ["a b", "it's", '"q"', "$HOME", "`id`", "two\nlines", "\\", "*", "", "-n", "%a", "é"]


@pytest.mark.parametrize("name", ["a b", "it's $HOME", 'q"uote', "two\nlines", "100%a"])
def test_13_hostile_paths_and_arguments(cluster: Site, name: str) -> None:
    folder = cluster.folder / name
    folder.mkdir()
    program = "import json, sys; json.dump(sys.argv[1:], open('words.json', 'w'))"
    site = Site(folder, cluster.env)
    words = ["--log", "log/w x.log", "--", *site.program(program), *WEIRD]
    done = site.run("job", "run", "--cmd", "slurm", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "words.json").read_text()) == WEIRD
    assert "# Ended (code 0)" in (folder / "log" / "w x.log").read_text()


def test_14_ctrl_c_leaves_no_job(cluster: Site) -> None:
    words = ["--nj", "6", "--mem", "100M", "--log", "log/long.JOB.log", "--", "sh", "-c", "touch on.JOB; sleep 100"]
    runner = cluster.start("job", "run", "--cmd", "slurm", *words)
    wait_until(lambda: bool(list(cluster.folder.glob("on.*"))))
    os.killpg(runner.pid, signal.SIGINT)
    _, stderr = runner.communicate(timeout=60)
    assert runner.returncode == 130, stderr
    assert not cluster.queue()


def test_15_another_process_waits_for_a_job_whose_runner_died(cluster: Site) -> None:
    words = ["--nj", "2", "--log", "log/orphan.JOB.log", "--", "sh", "-c", "echo JOB >>ran; sleep 6"]
    runner = cluster.start("job", "run", "--cmd", "slurm", *words)
    job = cluster.job_id("orphan")
    os.killpg(runner.pid, signal.SIGKILL)
    runner.wait()
    assert cluster.queue()
    second = cluster.start("job", "run", "--cmd", "slurm", *words)  # the same command finds its job in the queue
    _, stderr = second.communicate(timeout=60)
    assert second.returncode == 0, stderr
    assert cluster.job_id("orphan") == job
    assert sorted((cluster.folder / "ran").read_text().split()) == ["1", "2"]
    attached = cluster.run("job", "attach", cluster.job("orphan"))
    assert attached.returncode == 0, attached.stderr


def test_15b_attach_waits_and_cancel_ends(cluster: Site) -> None:
    words = ["--log", "log/long.log", "--", "sh", "-c", "touch on; sleep 100"]
    runner = cluster.start("job", "run", "--cmd", "slurm", *words)
    wait_until(lambda: (cluster.folder / "on").exists())
    os.kill(runner.pid, signal.SIGTERM)  # of the runner only: the job goes on
    _, stderr = runner.communicate(timeout=30)
    assert runner.returncode == 143
    assert f"goes on; speechkit job attach {cluster.job('long')}" in stderr
    attached = cluster.start("job", "attach", cluster.job("long"))
    time.sleep(1)
    table = cluster.run("job", "status")
    assert re.search(r"^jobs/long +slurm +1 +0 +0 +1 +0 ", table.stdout, re.MULTILINE), table.stdout
    cancelled = cluster.run("job", "cancel", cluster.job("long"))
    assert cancelled.returncode == 0, cancelled.stderr
    _, stderr = attached.communicate(timeout=30)
    assert attached.returncode == 1
    assert "cancelled (scancel)" in stderr


def test_the_script_can_be_given_to_sbatch_by_hand(cluster: Site) -> None:
    words = ["--nj", "3", "--log", "log/hand.JOB.log", "--", "sh", "-c", "echo JOB >>ran"]
    assert cluster.run("job", "run", "--cmd", "slurm", *words).returncode == 0
    (cluster.folder / "ran").unlink()
    job = cluster.call("sbatch", "--parsable", str(cluster.job("hand") / "job.sh"))
    wait_until(lambda: all(cluster.status("hand", k)["job"] == f"{job}_{k}" for k in (1, 2, 3)), 30)
    assert sorted((cluster.folder / "ran").read_text().split()) == ["1", "2", "3"]


def test_the_overhead_of_four_short_elements(cluster: Site) -> None:
    seconds = []
    for name in ("once", "twice", "thrice"):  # other clusters and other work share the machine: the best counts
        begin = time.monotonic()
        words = ["--nj", "4", "--mem", "100M", "--log", f"log/{name}.JOB.log", "--", "true", "JOB"]
        assert cluster.run("job", "run", "--cmd", "slurm", *words).returncode == 0
        seconds.append(time.monotonic() - begin)
        if seconds[-1] <= 6:
            return
    raise AssertionError(f"an array of 4 `true` took {seconds} s")


SUM = """
import os
import torch.distributed as dist, torch
dist.init_process_group("gloo")
x = torch.tensor([dist.get_rank() + 1.0])
dist.all_reduce(x)
open(f"sum.{dist.get_rank()}", "w").write(f"{x.item()} {os.environ['SLURMD_NODENAME']}")
dist.destroy_process_group()
"""


def test_16_two_nodes_add_their_numbers(cluster: Site) -> None:
    words = ["--tasks", "2", "--nodes", "2", "--log", "log/sum.log", "--", *cluster.program(SUM)]
    done = cluster.run("job", "run", "--cmd", "slurm", *words)
    assert done.returncode == 0, done.stderr
    assert [(cluster.folder / f"sum.{rank}").read_text() for rank in (0, 1)] == ["3.0 sbx1", "3.0 sbx2"]


def test_16_a_training_on_two_nodes_that_is_requeued_twice_equals_the_straight_run(cluster: Site) -> None:
    make_tone_corpus(cluster.folder / "tones")
    (cluster.folder / "conf.yaml").write_text(CONFIG_YAML)
    settings = ["optim.num_steps=150", "optim.batches_per_step=2", "batch.max_seconds=3"]
    config = load_config(TrainConfig, cluster.folder / "conf.yaml", settings)
    loop.run(config, train=[cluster.folder / "tones"], dev=None, out=cluster.folder / "straight")
    words = ["train", "conf.yaml", "--train", "tones", "--out", "model", *(f"--set={setting}" for setting in settings)]
    resources = ["--tasks", "2", "--nodes", "2", "--resumable", "--log", "log/train.log"]
    runner = cluster.start("job", "run", "--cmd", "slurm", *resources, "--", sys.executable, "-m", "speechkit", *words)
    history, log = cluster.folder / "model.partial" / "train.jsonl", cluster.folder / "log" / "train.log"
    task = f"{cluster.job_id('train')}_1"

    def num_steps() -> int:
        return history.read_text().count("\n") if history.exists() else 0

    wait_until(lambda: num_steps() >= 20, 180)
    cluster.call("scancel", "--batch", "--signal=USR1", task)  # as Slurm does before the time limit
    wait_until(lambda: (cluster.job("train") / "status" / "1.json").exists(), 60)
    assert cluster.status("train")["reason"] == "checkpointed"
    first = num_steps()
    assert 20 <= first < 100
    cluster.start_now(task)
    wait_until(lambda: num_steps() >= first + 20, 180)
    cluster.call("scontrol", "requeue", task)  # as after a preemption
    cluster.start_now(task)
    _, stderr = runner.communicate(timeout=240)
    assert runner.returncode == 0, stderr + log.read_text()
    assert log.read_text().count("going on after step") == 2
    for name in ("model.safetensors", "train.jsonl"):
        assert (cluster.folder / "model" / name).read_bytes() == (cluster.folder / "straight" / name).read_bytes()


RECIPE = """
one() { speechkit copy in.txt --out "exp/$1" --word "$1"; speechkit copy "exp/$1" --out "exp/$1-$1" --word b; }
if stage 0 "many"; then
  spawn one x
  spawn one "y z"
  gather
fi
"""


def test_a_recipe_makes_the_same_here_and_under_slurm(cluster: Site) -> None:
    made = {}
    for cmd in ("local", "slurm"):
        toy = make_toy(cluster.folder / cmd)
        toy.write(RECIPE)
        (toy.folder / "in.txt").write_text("in")
        env = {**toy.environment, **cluster.env, "PATH": toy.environment["PATH"]}
        done = subprocess.run(
            [str(toy.script), "--cmd", cmd], env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        texts = sorted(toy.folder.glob("exp/*/text"))
        made[cmd] = [(path.parent.name, path.read_bytes()) for path in texts]
    assert made["local"] == made["slurm"]
    assert [name for name, _ in made["slurm"]] == ["x", "x-x", "y z", "y z-y z"]

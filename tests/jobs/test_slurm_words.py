"""What is said to Slurm and how its answers are understood, with programs that stand in for it."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from command_line import parse
from hypothesis import given
from hypothesis import strategies as st
from source_code import REPO

from speechkit.errors import ConfigError, SpeechkitError
from speechkit.jobs import slurm
from speechkit.jobs.config import JobSpec, SiteConfig, of_element, seconds_of
from speechkit.jobs.folder import Status, parse_ranges, ranges
from speechkit.jobs.intake import environment, name_of
from speechkit.jobs.run import submit
from speechkit.jobs.site import defaults_of, load_site, parse_backend
from speechkit.jobs.slurm import SlurmState, Submission


@given(st.sets(st.integers(1, 300), min_size=1))
def test_ranges_are_read_as_they_are_written(numbers: set[int]) -> None:
    assert parse_ranges(ranges(numbers)) == sorted(numbers)


def test_ranges_of_slurm() -> None:
    assert ranges([3, 1, 2, 7]) == "1-3,7"
    assert parse_ranges("1-3,7,10-14:2%4") == [1, 2, 3, 7, 10, 12, 14]


@pytest.mark.parametrize(
    "text, seconds",
    [("2", 120), ("1:30", 90), ("2:00:00", 7200), ("1-0", 86400), ("1-2:30", 95400), ("1-00:00:05", 86405)],
)
def test_time_limits_are_read_as_slurm_does(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


def test_job_stands_for_the_element_only_as_a_word() -> None:
    assert of_element("a.JOB.JOBS/JOB_x JOB2 myJOB", 3) == "a.3.JOBS/3_x JOB2 myJOB"
    names = ["feats.JOB.log", "x_JOB.txt", "JOB.log", "a.b.log", "a-JOB-b.log"]
    assert [name_of(Path("log", name)) for name in names] == ["feats", "x", "job", "a.b", "a-b"]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on PATH; what its programs are asked is in `asked`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def pretend(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\nprintf "%s|" {name} "$@" >>{folder}/asked\necho >>{folder}/asked\n{body}\n')
    path.chmod(0o755)


def asked(folder: Path, name: str) -> list[list[str]]:
    lines = (folder / "asked").read_text().splitlines()
    return [line.split("|")[1:-1] for line in lines if line.startswith(f"{name}|")]


def spec_of(folder: Path, **fields: object) -> JobSpec:
    values = {"name": "x", "backend": "slurm", "log": f"{folder}/log/x.JOB.log", "cwd": str(folder)}
    return JobSpec.model_validate({**values, "command": ["echo", "JOB"], **fields})


SITE = """
setup = [["module", "load", "cuda/12"], ["source", "my env/bin/activate"]]
launch = ["apptainer", "exec", "--nv", "image.sif"]
python = "/opt/python"
env = {HF_HOME = "/scratch/hf"}
[options]
gpus = ["--gpus={}", "--constraint=a100"]
[defaults]
account = "proj1"
mem = "2G"
max_run = 50
[jobs."train*"]
partition = "gpu"
time = "8:00:00"
"""


@pytest.fixture
def site(tmp_path: Path) -> SiteConfig:
    path = tmp_path / "slurm.toml"
    path.write_text(SITE)
    return load_site(path)


def test_the_script_says_what_the_site_file_asks_for(tmp_path: Path, site: SiteConfig) -> None:
    spec = spec_of(
        tmp_path, name="train-a", num_elements=3, resources={"gpus": 1, "threads": 4}, resumable=True,
        log="/data/a b/x.JOB.log",
    )  # fmt: skip
    text = slurm.render_script(spec, site, Path("/data/jobs/it's"), extra=[])
    assert text.splitlines()[:2] == [
        "#!/bin/bash -l",
        "# 3 elements; written by `speechkit job run`, may be given to sbatch by hand.",
    ]
    directives = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH")]
    assert directives == [
        "--job-name=train-a", "--partition=gpu", "--account=proj1", "--mem=2G", "--cpus-per-task=4", "--gpus=1",
        "--constraint=a100", "--time=8:00:00", "--open-mode=append", "--kill-on-invalid-dep=yes",
        "--signal=B:USR1@120", "--export=NONE", "--requeue", "--array=1-3", '"--output=/data/a b/x.%a.log"',
    ]  # fmt: skip
    assert text.splitlines()[-6:] == [
        "export SLURM_EXPORT_ENV=ALL  # what runs below sees the variables set here",
        "trap '' USR1  # a notice before the wrapper can take it would end the job",
        "module load cuda/12",
        "source 'my env/bin/activate'",
        "# the first word is the number of the element before the first task",
        "exec apptainer exec --nv image.sif /opt/python -m speechkit.jobs.worker '/data/jobs/it'\"'\"'s'"
        ' "$((${1:-0} + SLURM_ARRAY_TASK_ID))"',
    ]
    assert subprocess.run(["bash", "-n", "-c", text], check=False).returncode == 0


def test_defaults_of_all_jobs_and_then_of_matching_names(site: SiteConfig) -> None:
    assert (defaults_of(site, "train-a").partition, defaults_of(site, "train-a").account) == ("gpu", "proj1")
    assert defaults_of(site, "decode").partition is None


def test_an_environment_that_the_site_sets_up_is_not_overwritten(
    site: SiteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("MY_SECRET", "x")
    own, plain = environment(site), environment(SiteConfig())
    assert "PATH" not in own
    assert "PATH" in plain
    assert own["HF_HOME"] == "/scratch/hf"
    assert own["OMP_NUM_THREADS"] == plain["OMP_NUM_THREADS"] == "3"
    assert "MY_SECRET" not in plain


def test_a_wrong_site_file_names_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "slurm.toml"
    path.write_text('launch = "apptainer exec"\n[default]\npartition = "x"\n')
    with pytest.raises(ConfigError) as caught:
        load_site(path)
    text = caught.value.render()
    assert "unknown key `default`, did you mean `defaults`" in text
    assert "`launch`: input should be a valid list" in text
    assert text.endswith("hint: docs/cluster.md shows a site file")
    path.write_text("x = [")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_site(path)


def test_the_documents_hold_a_site_file_and_commands_that_are_understood(tmp_path: Path) -> None:
    text = (REPO / "docs" / "cluster.md").read_text(encoding="utf-8")
    path = tmp_path / "slurm.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0])
    site = load_site(path)
    assert defaults_of(site, "2-training").partition == "gpu"
    commands = [line for line in text.splitlines() if line.startswith("speechkit ")]
    commands += re.findall(r"`(speechkit [a-z]+ [^`]*)`", text)
    assert len(commands) >= 6
    for command in commands:
        parse(shlex.split(command))


def test_the_site_file_is_found_in_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("speechkit.jobs.site._PLACES", (Path("conf/slurm.toml"),))
    assert parse_backend("slurm") == ("slurm", None)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "slurm.toml").touch()
    assert parse_backend("slurm") == ("slurm", Path("conf/slurm.toml"))
    assert parse_backend("local") == ("local", None)


def test_one_squeue_tells_of_waiting_running_and_ended_elements(fake: Path) -> None:
    lines = [
        "9_2|RUNNING|None|n3",
        "7_[5-8,10%2]|PENDING|Resources|",
        "7_1|RUNNING|None|n1",
        "7_2|FAILED|NonZeroExitCode|n2",
    ]
    pretend(fake, "squeue", "\n".join(f"echo '{line}'" for line in lines))
    states = slurm.query([Submission("7", 0, list(range(1, 11))), Submission("9", 0, [2])])
    assert states is not None
    assert sorted(states) == [1, 2, 5, 6, 7, 8, 10]
    assert (states[2].state, states[2].node, states[10].state) == ("RUNNING", "n3", "PENDING")
    assert len(asked(fake, "squeue")) == 1


@pytest.mark.parametrize(
    "message, answer",
    [("slurm_load_jobs error: Invalid job id specified", {}), ("slurm_load_jobs error: Socket timed out", None)],
)
def test_a_forgotten_job_is_told_from_a_busy_controller(fake: Path, message: str, answer: object) -> None:
    pretend(fake, "squeue", f"echo '{message}' >&2; exit 1")
    assert slurm.query([Submission("7", 0, [1])]) == answer


@pytest.mark.parametrize(
    "reason, never",
    [
        ("PartitionTimeLimit", "the time limit is above that of the partition"),
        ("DependencyNeverSatisfied", "the job it depends on failed"),
        ("AssocMaxCpuPerJobLimit", "more than the account or QOS allows for one job"),
        ("QOSMaxWallDurationPerJobLimit", "more than the account or QOS allows for one job"),
        ("AssocGrpCpuLimit", ""),
        ("Resources", ""),
        ("BeginTime", ""),
        ("JobHeldUser", ""),
    ],
)
def test_what_can_never_start_is_told_from_what_waits(reason: str, never: str) -> None:
    assert SlurmState("PENDING", reason).never() == never
    assert SlurmState("RUNNING", reason).never() == ""


def test_a_refusal_of_sbatch_is_told_in_its_words(fake: Path, tmp_path: Path) -> None:
    pretend(fake, "scontrol", "echo 'MaxArraySize            = 1001'")
    pretend(fake, "sbatch", "echo 'sbatch: error: invalid partition specified: x' >&2; exit 1")
    with pytest.raises(SpeechkitError) as caught:
        submit(spec_of(tmp_path))
    assert "sbatch refuses the job `x`\n  invalid partition specified: x" in caught.value.render()


def test_without_slurm_the_missing_program_is_named(tmp_path: Path, fake: Path) -> None:
    with pytest.raises(ConfigError, match="`scontrol` is not installed here"):
        submit(spec_of(tmp_path))


def test_more_elements_than_an_array_may_have_become_several_arrays(fake: Path, tmp_path: Path) -> None:
    pretend(fake, "scontrol", "echo 'MaxArraySize            = 1001'")
    pretend(fake, "sbatch", f"/usr/bin/wc -l <{fake}/asked")
    site = SiteConfig.model_validate({"defaults": {"max_run": 90}})
    handle = submit(spec_of(tmp_path, num_elements=2500), site=site)
    arrays = [next(word for word in words if word.startswith("--array")) for words in asked(fake, "sbatch")]
    assert arrays == ["--array=1-1000%30", "--array=1-1000%30", "--array=1-500%30"]
    assert [words[-1] for words in asked(fake, "sbatch")] == ["0", "1000", "2000"]
    outputs = [next(word for word in words if word.startswith("--output")) for words in asked(fake, "sbatch")]
    assert outputs[0] == f"--output={tmp_path}/log/x.%a.log"
    assert outputs[1] == f"--output={tmp_path}/jobs/x/slurm.%A_%a.log"
    assert handle.watch.open == set(range(1, 2501))


def test_arrays_before_a_refused_one_are_found_again(fake: Path, tmp_path: Path) -> None:
    pretend(fake, "scontrol", "echo 'MaxArraySize            = 3'")
    pretend(fake, "sbatch", f"test ! -e {fake}/full || exit 1; : >{fake}/full; echo 5")
    pretend(fake, "squeue", "echo '5_[1-2]|PENDING|Priority|'")
    with pytest.raises(SpeechkitError, match="sbatch refuses the job"):
        submit(spec_of(tmp_path, num_elements=4))
    pretend(fake, "sbatch", "echo 6")
    handle = submit(spec_of(tmp_path, num_elements=4))
    assert [words[-1] for words in asked(fake, "sbatch")] == ["0", "2", "2"]
    assert handle.watch.open == {1, 2, 3, 4}


def test_a_failed_element_that_slurm_still_tidies_up_runs_again(fake: Path, tmp_path: Path) -> None:
    pretend(fake, "scontrol", "true")
    pretend(fake, "sbatch", "echo 5")
    handle = submit(spec_of(tmp_path))
    handle.folder.write_status(1, Status("failed", 1, 1))
    pretend(fake, "squeue", "echo '5_1|RUNNING|None|n7'")
    submit(spec_of(tmp_path))
    assert len(asked(fake, "sbatch")) == 1
    pretend(fake, "squeue", "echo '5_1|COMPLETING|None|n7'")
    submit(spec_of(tmp_path, command=["mended"]))
    assert len(asked(fake, "sbatch")) == 2


def test_the_folder_of_every_log_is_made_before_slurm_needs_it(fake: Path, tmp_path: Path) -> None:
    pretend(fake, "scontrol", "true")
    pretend(fake, "sbatch", "echo 5")
    submit(spec_of(tmp_path, num_elements=3, log=f"{tmp_path}/log/JOB/x.log"))
    assert {"1", "2", "3"} <= {path.name for path in (tmp_path / "log").iterdir()}


def test_an_earlier_job_of_another_command_is_not_overrun(fake: Path, tmp_path: Path) -> None:
    pretend(fake, "scontrol", "true")
    pretend(fake, "sbatch", "echo 5")
    pretend(fake, "squeue", "echo '5_[1-2]|PENDING|Priority|'")
    submit(spec_of(tmp_path, num_elements=2))
    submit(spec_of(tmp_path, num_elements=2))
    assert len(asked(fake, "sbatch")) == 1  # the same command finds its job
    with pytest.raises(SpeechkitError, match="2 elements of another job `x` are still in the queue"):
        submit(spec_of(tmp_path, num_elements=2, command=["other", "JOB"]))


def test_why_an_element_was_ended_is_told_when_slurm_has_made_up_its_mind(fake: Path, tmp_path: Path) -> None:
    pretend(fake, "scontrol", "true")
    pretend(fake, "sbatch", "echo 5")
    pretend(fake, "squeue", "echo '5_1|COMPLETING|None|n7'")
    handle = submit(spec_of(tmp_path))
    handle.folder.write_status(1, Status("failed", -15, 1, "ended from outside by signal SIGTERM", signal=15))
    handle.watch.poll()
    assert handle.watch.open == {1}
    pretend(fake, "squeue", "echo '5_1|CANCELLED|None|n7'")
    (result,) = handle.wait(timeout=10)
    assert result.status.reason == "cancelled (scancel) on n7"


def test_a_lost_element_is_told_after_the_grace_and_not_before(fake: Path, tmp_path: Path) -> None:
    pretend(fake, "scontrol", "true")
    pretend(fake, "sbatch", "echo 5")
    pretend(fake, "squeue", "echo 'Invalid job id specified' >&2; exit 1")
    pretend(fake, "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    site = SiteConfig(lost_after_seconds=0.3)
    handle = submit(spec_of(tmp_path), site=site)
    handle.watch.next_query = 0.0
    handle.watch.poll()
    assert handle.watch.open == {1}
    handle.watch.site = site
    (result,) = handle.wait(timeout=10)
    assert (result.status.state, result.status.reason) == ("failed", "lost: nobody knows how it ended")

"""What a job is: the spec of an array and the resources of one element; the site file says how Slurm is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from speechkit.config import Config

Pick = Literal["incomplete", "failed", "all"]
_JOB = re.compile(r"(?<![A-Za-z0-9])JOB(?![A-Za-z0-9])")

Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[KMGT]?$")]
Time = Annotated[str, StringConstraints(pattern=r"^([0-9]+-)?[0-9]{1,4}(:[0-9]{1,2}){0,2}$")]


def of_element(word: str, element: int | str) -> str:
    """The word with the number of the element in place of JOB; JOB inside a longer word stays."""
    return _JOB.sub(str(element), word)


def seconds_of(time: str) -> int:
    """Seconds of a time limit as Slurm reads it: minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S."""
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, [*parts, 0][:2]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


class Resources(Config):
    """What one element needs; None: what the site gives by default."""

    mem: Memory | None = Field(None, description="memory of an element, for example 4G")
    threads: int = Field(1, ge=1, description="CPU cores of a task")
    gpus: int = Field(0, ge=0, description="GPUs of a node")
    time: Time | None = Field(None, description="time limit as Slurm reads it: minutes, H:M:S or D-H:M:S")
    tasks: int = Field(1, ge=1, description="processes of an element that train together")
    nodes: int | None = Field(None, ge=1, description="nodes that the tasks are spread over")


class JobSpec(Config):
    """An array of commands. Words are lists from here to execve: no shell reads them."""

    name: str = Field(description="name in the queue and of the job folder")
    backend: Literal["local", "slurm"] = Field("local", description="where elements run")
    log: str = Field(description="absolute path of the log; JOB stands for the element")
    cwd: str = Field(description="absolute path of the folder where the commands run")
    command: list[str] | None = Field(None, description="words of the command; JOB stands for the element")
    commands: list[list[list[str]]] | None = Field(
        None, description="instead: for each element the commands that it runs one after the other"
    )
    num_elements: int = Field(1, ge=1, description="elements, counted from 1")
    resources: Resources = Field(Resources(), description="of one element")
    max_run: int | None = Field(None, ge=1, description="elements at once")
    retries: int = Field(0, ge=0, description="further tries of a failed element")
    resumable: bool = Field(False, description="an element that is ended goes on when it is started again")
    env: dict[str, str] = Field({}, description="variables of the commands")
    notice_seconds: int = Field(120, ge=1, description="time between the notice (USR1) and the time limit")
    stage: str = Field("", description="stage of the recipe that started it")
    commit: str | None = Field(None, description="commit of the checkout that started it")

    @model_validator(mode="after")
    def _check(self) -> JobSpec:
        if (self.command is None) == (self.commands is None):
            raise ValueError("exactly one of command and commands is given")
        if not (self.command or self.commands) or not all(words for many in self.commands or [] for words in many):
            raise ValueError("a command has no words")
        if self.commands is not None and len(self.commands) != self.num_elements:
            raise ValueError(f"{len(self.commands)} lists of commands for {self.num_elements} elements")
        if self.num_elements > 1 and of_element(self.log, 1) == self.log:
            raise ValueError(f"all {self.num_elements} elements would write the log `{self.log}`: write JOB into it")
        if self.num_elements > 1 and self.command and all(of_element(w, 1) == w for w in self.command):
            raise ValueError(f"all {self.num_elements} elements would do the same: write JOB into the command")
        return self

    def commands_of(self, element: int) -> list[list[str]]:
        """The commands of an element, each a list of words."""
        if self.commands is not None:
            return self.commands[element - 1]
        return [[of_element(word, element) for word in self.command or []]]

    def log_of(self, element: int) -> Path:
        """The log file of an element."""
        return Path(of_element(self.log, element))


class SiteOptions(Config):
    """How this cluster is asked for a resource: words of sbatch in which {} is the amount."""

    mem: list[str] = Field(["--mem={}"], description="memory")
    threads: list[str] = Field(["--cpus-per-task={}"], description="cores")
    gpus: list[str] = Field(["--gres=gpu:{}"], description="GPUs")
    time: list[str] = Field(["--time={}"], description="time limit")
    tasks: list[str] = Field(["--ntasks={}"], description="tasks of a training")
    nodes: list[str] = Field(["--nodes={}"], description="nodes")


class SiteDefaults(Config):
    """What a job gets that does not say otherwise."""

    partition: str | None = Field(None, description="queue")
    account: str | None = Field(None, description="who pays")
    qos: str | None = Field(None, description="quality of service")
    mem: Memory | None = Field(None, description="memory of an element")
    time: Time | None = Field(None, description="time limit")
    max_run: int | None = Field(None, ge=1, description="elements at once")
    extra: list[str] = Field([], description='further words of sbatch, for example ["--constraint=avx2"]')


class SiteConfig(Config):
    """`conf/slurm.toml`: one cluster in the words of its sbatch."""

    options: SiteOptions = Field(SiteOptions(), description="how resources are asked for")
    defaults: SiteDefaults = Field(SiteDefaults(), description="of every job")
    jobs: dict[str, SiteDefaults] = Field({}, description="of the jobs whose name matches the pattern; * is anything")
    setup: list[list[str]] = Field([], description='commands run before, as words: [["module", "load", "cuda"]]')
    launch: list[str] = Field([], description='words before the element, for example ["apptainer", "exec", "x.sif"]')
    python: str | None = Field(None, description="the interpreter that has speechkit; unless given, the running one")
    env: dict[str, str] = Field({}, description="variables of the commands")
    notice_seconds: int = Field(120, ge=1, description="time between the notice (USR1) and the time limit")
    lost_after_seconds: float = Field(
        60.0, gt=0, description="wait so long for a status file that the file server may hold back"
    )
    pending_after_seconds: float = Field(
        30.0, ge=0, description="cancel what can never start after so long; tell what waits"
    )

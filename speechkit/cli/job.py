"""`speechkit job`: a command once or n times, here or under Slurm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Json
from speechkit.jobs.config import Pick

app = typer.Typer(name="job", help="Commands as arrays, here or under Slurm.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Job folder, LOG/../jobs/NAME.")]


@app.command()
def run(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND...", help="Words of the command; JOB stands for the element."),
    ] = None,
    cmd: Annotated[
        str, typer.Option("--cmd", envvar="SPEECHKIT_CMD", help="local, slurm, or slurm:FILE with a site file.")
    ] = "local",
    num_jobs: Annotated[int, typer.Option("--nj", min=1, help="Elements; JOB runs from 1 to this.")] = 1,
    max_run: Annotated[int | None, typer.Option("--max-run", min=1, help="Elements at once.")] = None,
    mem: Annotated[str | None, typer.Option("--mem", help="Memory of an element, for example 4G.")] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Cores of a task.")] = 1,
    gpus: Annotated[int, typer.Option("--gpu", min=0, help="GPUs of a node.")] = 0,
    time: Annotated[
        str | None, typer.Option("--time", help="Time limit as Slurm reads it: minutes, H:M:S or D-H:M:S.")
    ] = None,
    tasks: Annotated[int, typer.Option("--tasks", min=1, help="Processes of an element that train together.")] = 1,
    nodes: Annotated[int | None, typer.Option("--nodes", min=1, help="Nodes that the tasks are spread over.")] = None,
    resumable: Annotated[
        bool, typer.Option("--resumable", help="Start an element again that was preempted or checkpointed itself.")
    ] = False,
    retries: Annotated[int, typer.Option("--retries", min=0, help="Further tries of each failed element.")] = 0,
    pick: Annotated[Pick, typer.Option("--pick", help="Elements to run: those not done, those that failed, all.")] = (
        "incomplete"
    ),
    log: Annotated[
        str | None, typer.Option("--log", help="Log file with JOB in its name; else log/ beside --out of the command.")
    ] = None,
    commands: Annotated[
        Path | None,
        typer.Option("--commands", metavar="FILE", help="Instead: a line per element, a JSON list of lists of words."),
    ] = None,
    sbatch: Annotated[
        list[str], typer.Option("--sbatch", metavar="WORD", help="A further word for sbatch; repeatable.")
    ] = [],  # noqa: B006 - typer reads the default, nobody changes it
) -> None:
    """Run a command once per element and wait; elements that are done already are left out.

    Example: speechkit job run --cmd slurm --nj 8 --log exp/log/decode.JOB.log -- speechkit decode data/test
    --shard JOB/8 --exp exp/ctc --out exp/decode
    """
    resources = {"mem": mem, "threads": threads, "gpus": gpus, "time": time, "tasks": tasks, "nodes": nodes}
    from speechkit.jobs.intake import Request, make_spec
    from speechkit.jobs.run import run_job

    request = Request(
        cmd=cmd, num_elements=num_jobs, command=list(command or []), commands_file=commands, log=log,
        resources=resources, max_run=max_run, retries=retries, resumable=resumable,
    )  # fmt: skip
    spec, site = make_spec(request)
    run_job(spec, site=site, pick=pick, extra=sbatch)


@app.command()
def status(
    root: Annotated[Path, typer.Argument(metavar="DIR", help="A job folder, or a folder with jobs below.")] = Path("."),
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds until all have ended.")] = (
        False
    ),
    json_file: Json = None,
) -> None:
    """Show jobs: elements done, failed, running and waiting, with host, time, memory and the end of the log."""
    from speechkit.artifact import write_json
    from speechkit.jobs.table import find_jobs, job_row, rows_as_json, table_lines

    if watch:
        from speechkit.jobs.live import watch_jobs

        rows = watch_jobs(root)
    else:
        rows = [job_row(folder) for folder in find_jobs(root)]
        print("\n".join(table_lines(rows, root)))
    if json_file is not None:
        write_json(json_file, rows_as_json(rows))


@app.command()
def attach(folder: Folder) -> None:
    """Wait again for a job that was started earlier, as `job run` does; Ctrl-C ends the job."""
    from speechkit.jobs.run import attach as attach_to

    attach_to(folder)


@app.command()
def cancel(folder: Folder) -> None:
    """End all elements of a job and wait until none runs."""
    from speechkit.jobs.run import JobHandle

    JobHandle.load(folder).cancel()


@app.command("exec")
def execute(
    folder: Folder, element: Annotated[int, typer.Argument(min=1, help="Number of the element, from 1.")]
) -> None:
    """Make one attempt at one element here and now, as the job does, with its log and status file."""
    from speechkit.errors import SpeechkitError
    from speechkit.jobs.folder import JobFolder
    from speechkit.jobs.wait import how, tail_of
    from speechkit.jobs.worker import run_element

    result = run_element(folder.absolute(), element)
    spec = JobFolder(folder).load_spec()
    if result.state != "done":
        tail = tail_of(spec, element, 6)
        raise SpeechkitError(f"element {element} of `{spec.name}`: {result.state}, {how(result)}", where=tail)
    print(spec.log_of(element))

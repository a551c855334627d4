"""The recipe that `speechkit recipe new` writes, from a table to RESULTS.md, on a few real recordings."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from speechkit.recipes import new_recipe


def write_table(source: Path, table: Path) -> None:
    """A small corpus with absolute paths: 8 training, 2 dev and 2 test takes of three digits by two speakers."""
    with (source / "manifest.tsv").open(encoding="utf-8", newline="") as stream:
        rows = [r for r in csv.DictReader(stream, delimiter="\t") if int(r["digit"]) < 3 and int(r["take"]) < 12]
    rows = [r for r in rows if r["speaker"] in ("george", "jackson")]
    table.parent.mkdir(parents=True)
    with table.open("w", encoding="utf-8") as stream:
        stream.write("path\tid\tspeaker\ttext\tsplit\n")
        for row in rows:
            split = {0: "test", 1: "test", 2: "dev", 3: "dev"}.get(int(row["take"]), "train")
            fields = [str(source / row["path"]), row["id"], row["speaker"], row["text"], split]
            stream.write("\t".join(fields) + "\n")


@pytest.mark.slow
def test_the_new_recipe_runs_from_a_table_to_results(
    corpus_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = corpus_root / "fsdd"
    if not (source / "manifest.tsv").is_file():
        pytest.skip("no fsdd/manifest.tsv among the real corpora")
    monkeypatch.chdir(tmp_path)
    recipe = new_recipe("mine")
    write_table(source.resolve(), recipe / "data" / "raw.tsv")
    conf = recipe / "conf" / "ctc.yaml"
    conf.write_text(conf.read_text().replace("num_steps: 2000", "num_steps: 4").replace("16000", "8000"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [str(recipe / "run.sh"), *args]
        return subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)

    refused = run()
    assert refused.returncode == 3 and "leak-speaker: a speaker is in two sets" in refused.stderr
    assert not (recipe / "exp").exists()
    first = run("--share", "speaker,text")
    assert first.returncode == 0, first.stderr
    scores = json.loads((recipe / "exp" / "wer.json").read_text())
    assert scores["num_ref_words"] == 12
    results = (recipe / "RESULTS.md").read_text()
    assert "WER" in results.upper()
    assert (recipe / "exp" / "report.html").stat().st_size > 1000
    again = run("--share", "speaker,text")
    assert again.returncode == 0, again.stderr
    made = ["data/train", "data/dev", "data/test", "exp/jobs/1-training", "exp/jobs/2-decoding"]
    assert [line for line in again.stdout.splitlines() if line.startswith("up to date")] == [
        f"up to date: {out}" for out in made
    ]
    assert (recipe / "RESULTS.md").read_text() == results

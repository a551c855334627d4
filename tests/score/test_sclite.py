"""Every input of NIST's own tests under every option, against the sclite that is installed."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from nist_tools import nist_tool

from speechkit.score.config import WerConfig
from speechkit.score.normalize import Normalizer
from speechkit.score.run import score_files

OPTIONS = {
    "words": ([], {}),
    "fragments": (["-F"], {"fragments": True}),
    "optional": (["-D"], {"optional": True}),
    "both": (["-F", "-D"], {"fragments": True, "optional": True}),
    "characters": (["-c"], {"unit": "char"}),
    "optional characters": (["-c", "-D"], {"unit": "char", "optional": True}),
    "mixed": (["-c", "NOASCII"], {"unit": "mixed"}),
}
UTF8 = ["-e", "utf-8"]
# reference, hypothesis, encoding
TRANSCRIPTS = {
    "tests": ("tests.ref", "tests.hyp", []),
    "reversed": ("tests.hyp", "tests.ref", []),
    "utf8": ("tests.ref.utf8-3bytes", "tests.hyp.utf8-3bytes", UTF8),
    "turkish": ("test.turkish.ref", "test.turkish.hyp", [*UTF8, "babel_turkish"]),
    "vietnamese": ("test.vietnamese.ref.trn", "test.vietnamese.hyp.trn", [*UTF8, "babel_vietnamese"]),
    "ukrainian": ("test.ukranian.ref", "test.ukranian.hyp", [*UTF8, "ukrainian"]),
}
SEGMENTS = {
    "lvc": ("lvc_ref.stm", "lvc_hyp.ctm", []),
    "reduced": ("lvc_refr.stm", "lvc_hypr.ctm", []),
    "few files": ("lvc_refm.stm", "lvc_hypm.ctm", []),
    "expanded": ("lvc_refe.stm", "lvc_hyp.ctm", []),
    "missing": ("stm2ctm_missing.ref.stm", "stm2ctm_missing.hyp.ctm", []),
    "cantonese": ("test.cantonese.stm", "test.cantonese.ctm", UTF8),
}


def counts_of_sclite(folder: Path, arguments: list[str]) -> dict[str, list[str]]:
    command = [nist_tool("sclite"), *arguments, "-o", "pralign", "stdout"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    report = done.stdout.decode(errors="replace")
    if "localization failed" in report + done.stderr.decode(errors="replace"):
        pytest.skip("this sclite does not know how to make the letters of this language small")
    assert done.returncode == 0, done.stderr
    found = defaultdict(list)
    for name, counts in re.findall(r"id: \((.*?)\)\n(?:[A-Z].*\n)*?Scores: \(#C #S #D #I\) (.*)\n", report):
        found[name.lower()].append(counts.strip())
    return dict(found)


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", [*TRANSCRIPTS, *SEGMENTS])
def test_every_utterance_has_sclites_counts(corpus_root: Path, name: str, option: str) -> None:
    folder = corpus_root / "scoring" / "sctk"
    flags, values = OPTIONS[option]
    ref, hyp, encoding = {**TRANSCRIPTS, **SEGMENTS}[name]
    kinds = ("trn", "trn") if name in TRANSCRIPTS else ("stm", "ctm")
    files = ["-r", ref, kinds[0], "-h", hyp, kinds[1], *(["-i", "spu_id"] if name in TRANSCRIPTS else [])]
    expected = counts_of_sclite(folder, [*encoding, *files, *flags])
    case = "unicode" if encoding else "ascii"
    config = WerConfig(
        ties="sclite", missing="delete", markup="nist", ref_format=kinds[0], hyp_format=kinds[1], case=case, **values
    )
    scored = score_files(folder / ref, folder / hyp, config, Normalizer(case=case))
    found = defaultdict(list)
    for utt, (sub, dele, ins, num_ref, _) in zip(scored.ids, scored.words.tolist(), strict=True):
        found[utt.lower()].append(f"{num_ref - sub - dele} {sub} {dele} {ins}")
    assert expected and dict(found) == expected

"""Cells of a noise grid: what `audit eval` measured at one kind and rate of noise, and what that noise was.

K = P(given word | said word) is counted from the texts of the
judged cuts; its margin is the mean over said words of K[w, w] minus the largest other entry of the row, below 0 where
the likeliest given word is a wrong one; its second eigenvalue is the second largest by modulus.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from speechkit.audit.config_curve import CurveConfig
from speechkit.audit.config_truth import InjectConfig
from speechkit.audit.metrics import Floats
from speechkit.audit.score_file import SCORES_FILE
from speechkit.audit.truth import Truth, read_truth
from speechkit.audit.vocabulary import Vocabulary
from speechkit.config import load_config
from speechkit.data.store import CUTS_FILE, load_cuts, text_of
from speechkit.data.stream import stream_rows
from speechkit.errors import ConfigError, SpeechkitError, counted
from speechkit.fingerprint import RUN_FILE
from speechkit.kernels.edit import DEL, INS, align_words

Pairs = Counter[tuple[str, str]]
_CONFIG_FILE = "config.yaml"


@dataclass(frozen=True)
class Cell:
    """One measurement.

    asked: the rate of the injection.  rate: share of the judged words that are wrong.  auroc_ci, auroc_sd: interval of
    the AUROC over utterances, and the standard deviation that it stands for.  wer_said, wer_given: errors of the
    hypotheses in percent against what was said and against the given texts, None for an audit without hypotheses.
    pairs: how often a word (said, given) was given.  has_list: confusions were listed by hand.
    """

    path: str
    group: str
    family: str
    asked: float
    rate: float
    seed: int
    auroc: float
    auroc_ci: tuple[float, float] | None
    auroc_sd: float
    ap: float
    wer_said: float | None
    wer_given: float | None
    pairs: Pairs = field(repr=False)
    has_list: bool = False

    @property
    def confusions(self) -> Floats:
        """K: (V, V), row: the word that was said, column: the word that was given, of those that were ever said."""
        words = sorted({pair[0] for pair in self.pairs})
        place = {word: number for number, word in enumerate(words)}
        table, totals = np.zeros((len(words), len(words))), np.zeros((len(words), 1))
        for (true, given), number in self.pairs.items():
            totals[place[true]] += number
            if given in place:
                table[place[true], place[given]] += number
        return np.asarray(table / totals, np.float64)

    @property
    def margin(self) -> float:
        """Mean diagonal-dominance margin of K."""
        table = self.confusions
        own = np.diag(table).copy()
        np.fill_diagonal(table, 0.0)
        return float(np.mean(own - table.max(axis=1)))

    @property
    def second_eigenvalue(self) -> float:
        """The second largest modulus of the eigenvalues of K; 0 for a vocabulary of one word."""
        sizes = np.sort(np.abs(np.linalg.eigvals(self.confusions)))
        return float(sizes[-2]) if len(sizes) > 1 else 0.0


def read_cells(paths: Sequence[Path], config: CurveConfig) -> list[Cell]:
    """The cells behind files of `audit eval --json`, in the order of the paths.

    Raises:
        ConfigError: `group` does not match a path; SpeechkitError: a file is none of `audit eval`, or the folder of
            its truth is none of `audit inject`.
    """
    names = [_group_of(path, config.group) for path in paths]
    unmatched = [str(path) for path, name in zip(paths, names, strict=True) if name is None]
    if unmatched:
        raise ConfigError(f"`--group {config.group}` does not match {counted(len(unmatched), 'file')}", where=unmatched)
    return [_read_cell(path, name or "", config) for path, name in zip(paths, names, strict=True)]


def _group_of(path: Path, pattern: str) -> str | None:
    if not pattern:
        return ""
    match = re.search(pattern, str(path))
    return match[1] if match else None


def read_evaluation(path: Path) -> dict[str, Any]:
    """The content of a file of `audit eval --json`.

    Raises:
        SpeechkitError: missing, or of another form.
    """
    expected = "a file of `speechkit audit eval --json`"
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpeechkitError(f"`{path}` cannot be read: {error.strerror}", expected=expected) from None
    except ValueError:
        result = None
    if not isinstance(result, dict) or not isinstance(result.get("words"), dict) or "truth" not in result:
        raise SpeechkitError(f"`{path}` holds no measures of words", expected=expected)
    return result


def _read_cell(path: Path, group: str, config: CurveConfig) -> Cell:
    result = read_evaluation(path)
    rows = result["words"].get("all", {}).get("scores", {})
    if config.score not in rows or rows[config.score].get("auroc") is None:
        raise SpeechkitError(
            f"`{path}` has no AUROC of the word score `{config.score}`",
            expected=f"one of {', '.join(rows)}" if rows else "an evaluation with wrong words and right ones",
        )
    row, folder = rows[config.score], _folder_of(Path(result["truth"]), path)
    noise = load_config(InjectConfig, folder / _CONFIG_FILE)
    truth = read_truth(folder)
    given = {cut.id: text_of(cut).split() for cut in load_cuts(folder / CUTS_FILE)}
    said = {utt_id: truth[utt_id].before.split() if utt_id in truth else words for utt_id, words in given.items()}
    wrong = sum(len(fault.wrong_words) for fault in truth.values())
    interval = (row.get("ci") or {}).get("auroc")
    heard = _hypotheses(Path(result["judged"]))
    return Cell(
        path=str(path),
        group=group,
        family="+".join(noise.weights),
        asked=noise.rate,
        rate=wrong / max(1, sum(map(len, given.values()))),
        seed=noise.seed,
        auroc=float(row["auroc"]),
        auroc_ci=(float(interval[0]), float(interval[1])) if interval else None,
        auroc_sd=(interval[1] - interval[0]) / _widths(result["ci"]["level"]) if interval else 0.0,
        ap=float(row["ap"]),
        wer_said=_wer(said, heard),
        wer_given=_wer(given, heard),
        pairs=count_pairs((said[utt_id], words, truth.get(utt_id)) for utt_id, words in given.items()),
        has_list="confusions" in _inputs(folder),
    )


def _widths(level: float) -> float:
    """Standard deviations in an interval of this level."""
    return 2 * NormalDist().inv_cdf((1 + level) / 2)


def _folder_of(truth: Path, source: Path) -> Path:
    folder = truth if truth.is_dir() else truth.parent
    missing = [name for name in (_CONFIG_FILE, CUTS_FILE) if not (folder / name).is_file()]
    if missing:
        raise SpeechkitError(
            f"the truth of `{source}` is not where it says: `{folder}` has no {' and no '.join(missing)}",
            expected="the folder of `speechkit audit inject`, seen from the current folder",
        )
    return folder


def _inputs(folder: Path) -> dict[str, Any]:
    """What an artifact was made from; nothing where that is not known."""
    path = folder / RUN_FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))["inputs"]) if path.is_file() else {}


def _hypotheses(judged: Path) -> dict[str, list[str]]:
    path = judged / SCORES_FILE if judged.is_dir() else judged
    if path.name != SCORES_FILE or not path.is_file():
        return {}
    return {row["id"]: str(row.get("hypothesis") or "").split() for _, row in stream_rows(path)}


def _wer(texts: Mapping[str, Sequence[str]], heard: Mapping[str, Sequence[str]]) -> float | None:
    ids = [utt_id for utt_id in texts if utt_id in heard]
    num_words = sum(len(texts[utt_id]) for utt_id in ids)
    if not num_words:
        return None
    counts = align_words([texts[i] for i in ids], [heard[i] for i in ids]).counts
    return 100.0 * float(counts.sum()) / num_words


def count_pairs(texts: Iterable[tuple[Sequence[str], Sequence[str], Truth | None]]) -> Pairs:
    """How often each word was given for each said one; missing and added words are not counted.

    Texts of equal length without a gap are taken word by word: an alignment would find words that are not each other's.
    """
    pairs: Pairs = Counter()
    for said, given, fault in texts:
        if fault is None or (len(said) == len(given) and not fault.wrong_gaps):
            pairs.update(zip(said, given, strict=True))
            continue
        ref, hyp = iter(said), iter(given)
        for op in align_words([said], [given]).ops_of(0).tolist():
            if op == DEL:
                next(ref)
            elif op == INS:
                next(hyp)
            else:
                pairs[next(ref), next(hyp)] += 1
    return pairs


def predicted_flip(family: str, cells: Sequence[Cell]) -> float:
    """The rate from which a wrong word is likelier to be given than the said one: 1 / (1 + max p), mean over words.

    p is what a wrong word is: even over all words for `sub`, over the neighbours for `confusable`, one word for
    `pairflip`; for others, and where confusions were listed, as counted over all cells of a seed.
    """
    words = sorted({pair[0] for cell in cells for pair in cell.pairs})
    if family == "sub":
        return (len(words) - 1) / len(words)
    if family == "pairflip":
        return 0.5
    if family == "confusable" and not any(cell.has_list for cell in cells):
        vocabulary = Vocabulary.of_texts([words])
        return float(np.mean([1.0 / (1.0 + 1.0 / len(vocabulary.neighbours(word))) for word in words]))
    flips: list[float] = []
    by_seed: dict[int, Pairs] = defaultdict(Counter)
    for cell in cells:
        by_seed[cell.seed].update(cell.pairs)
    for pairs in by_seed.values():
        wrong: dict[str, Counter[str]] = defaultdict(Counter)
        for (true, given), number in pairs.items():
            if true != given:
                wrong[true][given] += number
        flips += [1.0 / (1.0 + max(others.values()) / others.total()) for others in wrong.values()]
    return float(np.mean(flips)) if flips else 1.0

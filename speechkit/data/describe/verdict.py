"""One plain line on what the texts of a corpus, or their overlap with another, will do to a model."""

from __future__ import annotations

from dataclasses import dataclass

from speechkit.errors import counted
from speechkit.text.diversity import Diversity, Overlap

FEW, REPEATED = 0.1, 0.5  # effective texts per utterance below which a corpus has few texts, or repeats them
MIN_JUDGED = 100  # utterances; fewer may all differ by chance
MEMORY = 0.5  # share of test utterances with a known text above which a test measures memory
UNSEEN_PAIRS = 0.3  # share of unseen word pairs above which word orders are new to a model
UNKNOWN_WORDS = 0.02
_SPLIT = "split by text (`speechkit data split --by speaker,text`)"
_PASTE = "train with cut-and-paste (`speechkit cutpaste`)"


@dataclass(frozen=True)
class Verdict:
    """kind: a word for machines; line: a sentence for people."""

    kind: str
    line: str


def judge_texts(found: Diversity, num_speakers: int) -> Verdict:
    """What a model will make of a set of texts.

    Kinds: no-text, single-words, few-texts, too-few (utterances for a verdict), repeated-texts, diverse.
    """
    number = found.num_utterances
    utterances = counted(number, "utterance")
    who = f" by {counted(num_speakers, 'speaker')}" if num_speakers else ""
    if not found.num_words:
        return Verdict("no-text", "no transcripts: nothing can be said about texts")
    each = f"{number / found.num_texts:.0f} utterances of each"
    if found.num_words == number and found.num_texts < FEW * number:
        words = counted(found.num_types, "isolated word")
        advice = "a closed vocabulary; split by speaker, and join words for connected speech"
        return Verdict("single-words", f"{words}{who}, {each}: {advice}")
    texts = counted(found.num_texts, "text")
    ratio = found.effective_texts / number
    if ratio < FEW:
        said = f"{texts}{who}, {each}"
        if found.effective_texts < FEW * found.num_texts:
            said += f", as diverse as {found.effective_texts:.0f} equally frequent ones"
        return Verdict("few-texts", f"{said}: a model will recite these; {_SPLIT}, {_PASTE}")
    if number < MIN_JUDGED:
        return Verdict("too-few", f"{texts} in {utterances}{who}: too few to tell diversity, which takes {MIN_JUDGED}")
    if ratio < REPEATED:
        return Verdict(
            "repeated-texts",
            f"{texts} in {utterances}{who}: many are said again, and a model scores better on those; {_SPLIT}",
        )
    return Verdict("diverse", f"{texts} in {utterances}{who}: diverse; check other sets for overlap (`--against`)")


def judge_overlap(found: Overlap, num_shared_speakers: int) -> Verdict:
    """What a set tells about a model that was trained on the other one.

    Kinds: memory, some-overlap, new-words, new-orders, apart; shared speakers are named in each.
    """
    speakers = f"; {counted(num_shared_speakers, 'speaker')} in common" if num_shared_speakers else ""
    share = max(found.utterance_share, found.prompt_utterance_share)
    if share >= MEMORY:
        line = f"{share:.0%} of its utterances say a text of the first set: its error rate measures memory; {_SPLIT}"
        return Verdict("memory", line + speakers)
    if share > 0:
        line = f"{_percent(share)} of its utterances say a text of the first set: report seen and unseen texts apart"
        return Verdict("some-overlap", f"{line} (`speechkit score wer --train-text`){speakers}")
    if found.oov_rate > UNKNOWN_WORDS:
        line = f"no text in common; {_percent(found.oov_rate)} of its words never occur in the first set"
        return Verdict("new-words", line + speakers)
    if found.unseen_bigram_rate > UNSEEN_PAIRS:
        line = f"no text in common; {found.unseen_bigram_rate:.0%} of its word pairs never occur in the first set"
        return Verdict("new-orders", f"{line}: a model of few texts stumbles over them; {_PASTE}{speakers}")
    return Verdict(
        "apart", f"no text in common, {_percent(1 - found.unseen_bigram_rate)} of its word pairs known{speakers}"
    )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "fewer than 0.1%"

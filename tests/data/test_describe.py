"""What a manifest holds, what others share with it, and the verdicts."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechkit.data.describe.run import describe, page
from speechkit.data.describe.tables import as_terminal
from speechkit.data.describe.verdict import judge_overlap, judge_texts
from speechkit.errors import SpeechkitError
from speechkit.text.counts import count_texts
from speechkit.text.diversity import diversity, overlap


def row(number: int, text: str | None, speaker: str | None = "ann", **fields: Any) -> dict[str, Any]:
    """A cut as manifests store it; only what is described."""
    utt_id = f"u{number:03d}"
    seconds = fields.pop("seconds", 1.0)
    supervision = {
        "id": utt_id,
        "text": text,
        "speaker": speaker,
        "gender": fields.pop("gender", None),
        "custom": fields,
    }
    return {
        "id": utt_id,
        "start": 0,
        "duration": seconds,
        "supervisions": [{k: v for k, v in supervision.items() if v is not None}],
        "recording": {"id": utt_id, "sampling_rate": 16000},
        "type": "MonoCut",
    }


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(gzip.compress(b"".join(orjson.dumps(r) + b"\n" for r in rows)))
    return path


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """Two sentences by twelve speakers, and one utterance with neither text nor speaker."""
    rows = [
        row(
            2 * k + j,
            text,
            f"s{k:02d}",
            gender="fm"[k % 2],
            room="a" if k < 3 else "b",
            seconds=1.0 + j,
            take=str(2 * k + j),
        )
        for k in range(12)
        for j, text in enumerate(["the red dog", "a cat sleeps"])
    ]
    return write(tmp_path / "train.jsonl.gz", [*rows, row(99, None, None, seconds=3.5)])


def test_durations_speakers_and_fields_are_counted(train: Path) -> None:
    found = describe(train)
    assert (found["num_utterances"], found["hours"]) == (25, round(39.5 / 3600, 6))
    assert found["durations"]["min_seconds"] == 1.0
    assert found["durations"]["max_seconds"] == 3.5
    assert found["durations"]["mean_seconds"] == round(39.5 / 25, 6)
    assert found["durations"]["percentile_seconds"]["50"] == 2.0
    assert sum(found["durations"]["histogram"]["counts"]) == 25
    speakers = found["speakers"]
    assert (speakers["num"], speakers["num_without_speaker"], speakers["effective"]) == (12, 1, pytest.approx(12))
    assert speakers["list"][0] == {"speaker": "s00", "num_utterances": 2, "hours": round(3 / 3600, 6)}
    assert found["fields"]["gender"]["num_without_value"] == 1
    assert found["fields"]["room"]["values"] == [
        {"value": "b", "num_utterances": 18, "hours": round(27 / 3600, 6)},
        {"value": "a", "num_utterances": 6, "hours": round(9 / 3600, 6)},
    ]
    assert found["fields"]["sampling_rate"]["values"][0]["value"] == "16000"
    assert found["fields"]["take"] == {
        "num_without_value": 1,
        "num_values": 24,
        "range": None,
        "values": None,
    }


def test_texts_are_measured_and_judged(train: Path) -> None:
    found = describe(train)
    texts = found["texts"]
    assert (texts["num_texts"], texts["num_utterances"], texts["num_without_text"]) == (2, 24, 1)
    assert (texts["effective_texts"], texts["simpson_texts"], texts["speakers_per_text"]) == (2, 2, 12)
    assert texts["most_frequent"][0] == {"text": "the red dog", "num_utterances": 12}
    assert texts["junctions"] == {"types": 4, "possible": 36, "coverage": round(4 / 36, 6)}
    assert found["verdict"]["kind"] == "few-texts"
    assert found["verdict"]["line"].startswith(
        "2 texts by 12 speakers, 12 utterances of each: a model will recite these"
    )


def test_other_sets_are_compared(train: Path, tmp_path: Path) -> None:
    rows = [
        row(1, "the red dog", "s00"),
        row(2, "The RED dog.", "zoe"),
        row(3, "the cat sleeps", "zoe"),
        row(4, "an owl", "zoe"),
    ]
    found = describe(train, against=[write(tmp_path / "test.jsonl.gz", rows)])["against"][0]
    assert (found["num_utterances"], found["num_texts"], found["num_speakers"]) == (4, 4, 2)
    assert (found["shared_texts"], found["utterance_share"], found["own_utterance_share"]) == (1, 0.25, 0.5)
    assert (found["shared_prompts"], found["prompt_utterance_share"]) == (1, 0.5)
    assert (found["shared_speakers"], found["shared_speaker_ids"]) == (1, ["s00"])
    assert found["oov_rate"] == round(5 / 11, 6)
    assert [n["order"] for n in found["ngrams"]] == [1, 2, 3, 4]
    assert found["examples"] == ["the red dog"]
    assert found["verdict"]["kind"] == "memory"


def test_a_set_against_itself_is_all_memory(train: Path) -> None:
    (found,) = describe(train, against=[train])["against"]
    assert (found["utterance_share"], found["oov_rate"], found["unseen_bigram_rate"]) == (1.0, 0.0, 0.0)
    assert (found["junction_coverage"], found["shared_speakers"]) == (1.0, 12)


@pytest.mark.parametrize(
    "texts, speakers, kind, said",
    [
        ([f"say {k} now" for k in range(20)] * 24, 24, "few-texts", "20 texts by 24 speakers, 24 utterances of each"),
        (["yes", "no"] * 30, 5, "single-words", "2 isolated words by 5 speakers"),
        ([f"all {k}" for k in range(590)], 3, "diverse", "590 texts in 590 utterances by 3 speakers: diverse"),
        ([f"all {k}" for k in range(100)] * 4, 0, "repeated-texts", "100 texts in 400 utterances: many are said again"),
        (
            ["hello there"] * 900 + [f"all {k}" for k in range(100)],
            1,
            "few-texts",
            "as diverse as 2 equally frequent ones",
        ),
        ([], 0, "no-text", "no transcripts"),
        (["a b"], 1, "too-few", "1 text in 1 utterance by 1 speaker: too few to tell diversity"),
        ([f"all {k}" for k in range(99)], 0, "too-few", "99 texts in 99 utterances: too few"),
        (["say it"] * 99, 0, "few-texts", "1 text, 99 utterances of each"),
    ],
)
def test_texts_get_a_plain_verdict(texts: list[str], speakers: int, kind: str, said: str) -> None:
    verdict = judge_texts(diversity(count_texts(texts)), speakers)
    assert verdict.kind == kind
    assert said in verdict.line


@pytest.mark.parametrize(
    "own, other, kind, said",
    [
        (["a b"], ["a b", "b a"], "memory", "50% of its utterances say a text of the first set"),
        (["a b", "c d"], ["a b"] + ["b c"] * 9, "some-overlap", "10% of its utterances"),
        (["a b c"], ["a b x"], "new-words", "33% of its words never occur"),
        (["a b c"], ["c b a"], "new-orders", "100% of its word pairs never occur"),
        (["a b c a b c"], ["b c a b"], "apart", "no text in common, 100% of its word pairs known"),
    ],
)
def test_overlap_gets_a_plain_verdict(own: list[str], other: list[str], kind: str, said: str) -> None:
    first = count_texts(own)
    verdict = judge_overlap(overlap(first, count_texts(other, first.vocabulary)), 2)
    assert verdict.kind == kind
    assert said in verdict.line
    assert verdict.line.endswith("; 2 speakers in common")


def test_a_lexicon_gives_word_boundaries_by_phone(train: Path, tmp_path: Path) -> None:
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("the DH AH\nred R EH D\ndog D AO G\na AH\ncat K AE T\nsleeps S L IY P S\nthe DH IY\n\n")
    found = describe(train, lexicon=lexicon)["texts"]["junctions"]
    assert (found["types"], found["possible"]) == (4, 30)  # AH-R D-D AH-K T-S; 6 first and 5 last phones
    lexicon.write_text("the DH AH\ndog\n")
    with pytest.raises(SpeechkitError) as caught:
        describe(train, lexicon=lexicon)
    assert caught.value.where == [f"{lexicon}:2  dog  no phones"]
    lexicon.write_text("the DH AH\n")
    with pytest.raises(SpeechkitError, match="lacks 5 of 6 words"):
        describe(train, lexicon=lexicon)


@given(
    items=st.lists(
        st.tuples(st.sampled_from(["a b", "b", None]), st.sampled_from(["x", "y", None]), st.floats(0.01, 100)),
        min_size=1,
        max_size=20,
    )
)
def test_the_parts_add_up(
    items: list[tuple[str | None, str | None, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row(k, t, s, seconds=d)) + b"\n" for k, (t, s, d) in enumerate(items)))
    found = describe(path, against=[path])
    assert found["num_utterances"] == len(items)
    assert found["hours"] == pytest.approx(sum(d for _, _, d in items) / 3600, abs=1e-6)
    assert found["texts"]["num_utterances"] + found["texts"]["num_without_text"] == len(items)
    assert sum(s["num_utterances"] for s in found["speakers"]["list"]) + found["speakers"][
        "num_without_speaker"
    ] == len(items)
    assert json.loads(json.dumps(found)) == found
    assert found["verdict"]["line"] in as_terminal(found)


def test_cuts_of_several_supervisions_are_not_passed_over_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("speechkit.data.describe.collect.warn", told.append)
    double = row(0, "one")
    double["supervisions"].append({"id": "x", "text": "two", "speaker": "bob"})
    assert describe(write(tmp_path / "a.jsonl.gz", [double, row(1, "one")]))["texts"]["num_texts"] == 1
    assert len(told) == 1 and told[0].startswith("1 cut of") and "only the first of each is described" in told[0]
    describe(write(tmp_path / "b.jsonl.gz", [row(1, "one")]))
    assert len(told) == 1


def test_many_values_of_a_field_are_counted_not_listed(tmp_path: Path) -> None:
    rows = [row(k, "a", "s", path=f"file{k}", half=str(k % 600), level=k % 50 + 0.5) for k in range(1200)]
    found = describe(write(tmp_path / "m.jsonl.gz", rows))["fields"]
    assert found["path"]["num_values"] is None
    assert found["path"]["values"] is None
    assert found["level"]["range"] == [0.5, 49.5]
    assert found["level"]["values"] is None
    assert found["half"]["num_values"] == 600
    assert found["half"]["values"] is not None


def test_the_page_needs_no_network_and_escapes_what_it_shows(tmp_path: Path) -> None:
    rows = [row(k, "<script>alert(1)</script> & co", "<b>", room="<i>") for k in range(3)]
    path = write(tmp_path / "m.jsonl.gz", rows)
    html = page(describe(path, against=[path]))
    assert "<script" not in html
    assert not re.search(r"(?:src|href)=|https?://", html)
    assert "&lt;script&gt;alert(1)" in html
    assert "<svg" in html
    assert "never occur" in html or "measures memory" in html


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "holds no cuts"),
        (b"[1]\n", "not a JSON object"),
        (b'{"id": "a"}\n', "not a lhotse cut: `duration` is None"),
        (b'{"id": "a", "duration": 1e12, "supervisions": []}\n', "`duration` is 1000000000000.0"),
        (b'{"id": "a", "duration": true, "supervisions": []}\n', "`duration` is True"),
        (b'{"id": "a", "duration": 1, "supervisions": [null]}\n', "no list of objects"),
        (b'{"id": "a", "duration": 1, "supervisions": [{"text": 7}]}\n', "`text` or `speaker` is no text"),
        (b'{"id": "a", "duration": 1, "supervisions": [{"custom": [7]}]}\n', "`custom` is no object"),
        (b'{"id": "a", "duration": 1, "supervisions": [], "recording": "r"}\n', "`recording` is no object"),
        (b'{"id": "a", \n', "not valid JSON"),
        (gzip.compress(b"x" * 10000, mtime=0)[:-20], "it is truncated"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "m.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(SpeechkitError, match=problem):
        describe(path)


def test_a_folder_without_cuts_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError) as caught:
        describe(tmp_path)
    assert "data prepare" in str(caught.value.hint)
    write(tmp_path / "test.jsonl.gz", [row(1, "one")])
    with pytest.raises(SpeechkitError) as caught:
        describe(tmp_path)
    assert caught.value.hint == "name one of test.jsonl.gz"


def test_every_key_of_the_result_is_documented(train: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "describe.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([a-z_0-9]+)`", text))

    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return {k for k in value if not k.isdecimal()}.union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    found = describe(train, against=[train])
    found["fields"] = {"any": next(iter(found["fields"].values()))}
    assert keys(found) - {"any"} <= documented

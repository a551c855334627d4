"""Log-probs that are kept for an audit: the same as heard, resumed without a trace, refused when they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
from hearing import char_tokenizer, make_exp, make_log_probs, make_manifest, say

from speechkit.align.config import CtcConfig
from speechkit.align.emissions import emissions
from speechkit.audit import logprobs_run
from speechkit.audit.config_evidence import LogProbsConfig
from speechkit.audit.logprobs import open_log_probs
from speechkit.data.batch import utterances_of
from speechkit.data.store import load_cuts
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.models.table import load_trained

FILES = ("log_probs.npy", "index.jsonl", "left_out.jsonl")
TEXTS = {f"utt-{number}": "one two" for number in range(6)}


@pytest.fixture(scope="module")
def exp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_exp(tmp_path_factory.mktemp("model") / "exp", char_tokenizer())


@pytest.fixture
def cuts(tmp_path: Path) -> Path:
    return make_manifest(tmp_path / "data", TEXTS)


def keep(cuts: Path, exp: Path, out: Path, **options: object) -> dict[str, bytes]:
    num_jobs = int(str(options.pop("num_jobs", 1)))
    logprobs_run.run(LogProbsConfig(**options), cuts=cuts, exp=exp, out=out, num_jobs=num_jobs)
    return {name: (out / name).read_bytes() for name in FILES}


def test_what_is_kept_is_what_the_model_hears(cuts: Path, exp: Path, tmp_path: Path) -> None:
    keep(cuts, exp, tmp_path / "lp")
    trained = load_trained(exp)
    stored = open_log_probs([tmp_path / "lp"])
    assert stored.ids == list(TEXTS)
    for utt in utterances_of(load_cuts(cuts), trained.features):
        heard = emissions(trained, utt, CtcConfig())
        kept = stored.get(utt.utt_id)
        assert kept.log_probs_TV.dtype == np.float32
        np.testing.assert_allclose(kept.log_probs_TV, heard, atol=0.01)
        assert kept.step_seconds == pytest.approx(0.04)
        assert stored.seconds_of(utt.utt_id) == pytest.approx(0.5)
    meta = orjson.loads((tmp_path / "lp" / "meta.json").read_bytes())
    assert (meta["num_utterances"], meta["num_left_out"]) == (6, 0)


def test_a_killed_run_goes_on_and_leaves_no_trace(
    cuts: Path, exp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = keep(cuts, exp, tmp_path / "whole")
    heard: list[str] = []
    real = emissions

    def dying(trained: object, utt: object, config: object) -> np.ndarray:
        if len(heard) == 5:
            raise KeyboardInterrupt
        heard.append(utt.utt_id)  # type: ignore[attr-defined]
        return real(trained, utt, config)  # type: ignore[arg-type]

    monkeypatch.setattr(logprobs_run, "_AHEAD", 1)
    monkeypatch.setattr(logprobs_run, "emissions", dying)
    with pytest.raises(KeyboardInterrupt):
        keep(cuts, exp, tmp_path / "lp")
    partial = tmp_path / "lp.partial"
    for name, junk in (("log_probs.npy", b"half a frame"), ("index.jsonl", b'{"id": "utt-')):
        with (partial / name).open("ab") as stream:
            stream.write(junk)
    again: list[object] = []

    def counting(trained: object, utt: object, config: object) -> np.ndarray:
        again.append(utt)
        return real(trained, utt, config)  # type: ignore[arg-type]

    monkeypatch.setattr(logprobs_run, "emissions", counting)
    assert keep(cuts, exp, tmp_path / "lp") == whole
    assert (heard, len(again)) == ([f"utt-{number}" for number in range(5)], 1)


def test_an_index_ahead_of_its_frames_is_cut_back(
    cuts: Path, exp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = keep(cuts, exp, tmp_path / "whole")
    monkeypatch.setattr(logprobs_run, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        keep(cuts, exp, tmp_path / "lp")
    monkeypatch.undo()
    data = tmp_path / "lp.partial" / "log_probs.npy"
    data.write_bytes(data.read_bytes()[:-1])
    assert keep(cuts, exp, tmp_path / "lp") == whole


def test_any_number_of_workers_gives_the_same_bytes(cuts: Path, exp: Path, tmp_path: Path) -> None:
    assert keep(cuts, exp, tmp_path / "one") == keep(cuts, exp, tmp_path / "two", num_jobs=2)


def test_improbable_tokens_stay_finite(cuts: Path, exp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.full((4, char_tokenizer().num_tokens), -np.inf, np.float32)
    values[:, 0] = 0.0
    monkeypatch.setattr(logprobs_run, "emissions", lambda *_: values)
    keep(cuts, exp, tmp_path / "lp")
    kept = open_log_probs([tmp_path / "lp"]).get("utt-0").log_probs_TV
    assert np.isfinite(kept).all()
    assert kept.min() == -65504.0


def test_unreadable_audio_is_listed_and_left_out_only_on_demand(cuts: Path, exp: Path, tmp_path: Path) -> None:
    (cuts.parent / "audio" / "utt-2.wav").unlink()
    with pytest.raises(SpeechkitError, match=r"1 of 6 utterances can not be heard") as caught:
        keep(cuts, exp, tmp_path / "lp")
    assert caught.value.where[0].startswith("utt-2  ")
    found = keep(cuts, exp, tmp_path / "lp", max_bad="1")
    assert orjson.loads(found["left_out.jsonl"])["id"] == "utt-2"
    assert "utt-2" not in open_log_probs([tmp_path / "lp"])


def test_a_model_that_has_gone_astray_is_no_evidence(
    cuts: Path, exp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logprobs_run, "emissions", lambda *_: np.full((3, 18), np.nan, np.float32))
    with pytest.raises(SpeechkitError, match="can not be heard") as caught:
        keep(cuts, exp, tmp_path / "lp", max_bad="100%")
    assert "not a number" in caught.value.where[0]


def test_wrong_limits_and_folders_are_refused(cuts: Path, exp: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a count nor a share"):
        keep(cuts, exp, tmp_path / "lp", max_bad="some")
    with pytest.raises(SpeechkitError, match="holds no log-probs"):
        open_log_probs([tmp_path])


def test_an_utterance_in_two_folders_is_an_error(tmp_path: Path) -> None:
    tokenizer = char_tokenizer()
    spoken = {"a": say(tokenizer, "one"), "b": say(tokenizer, "two")}
    one = make_log_probs(tmp_path / "one", tokenizer, spoken, seconds=1.0)
    two = make_log_probs(tmp_path / "two", tokenizer, {"b": spoken["b"]}, seconds=1.0)
    with pytest.raises(SpeechkitError, match="1 utterance with log-probs in two places") as caught:
        open_log_probs([one, two])
    assert caught.value.where == [f"b  {one} and {two}"]
    with pytest.raises(SpeechkitError, match="no folder holds log-probs of `c`"):
        open_log_probs([one]).get("c")


def test_parts_know_their_number_and_tokenizer(tmp_path: Path) -> None:
    tokenizer = char_tokenizer()
    folders = [make_log_probs(tmp_path / name, tokenizer, {name: say(tokenizer, "one")}, seconds=1.0) for name in "ab"]
    stored = open_log_probs(folders)
    assert [stored.get(name).part for name in "ab"] == [0, 1]
    assert stored.get("b").hypothesis == "one"
    assert stored.get("b").tokenizer is stored.tokenizers[1]


def test_frames_that_the_index_does_not_explain_are_an_error(tmp_path: Path) -> None:
    tokenizer = char_tokenizer()
    folder = make_log_probs(tmp_path / "lp", tokenizer, {"a": say(tokenizer, "one")}, seconds=1.0)
    np.save(folder / "log_probs.npy", np.zeros((3, 2), np.float16))
    with pytest.raises(SpeechkitError, match=r"holds float16 \(3, 2\)"):
        open_log_probs([folder])


def test_the_command(cuts: Path, exp: Path, tmp_path: Path, run_speechkit: Callable[..., object]) -> None:
    args = ("audit", "logprobs", cuts, "--exp", exp, "--out", tmp_path / "lp")
    first, second = run_speechkit(*args), run_speechkit(*args)
    assert first.stdout == f"{tmp_path / 'lp'}: 6 utterances\n"  # type: ignore[attr-defined]
    assert second.stdout == f"up to date: {tmp_path / 'lp'}\n"  # type: ignore[attr-defined]

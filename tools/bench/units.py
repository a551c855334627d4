"""k-means and encoding against scikit-learn's MiniBatchKMeans: ratios of CPU time on one thread, in one run.

scikit-learn is no dependency: install it elsewhere and put that folder on PYTHONPATH. Both cluster the same frames,
competitors take turns and the least CPU time of the repeats counts; the inertia of their centres stands beside it.
scikit-learn takes its defaults (batches of 1024, one start), and once batches of 10000 and three starts, closer to
what GSLM did (twenty starts).
A file that scikit-learn's joblib wrote is imported, too. One JSON line per claim.
Usage: units.py [CUTS [SAMPLING_RATE]]: cepstra of a manifest; without one, made-up frames.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speechkit.units.config import KmeansConfig, MfccConfig
from speechkit.units.importers import read_centres
from speechkit.units.kmeans import Assigner, Scale, fit

REPEATS = 3


def made_up(num: int = 130_000, dim: int = 39) -> np.ndarray:
    """Frames around three hundred overlapping centres."""
    gen = np.random.default_rng(0)
    centres = 1.2 * gen.standard_normal((300, dim))
    return (centres[gen.integers(300, size=num)] + gen.standard_normal((num, dim))).astype(np.float32)


def cepstra(cuts: Path, sampling_rate: int) -> np.ndarray:
    """Scaled cepstra with slopes of a manifest."""
    from speechkit.data.store import load_cuts
    from speechkit.units.features import make_extractor
    from speechkit.units.sounds import frames_of, sounds_of

    extractor = make_extractor(MfccConfig(sampling_rate=sampling_rate))
    found = frames_of(sounds_of(load_cuts(cuts), extractor), extractor, num_jobs=1)
    frames = np.concatenate([frames_TD for _, frames_TD in found])
    return Scale(frames.mean(0), frames.std(0))(frames)


def inertia(frames: np.ndarray, centres: np.ndarray) -> float:
    """Mean squared distance to the nearest centre."""
    gains = Assigner(np.asarray(centres, np.float32)).with_gains(frames)[1]
    return float(np.square(frames, dtype=np.float64).sum() - 2 * gains.sum(dtype=np.float64)) / len(frames)


def race(rivals: dict[str, Callable[[], Any]]) -> tuple[dict[str, float], dict[str, Any]]:
    """Least CPU seconds and last result of each; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    results = {}
    for _ in range(REPEATS):
        for name, work in rivals.items():
            start = time.process_time()
            results[name] = work()
            times[name].append(time.process_time() - start)
    return {name: min(taken) for name, taken in times.items()}, results


def compare(frames: np.ndarray, k: int) -> None:
    """One line for clustering, one for encoding, one for the file of joblib."""
    import joblib
    import sklearn
    from sklearn.cluster import MiniBatchKMeans

    peer = f"scikit-learn {sklearn.__version__} MiniBatchKMeans"
    ours, theirs, large = "ours", "theirs", "theirs, batches of 10000, 3 starts"
    seconds, found = race(
        {
            ours: lambda: fit(frames, KmeansConfig(k=k)).centres_KD,
            theirs: lambda: MiniBatchKMeans(k, random_state=0).fit(frames),
            large: lambda: MiniBatchKMeans(k, random_state=0, batch_size=10_000, n_init=3).fit(frames),
        }
    )
    centres = {name: getattr(result, "cluster_centers_", result) for name, result in found.items()}
    about = {"peer": peer, "k": k, "frames": len(frames), "dim": frames.shape[1]}
    line = {
        "claim": "k-means",
        "ratio": round(seconds[theirs] / seconds[ours], 2),
        "ratio_large_batches": round(seconds[large] / seconds[ours], 2),
        "cpu_seconds": {name: round(value, 3) for name, value in seconds.items()},
        "inertia": {name: round(inertia(frames, value), 4) for name, value in centres.items()},
    }
    print(json.dumps({**line, **about}), flush=True)
    kmeans = found[theirs]
    assign = Assigner(np.asarray(kmeans.cluster_centers_, np.float32))
    seconds, labels = race({ours: lambda: assign(frames), theirs: lambda: kmeans.predict(frames)})
    line = {
        "claim": "encode",
        "ratio": round(seconds[theirs] / seconds[ours], 2),
        "million_frames_per_cpu_second": {name: round(len(frames) / value / 1e6, 2) for name, value in seconds.items()},
        "equal": round(float((labels[ours] == labels[theirs]).mean()), 6),
    }
    print(json.dumps({**line, **about}), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "km.bin")
        joblib.dump(kmeans, path)
        is_equal = np.array_equal(read_centres(path)[0], np.asarray(kmeans.cluster_centers_, np.float32))
    print(json.dumps({"claim": "import of joblib's file", "equal": bool(is_equal), "joblib": joblib.__version__}))


def main(arguments: list[str]) -> None:
    """Both sizes of codebook that unit language models mostly use."""
    if importlib.util.find_spec("sklearn") is None:
        print(json.dumps({"claim": "k-means", "skipped": "scikit-learn is not on PYTHONPATH"}))
        return
    torch.set_num_threads(1)
    frames = cepstra(Path(arguments[0]), int((arguments[1:] or ["16000"])[0])) if arguments else made_up()
    for k in (100, 500):
        compare(frames, k)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Speakers of synthetic corpora: an espeak-ng accent and variant each, with habits drawn from the seed."""

from __future__ import annotations

from dataclasses import dataclass

from speechkit.data.config_synth import SynthConfig
from speechkit.errors import ConfigError
from speechkit.rng import rng

# Variants by the gender that the engine's data states. Left out: whispers (no voicing), robots and `Demonic`
# (echo), `fast` (its own rate), and `edward`, `klatt4` and `klatt5` (the engine clips them).
_GROUPS: tuple[tuple[str | None, str], ...] = (
    ("female", "Alicia Andrea Annie anika aunty belinda f1 f2 f3 f4 f5 grandma linda steph steph2 steph3"),
    (
        "male",
        "Andy AnxiousAndy Denis Diogo Henrique Hugo Lee Marco Storm antonio croak m1 m2 m3 m4 m5 m6 m7 m8 michel "
        "miguel sandro travis victor",
    ),
    (
        None,
        "Alex Gene Gene2 Jacky Mario Michael Mike Nguyen Reed RicishayMax RicishayMax2 RicishayMax3 Tweaky adam "
        "announcer benjamin boris caleb david ed edward2 grandpa gustave ian iven iven2 iven3 iven4 john kaukovalta "
        "klatt klatt2 klatt3 klatt6 marcelo max mike2 norbert pablo paul pedro quincy rob robert shelby zac",
    ),
)
GENDER: dict[str, str | None] = {name: gender for gender, names in _GROUPS for name in names.split()}
# of five neighbours in each group three train, one is dev, one is test
_SPLIT = ("train", "train", "dev", "train", "test")


@dataclass(frozen=True)
class Speaker:
    """A voice and how its speaker uses it.

    Args:
        voice: `<accent>+<variant>`, as the engine calls it.
        gender: female, male, or None where the engine's data does not say.
        rate: words per minute.
        pitch, pitch_range: 0 to 99.
        formant: factor on all frequencies; 1 leaves the voice as it is.
        level_db: RMS level, dB below full scale.
    """

    speaker_id: str
    voice: str
    accent: str
    variant: str
    gender: str | None
    rate: float
    pitch: float
    pitch_range: float
    formant: float
    level_db: float


def variants_of(voice_set: str) -> list[str]:
    """Names of the voice variants of a set; train, dev and test share none, and together they are `all`."""
    return [
        name
        for _, names in _GROUPS
        for index, name in enumerate(names.split())
        if voice_set in ("all", _SPLIT[index % len(_SPLIT)])
    ]


def draw_speakers(config: SynthConfig) -> list[Speaker]:
    """Speakers with a voice of their own each; asking for more leaves the first ones as they are.

    Variants are used up before one comes again with another accent.

    Raises:
        ConfigError: more speakers than voices.
    """
    gen = rng(config.seed, "voices", config.voice_set)
    variants = [str(name) for name in gen.permutation(variants_of(config.voice_set))]
    accents = list(config.accents)
    first_accent = gen.integers(0, len(accents), len(variants))
    num_voices = len(variants) * len(accents)
    if config.speakers > num_voices:
        raise ConfigError(
            f"{config.speakers} speakers, but only {num_voices} voices",
            expected=f"at most {len(variants)} variants of the set `{config.voice_set}` times {len(accents)} accents",
            hint="use --voice-set all or more --accents",
        )
    speakers = []
    for index in range(config.speakers):
        turn, place = divmod(index, len(variants))
        accent = accents[(int(first_accent[place]) + turn) % len(accents)]
        speakers.append(_draw_speaker(config, index, accent=accent, variant=variants[place]))
    return speakers


def _draw_speaker(config: SynthConfig, index: int, *, accent: str, variant: str) -> Speaker:
    speaker_id = f"{config.prefix}{index:04d}"
    gen = rng(config.seed, "speaker", speaker_id)
    ranges = (config.rate, config.pitch, config.pitch_range, config.formant, config.level_db)
    rate, pitch, pitch_range, formant, level_db = (round(float(gen.uniform(*bounds)), 3) for bounds in ranges)
    return Speaker(
        speaker_id=speaker_id,
        voice=f"{accent}+{variant}",
        accent=accent,
        variant=variant,
        gender=GENDER[variant],
        rate=rate,
        pitch=pitch,
        pitch_range=pitch_range,
        formant=formant,
        level_db=level_db,
    )

"""Self-contained HTML pages from jinja2 templates: styles inline, no network, one file out."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np

TEMPLATES = Path(__file__).parent / "templates"


def render(template: Path, **values: Any) -> str:
    """A template with its values; text is escaped. It may extend `page.html.j2`, which holds the look of all pages.

    Values that are HTML already (a chart) are marked `|safe` in the template.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(**values)


def sound_address(samples: np.ndarray, sampling_rate: int) -> str:
    """Samples, float (S,) in [-1, 1], as the address of a player: 16-bit FLAC inside the page."""
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, samples, sampling_rate, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(stream.getvalue()).decode()

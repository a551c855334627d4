"""Command-line speech toolkit: data, cut-and-paste, training, audit and scoring for small corpora."""

__version__ = "0.1.0"

"""Manifests: read and written, prepared from corpora, made by synthesis. Only this package touches lhotse."""

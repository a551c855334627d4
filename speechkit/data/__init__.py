"""Manifests: reading and writing them, preparing corpora, making synthetic ones. Only this package touches lhotse."""

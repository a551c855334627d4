"""Discrete acoustic units: features, k-means codebooks, encoding of manifests, and what units are worth."""

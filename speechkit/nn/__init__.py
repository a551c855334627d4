"""Layers. Shape letters: B batch, T frames, F mel bands, D model, H heads, V vocabulary, C channels."""

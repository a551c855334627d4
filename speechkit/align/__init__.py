"""Word and token times of known transcripts, from Gaussian models trained on the corpus itself or from a CTC model."""

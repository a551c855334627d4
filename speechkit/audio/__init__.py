"""Audio in and out (soundfile), log-mel features, perturbation."""

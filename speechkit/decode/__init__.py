"""From log-probs to texts."""

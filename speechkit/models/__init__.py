"""Models: layers, loss and log-probs. The trainer knows `loss(batch, progress=...)` only."""

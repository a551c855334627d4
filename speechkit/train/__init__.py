"""Training: plan -> batches -> loss -> optimiser, with checkpoints that resume bit for bit."""

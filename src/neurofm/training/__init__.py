"""One loop for every objective, its checkpoints and its log."""

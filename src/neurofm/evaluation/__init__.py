"""What frozen features can predict, with baselines and intervals."""

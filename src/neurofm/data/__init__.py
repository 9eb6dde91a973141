"""The only place where stored volumes become tensors."""

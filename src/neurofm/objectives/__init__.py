"""What a model is trained to do: modules that turn a batch into named losses."""

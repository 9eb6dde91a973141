"""Random views of a batch, on the device the batch is on."""

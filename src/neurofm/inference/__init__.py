"""From a scan to an embedding with a trained encoder."""

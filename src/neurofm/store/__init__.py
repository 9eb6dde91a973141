"""Packed volumes on disk: written once, checked, memory-mapped; knows nothing of torch."""

"""Packed volumes on disk: written once, verified, memory-mapped."""

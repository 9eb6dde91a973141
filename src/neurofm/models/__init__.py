"""Encoders, heads and their weights."""

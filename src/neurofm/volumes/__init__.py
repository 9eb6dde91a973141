"""Volumes: arrays with an affine, NIfTI in and out, the grids of the pipeline."""

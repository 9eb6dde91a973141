"""Errors are one line, survive pickling between processes, and name where and mend."""

from __future__ import annotations

import pickle

from neurofm.errors import NeurofmError, ScanError


def test_the_message_is_one_line_with_where_what_and_mend() -> None:
    error = ScanError("4 dimensions\n(2, 2, 2, 2)", "choose one with --volume", "a.nii", "4d")
    assert str(error) == "a.nii: 4 dimensions (2, 2, 2, 2); choose one with --volume"


def test_errors_cross_processes_whole() -> None:
    for error in (ScanError("w", "m", "p", "k"), NeurofmError("w", "m", "p")):
        copy = pickle.loads(pickle.dumps(error))
        assert (str(copy), type(copy), vars(copy)) == (str(error), type(error), vars(error))

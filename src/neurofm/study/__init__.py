"""Studies: tasks x models x seeds x shares of the training part, cell by cell."""

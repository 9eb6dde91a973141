"""Who was scanned: readers, the index, splits by participant, simulated cohorts."""

"""The cohorts of the paper: what each is, how it is laid out as downloaded, how it is read."""

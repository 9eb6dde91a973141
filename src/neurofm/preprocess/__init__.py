"""From a raw scan to a normalised brain in MNI152 space, with a record of every step."""

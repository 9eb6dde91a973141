"""Tables, figures and pages, rebuilt from saved results alone."""

"""Many requests at once: files of them, the batch services of providers, and Ray Data."""

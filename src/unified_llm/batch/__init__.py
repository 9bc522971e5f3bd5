"""Many requests at once: files of them, and the batch services of providers."""

"""Python objects as targets: what wrapped framework models and user-defined providers have in common."""

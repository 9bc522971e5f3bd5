"""The LLMs that are compared in this repository's documentation."""

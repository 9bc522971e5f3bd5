"""The LLMs that are compared in the documentation."""

"""Structured output: how each target is asked for JSON, and the check of what it answers."""

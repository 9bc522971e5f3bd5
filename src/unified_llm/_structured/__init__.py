"""Structured output for targets without JSON schemas: by a forced tool call or by prompt, validated afterwards."""

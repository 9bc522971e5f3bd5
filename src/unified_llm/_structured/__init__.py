"""JSON from targets that have no schemas: asked for by a forced tool or by the prompt, and read back."""

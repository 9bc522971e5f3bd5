"""What would be a library of its own: JSON, event streams, schemas. Knows nothing of this package."""

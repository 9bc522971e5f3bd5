"""Wire formats: pure functions that encode requests as bytes and decode bytes to responses."""

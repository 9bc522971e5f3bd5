"""General helpers that do not depend on this package: JSON, event streams, JSON schemas, a table in HTML, locks."""

"""The provider table: one row for each provider, and what is known of models."""

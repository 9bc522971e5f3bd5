"""The client: prepares and runs calls, and raises exceptions for failures."""

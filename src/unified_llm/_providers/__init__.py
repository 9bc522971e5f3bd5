"""The provider table and the wire formats: pure functions from requests to bytes and from bytes to answers."""

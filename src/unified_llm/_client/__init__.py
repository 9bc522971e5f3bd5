"""The client: runs a call, and raises for what targets do."""

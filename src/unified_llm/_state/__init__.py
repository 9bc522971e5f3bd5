"""The targets' health, in this process and shared through Redis."""

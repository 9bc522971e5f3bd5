"""Suites that say what a framework relies on, written against the framework and not against this package."""

"""Conformance suites: what a framework relies on, tested independently of this package."""

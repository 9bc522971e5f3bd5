"""Backends: HTTP servers, models in this process, Python objects. The only I/O of calls."""

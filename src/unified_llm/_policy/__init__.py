"""Retry, failover, breaker, budget, deadline: pure decisions, without I/O, clock or ``async``."""

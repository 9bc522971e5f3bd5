"""Retry, failover, circuit breaker, budgets, deadlines: pure decisions, without I/O, clock or ``async``."""

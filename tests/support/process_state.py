"""What tests share within a process, and has to be as at its start for each of them."""

from __future__ import annotations

from unified_llm._config.process_defaults import configure
from unified_llm._state import model_list_cache
from unified_llm._state.process_health import reset_health


def reset_process_state() -> None:
    """Forget the health of all targets, the model lists, and the settings of ``configure``."""
    reset_health()
    model_list_cache.current().clear()
    configure(timeout=None, max_retries=None, retry_delay=None, cache_ttl=None, state=None, telemetry=None)
    configure(connect_timeout=None, error_details=None)

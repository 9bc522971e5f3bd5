"""What tests share within a process, and has to be as at its start for each of them."""

from __future__ import annotations

from unified_llm._config import process_settings
from unified_llm._config.process_defaults import configure
from unified_llm._core.hidden import Hidden
from unified_llm._state import model_list_cache
from unified_llm._state.process_health import reset_health


def reset_process_state() -> None:
    """Forget the health of all targets, the model lists, and the settings of ``configure``."""
    reset_health()
    model_list_cache.current().clear()
    configure(state=None, telemetry=None, error_details=None, model_cache=None)
    if process_settings.without_reading() != process_settings.NOTHING_SET:
        with process_settings.LOCK:
            process_settings.replace_state(process_settings.NOTHING_SET, Hidden({}))

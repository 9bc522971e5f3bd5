from __future__ import annotations

from integration_tests.support.frozen_heap import freeze_existing_objects

__all__ = ["freeze_existing_objects"]  # tests look for connections that are left over

"""Hostile answers that are slow: each must end by the deadline. They wait, so several of them run at a time."""

from __future__ import annotations

from integration_tests.attacks.answers import register_answers
from integration_tests.attacks.hostile_drips import DRIPS

register_answers("drips", DRIPS)

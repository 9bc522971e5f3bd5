"""The log and OpenTelemetry."""

"""What is told to the logger and to OpenTelemetry."""

"""From what people configure to targets."""

"""What is known of the targets' health, in this process and through Redis."""

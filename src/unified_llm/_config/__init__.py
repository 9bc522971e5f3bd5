"""Configurations and the targets made from them."""

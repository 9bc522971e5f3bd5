"""Model objects of a framework as targets: what they have in common, whichever framework they are of."""

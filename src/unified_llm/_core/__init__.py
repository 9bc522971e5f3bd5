"""Types and protocols shared by every layer above: targets, outcomes, exchanges, codecs, the clock."""

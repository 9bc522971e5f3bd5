"""What every layer above agrees on: targets, outcomes, exchanges, codecs, the clock."""

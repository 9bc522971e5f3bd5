"""Makes the embedded demo model; no part of the installed package."""

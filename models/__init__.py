"""Science: arrays in, arrays out; no files but weights, no network, no database."""

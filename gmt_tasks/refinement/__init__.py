"""The second opinion about stored crystals: which ones, what it costs, what a worker does, and what is concluded."""

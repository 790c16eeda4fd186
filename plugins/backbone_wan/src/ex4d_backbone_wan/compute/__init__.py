"""How the transformer runs: attention, fused and 8-bit blocks, step caching, and placement in memory."""

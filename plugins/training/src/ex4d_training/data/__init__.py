"""Ordinary videos made into what training reads: latents in shards."""

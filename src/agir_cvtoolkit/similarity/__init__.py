"""Perceptual hashes of pictures and groups of near-duplicates; the room knows no stage and no ledger."""

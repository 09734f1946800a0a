"""Readable crystals to accepted ones: validation, content ids, deduplication."""

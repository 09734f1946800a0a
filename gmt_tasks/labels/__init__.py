"""DFT labels: kinds, batches, ingest, snapshots, label files as arrays."""

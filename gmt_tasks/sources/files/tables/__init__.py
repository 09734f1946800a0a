"""Tables of crystals, read by a sandboxed child: Parquet, databases of ASE."""

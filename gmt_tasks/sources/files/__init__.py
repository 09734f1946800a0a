"""Crystals from files: finding, formats, parsing in sandboxed children, tables, archives."""

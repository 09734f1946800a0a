"""The command `gmtscreen`: one file per group of commands."""

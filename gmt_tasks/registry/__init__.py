"""Which model a name means, and where the files of model versions lie."""

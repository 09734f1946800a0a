"""Verbs: the steps of a screening as plain functions, free of Prefect."""

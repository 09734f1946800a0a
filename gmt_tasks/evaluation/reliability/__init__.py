"""Reliability of predictions: which labels to judge by, what errors are learned from, how well large ones are found."""

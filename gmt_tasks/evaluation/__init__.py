"""How good a model is: scores, calibration, equivariance, literature, applicability."""

"""How good generated crystals are, and what a closed loop gains."""

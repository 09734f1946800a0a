"""From accepted labels to a promoted model: plan, steps, networks."""

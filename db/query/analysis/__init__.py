"""What rows and filters say beyond the search itself: evaluation in Python, empty answers, fronts, diverse hits."""

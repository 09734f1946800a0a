"""Order, retries, schedules, and what people see."""

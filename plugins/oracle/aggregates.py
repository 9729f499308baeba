"""What other software says of the aggregates."""

MAKERS = {}

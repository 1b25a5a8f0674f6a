"""What scripts/check-cluster is made of."""

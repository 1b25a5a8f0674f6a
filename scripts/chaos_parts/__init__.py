"""What scripts/chaos and scripts/soak are made of."""

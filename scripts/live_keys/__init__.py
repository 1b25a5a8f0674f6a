"""What scripts/live-keys is made of."""

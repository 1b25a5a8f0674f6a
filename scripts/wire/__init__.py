"""What scripts/fuzz-nginx is made of."""

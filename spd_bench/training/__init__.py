"""Training: nnU-Net's loop with our loader, budgets and records."""

"""Prediction: a volume and its prompts in, a mask in the volume's own geometry out."""

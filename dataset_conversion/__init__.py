"""One script a dataset: a raw release in, an nnU-Net raw dataset with prompts out."""

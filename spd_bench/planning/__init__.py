"""From a raw dataset to plans, preprocessed slices and splits."""

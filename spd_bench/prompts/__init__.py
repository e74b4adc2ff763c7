"""Point prompts: the type and its file, readers of other formats, and the simulation of noisy points."""

"""nnU-Net raw folders: writing, reading, verifying, and the geometry of their volumes."""

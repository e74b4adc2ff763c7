"""Where the cells of a comparison run: in this process, in processes of their own, or as jobs of a cluster."""

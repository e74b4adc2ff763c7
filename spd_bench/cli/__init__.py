"""Command line tools, one file each; thin: they read arguments and call the parts."""

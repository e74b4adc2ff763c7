"""The rows of the comparison, one file each; :mod:`spd_bench.methods.registry` lists them."""

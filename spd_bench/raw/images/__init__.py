"""One file a family of image formats; :mod:`spd_bench.raw.volumes` and ``channels`` stand before them."""

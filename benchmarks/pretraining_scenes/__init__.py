"""Procedural promptable scenes: images made by rule, with the masks of their objects, to pretrain ``sam_small`` on."""

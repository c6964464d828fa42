"""Measurements that anyone can repeat; each prints both sides of its comparison in one run."""

"""Measuring rankings: data sets, protocols, metrics, baselines, probes and reports."""

"""The learning-rate rule fitted again over the ladders of many sweeps."""

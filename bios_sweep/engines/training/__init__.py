"""Fine-tuning engine and its data; the data half needs neither torch nor transformers."""

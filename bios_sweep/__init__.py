"""bios_sweep: is the default right for this model and this data?

The map: `bios_sweep.defaults` turns a model into settings (standard library only),
`bios_sweep.open` gives a read-only view of a sweep. Importing this package loads nothing heavy.
"""

__version__ = "0.1.0"

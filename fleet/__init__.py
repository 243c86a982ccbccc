"""The floor: what every process of the fleet must agree on."""

__version__ = "0.1.0"

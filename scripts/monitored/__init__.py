"""The files in monitoring/: read as they are, and run as little changed as can be."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FILES = ROOT / "monitoring"

"""Run a program of this folder on flagkeep: `on_flagkeep.py PROGRAM ARGUMENTS…`."""

import runpy
import sys

import flagkeep.ldclient

flagkeep.ldclient.install()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")

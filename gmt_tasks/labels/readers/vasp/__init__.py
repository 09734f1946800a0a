"""Finished VASP calculations as labels: OUTCAR and vasprun.xml."""

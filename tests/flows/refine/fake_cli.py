"""The command line with made-up second opinions, as a process of its own that a test can kill."""

from flows.cli.app import main
from gmt_tasks.refinement import session
from tests.gmt_tasks.refinement import fake_refiner

if __name__ == "__main__":
    # Workers find the function in the importable module, not in this script.
    for name, stand_in in fake_refiner.replaced(fake_refiner.slow_refiner).items():
        setattr(session, name, stand_in)
    main()

"""`ray start` for tests: the same command, and every process of the node stays on 127.0.0.1.

Run as `python -m tests.flows.loopback_node start ...`. Ray replaces a loopback address by that of the network card, and
then its servers listen on every interface; the switch by which it does not (RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0)
forbids a second node.
"""

import sys

from ray._private import services
from ray.scripts.scripts import main

if __name__ == "__main__":
    services.node_ip_address_from_perspective = lambda *_, **__: "127.0.0.1"
    services.resolve_ip_for_localhost = lambda host: host
    sys.argv[0] = "ray"
    main()

"""Which servers an answer may lead to: never from outside into a private network, never where secrets lie."""

import ipaddress

import pytest

from gmt_tasks.sources.remote import hosts
from gmt_tasks.sources.remote.hosts import is_public, is_same_domain, may_lead_inside

ADDRESSES = {
    "public.example": "93.184.216.34",
    "optimade.lab.example": "10.0.0.5",
    "pages.lab.example": "10.0.0.6",
    "metadata.lab.example": "169.254.169.254",
    "aws.lab.example": "fd00:ec2::254",
    "alibaba.lab.example": "100.100.100.200",
    "here.lab.example": "127.0.0.1",
    "six.example": "::1",
    "localhost": "127.0.0.1",
}


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names with addresses, without a server of names."""
    monkeypatch.setattr(
        hosts, "addresses_of", lambda host: [ipaddress.ip_address(ADDRESSES[host])] if host in ADDRESSES else []
    )


@pytest.mark.parametrize(
    ("start", "target", "allowed"),
    [
        ("https://optimade.lab.example/", "https://pages.lab.example/x", True),
        ("http://optimade.lab.example/", "https://pages.lab.example/x", True),
        ("http://optimade.lab.example/", "http://pages.lab.example/x", True),
        ("https://optimade.lab.example/", "http://pages.lab.example/x", False),
        ("https://public.example/", "https://pages.lab.example/x", False),
        ("https://optimade.lab.example/", "https://metadata.lab.example/latest", False),
        ("https://optimade.lab.example/", "https://aws.lab.example/latest", False),
        ("https://optimade.lab.example/", "https://alibaba.lab.example/latest", False),
        ("https://optimade.lab.example/", "https://here.lab.example/x", False),
        ("http://six.example:5000/", "http://six.example:5001/x", True),
        ("http://localhost:5000/", "http://here.lab.example:5001/x", True),
        ("https://optimade.lab.example/", "https://unknown.lab.example/x", False),
        ("https://optimade.lab.example/", "ftp://pages.lab.example/x", False),
    ],
)
def test_only_a_private_server_leads_to_private_servers_and_never_to_secrets(
    start: str, target: str, allowed: bool
) -> None:
    assert may_lead_inside(start, target) is allowed
    assert is_public("public.example") and not is_public("optimade.lab.example") and not is_public("unknown")


@pytest.mark.parametrize(
    ("start", "target", "same"),
    [
        ("optimade.lab.example", "pages.lab.example", True),
        ("optimade.lab.example", "lab.example", True),
        ("optimade.lab.example", "pages.lab.example.evil.org", False),
        ("optimade.lab.example", "evillab.example", False),
        ("lab.example", "other.example", False),
        ("localhost", "localhost", False),
        ("10.0.0.5", "10.0.0.6", False),
    ],
)
def test_a_domain_is_shared_by_names_below_it_alone(start: str, target: str, same: bool) -> None:
    assert is_same_domain(f"https://{start}/", f"https://{target}/x") is same

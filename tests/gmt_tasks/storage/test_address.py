"""Addresses in object storage: what they mean, and that nothing secret is taken or repeated."""

import re
from fnmatch import translate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmt_tasks.settings import SettingsError, load_remote_settings, load_settings
from gmt_tasks.sources.files.find import find_files
from gmt_tasks.sources.files.objects import matches
from gmt_tasks.storage.address import StorageAddress, child_address, is_stored, local_path
from models.errors import SourceError

KEYS = st.text(st.characters(exclude_characters="?\x7f", exclude_categories=["Cc", "Cs"]), max_size=40)


@given(scheme=st.sampled_from(["s3", "gs"]), key=KEYS, anonymous=st.booleans(), port=st.integers(1, 65535))
def test_an_address_is_what_it_was_made_of(scheme: str, key: str, anonymous: bool, port: int) -> None:
    query = f"?endpoint_override=http://minio:{port}&anonymous={str(anonymous).lower()}"
    address = StorageAddress.parse(f"{scheme}://bucket/{key}{query}")
    assert (address.scheme, address.bucket, address.key) == (scheme, "bucket", key)
    assert (address.endpoint, address.is_encrypted, address.anonymous) == (f"minio:{port}", False, anonymous)
    assert str(address) == f"{scheme}://bucket/{key}".rstrip("/") and is_stored(str(address))
    below = StorageAddress.parse(child_address(f"{scheme}://bucket/{key}{query}", "a", "b.json"))
    assert below.endpoint == address.endpoint and below.key.endswith("a/b.json")


@settings(max_examples=40)
@given(text=st.text(max_size=60))
def test_any_other_text_is_an_address_or_refused(text: str) -> None:
    try:
        assert StorageAddress.parse(f"s3://{text}").bucket
    except SourceError as error:
        assert "\n" not in str(error)


SECRET = "wJalrXUtnFEMIK7MDENG"
WITH_SECRETS = (
    f"s3://AKIA:{SECRET}@bucket/key",
    f"s3://{SECRET}@bucket",
    f"s3://bucket/key?secret_key={SECRET}",
    f"s3://bucket/key?endpoint_override=http://me:{SECRET}@host:9000",
    f"s3://bucket/key?region={SECRET}&access_key={SECRET}",
)


@pytest.mark.parametrize("text", WITH_SECRETS)
def test_credentials_in_an_address_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SourceError, match="chain") as caught:
        StorageAddress.parse(text)
    assert SECRET not in str(caught.value)


def test_a_question_mark_is_a_wildcard_unless_options_follow() -> None:
    assert StorageAddress.parse("s3://bk/x?.cif").key == "x?.cif"
    assert StorageAddress.parse("s3://bk/x?y=1&z").key == "x?y=1&z"
    with pytest.raises(SourceError, match="unknown option 'y'"):
        StorageAddress.parse("s3://bk/x?y=1")


def test_a_file_url_is_a_path_of_this_machine() -> None:
    assert local_path("file:///data/a%20b.cif") == local_path("file://localhost/data/a b.cif") == "/data/a b.cif"
    assert local_path("data/x.cif") == "data/x.cif"
    with pytest.raises(SourceError, match="three slashes"):
        local_path("file://server/data/x.cif")


def test_settings_keep_an_address_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(models="s3://bucket/models").models == "s3://bucket/models"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    assert load_remote_settings().s3_endpoint == "http://minio:9000"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://me:{SECRET}@minio:9000")
    with pytest.raises(SettingsError) as caught:
        load_remote_settings()
    assert SECRET not in str(caught.value)


def as_expression(pattern: list[str]) -> re.Pattern[str]:
    """A glob as one regular expression: another way to what `matches` finds by following places."""
    parts = ["(?:[^/]*/)*" if part == "**" else translate(part).removesuffix(r"\Z").replace(".*", "[^/]*") + "/" for part in pattern]  # fmt: skip  # noqa: E501
    return re.compile("".join(parts))


@given(
    parts=st.lists(st.sampled_from(["a", "ab", "b", "a1"]), min_size=1, max_size=5),
    pattern=st.lists(st.sampled_from(["a", "a*", "?", "*", "**", "[ab]", "[!b]?"]), min_size=1, max_size=5),
)
def test_globs_agree_with_a_regular_expression(parts: list[str], pattern: list[str]) -> None:
    assert matches(parts, pattern) == bool(as_expression(pattern).fullmatch("/".join(parts) + "/"))


def test_many_wildcards_take_no_time() -> None:
    assert not matches(["a"] * 300, [*["**", "a"] * 150, "b"])


@pytest.mark.parametrize("scheme", ["S3", "s3a", "az", "https", "hdfs"])
def test_an_address_of_another_kind_names_what_is_read_and_is_not_repeated(scheme: str) -> None:
    with pytest.raises(SourceError, match="s3://bucket/key") as caught:
        find_files(f"{scheme}://user:{SECRET}@host/x.cif")
    assert SECRET not in str(caught.value) and "user" not in str(caught.value)
    with pytest.raises(SourceError, match="No file"):
        find_files("no/such/file.cif")

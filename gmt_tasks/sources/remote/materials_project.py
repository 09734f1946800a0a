"""The Materials Project through mp-api: `mp:chemsys=Al-N`, `mp:ids=mp-66,mp-149`, `mp:band_gap=0.5..3,num_sites=..20`.

A search by criteria gives the index: ids and dates; the documents that are new or changed are then asked for by id, a
batch at a time, into a mirror. So an interrupted download goes on with the next batch, and a later one fetches only
what changed.

What mp-api gets wrong is made up for here. A search without criteria would leave the API for a bucket with everything:
it is refused. Ranges for elasticity are sent under a wrong name: they are asked of the summary, and checked again on
what arrives. An answer without `meta.total_doc`, or an empty page in the middle, silently ends a search: answers are
checked before mp-api reads them, and the number of documents after.
"""

import warnings
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from gmt_tasks.settings import RemoteSettings, load_remote_settings
from gmt_tasks.sources.remote.http_client import HttpClient, RateLimits, check_status, json_of, unreachable
from gmt_tasks.sources.remote.materials_project_query import MaterialsQuery, Route
from gmt_tasks.sources.remote.mirror import Mirror, MirrorRecord
from gmt_tasks.sources.remote.mirrored_source import COMPLETE, MirroredSource, refuse_changed_schema
from gmt_tasks.telemetry import event
from models.errors import SourceError

IDS_PER_REQUEST = 200
DOCUMENTS_PER_PAGE = 1000
KEY_LENGTH = 32
_TOO_LONG = (414, 422)
"""Answers after which mp-api itself asks again for fewer ids."""

_NAME = "mp"
_WALK = "listing_number"
"""Mark of a mirror: the number of its last walk through the index."""
_FIELDS = {
    Route.SUMMARY: (
        "formula_pretty", "structure", "band_gap", "energy_above_hull", "formation_energy_per_atom", "is_stable",
        "is_metal", "theoretical", "deprecated", "builder_meta",
    ),
    Route.ELASTICITY: (
        "formula_pretty", "structure", "elastic_tensor", "bulk_modulus", "shear_modulus", "fitting_method", "state",
        "deprecated", "warnings", "builder_meta",
    ),
    Route.DIELECTRIC: ("formula_pretty", "total", "electronic", "deprecated", "builder_meta"),
    Route.PIEZOELECTRIC: ("formula_pretty", "total", "deprecated", "builder_meta"),
}  # fmt: skip
_NEEDED = {
    Route.SUMMARY: "structure",
    Route.ELASTICITY: "elastic_tensor",
    Route.DIELECTRIC: "total",
    Route.PIEZOELECTRIC: "total",
}
"""The field without which a document of a collection says nothing."""

_RELEASES: dict[str, tuple[str, list[str]]] = {}
"""Release of the database and batches under terms of their own, by endpoint, as `/heartbeat` says."""

_LEFT_OUT = {"material_id", "last_updated", "builder_meta"}
_LICENCES = {"BY-C": "CC-BY-4.0", "BY-NC": "CC-BY-NC-4.0"}


def licence_of(document: Mapping[str, Any]) -> str:
    """Licence of a document: CC BY 4.0 unless its builder says otherwise (structures of GNoME are BY-NC)."""
    meta = document.get("builder_meta")
    code = meta.get("license") if isinstance(meta, Mapping) else None
    return _LICENCES.get(str(code), str(code)) if code else "CC-BY-4.0"


def open_candidates(text: str) -> MirroredSource:
    """Summary structures as candidates; see docs/sources.md for the criteria.

    Raises:
        SourceError: a criterion is wrong, or there is no API key and the mirror is to be brought up to date.
    """
    settings, query = load_remote_settings(), MaterialsQuery.from_text(text)
    collection = Collection(query, Route.SUMMARY, Api(settings))
    return MirroredSource(text, collection.mirror(settings), collection.refresh, settings)


class Collection:
    """The documents of one collection that a query means.

    Args:
        query: which materials.
        route: which collection.
        api: who asks.
    """

    def __init__(self, query: MaterialsQuery, route: Route, api: "Api") -> None:
        self._query = query
        self.route = route
        self._api = api

    def mirror(self, settings: RemoteSettings) -> Mirror:
        """Where the documents are kept; the API key is no part of the question."""
        question = {"endpoint": settings.mp_endpoint, "route": self.route.value, "criteria": dict(self._query.criteria)}
        return Mirror.of(settings.cache_folder, _NAME, question)

    def refresh(self, mirror: Mirror) -> None:
        """Asks for the index, and fetches the documents that are new or have another date."""
        index = self._index()
        stored = mirror.stamps()
        walk = int(mirror.mark(_WALK) or 0) + 1
        # Without a date nobody can say that a document is the same.
        unchanged = {name for name, stamp in index.items() if stamp is not None and stored.get(name) == stamp}
        mirror.mark_unchanged(unchanged, walk)
        wanted = [name for name in index if name not in unchanged]
        for start in range(0, len(wanted), IDS_PER_REQUEST):
            batch = wanted[start : start + IDS_PER_REQUEST]
            n_new = mirror.write(self._records(batch), {}, walk)
            event("mp.batch", route=self.route, documents=len(batch), new_or_changed=n_new, of=len(wanted))
        n_gone = mirror.remove_unmet(walk, {_WALK: walk, COMPLETE: True})
        event("mp.listed", source=self._query.name, route=self.route, documents=len(index), gone=n_gone)

    def _index(self) -> dict[str, str | None]:
        """Ids and dates of the documents that the query means, in the order of the API."""
        criteria = dict(self._query.criteria)
        if self.route is not Route.SUMMARY:
            criteria["has_props"] = [self.route.value]
        fields = ["material_id", "last_updated", *self._query.range_fields]
        summaries = self._api.search(Route.SUMMARY, fields, deprecated=False, **criteria)
        for field in self._query.range_fields:
            if summaries and not any(field in summary for summary in summaries):
                raise _changed(Route.SUMMARY, field)
        # The server does not know every range: what it sent is checked again.
        meant = [summary for summary in summaries if self._query.is_meant(summary)]
        if len(meant) < len(summaries):
            event("mp.outside_ranges", source=self._query.name, documents=len(summaries) - len(meant))
        if self.route is Route.SUMMARY:
            return {_id(summary): _stamp(summary) for summary in meant}
        ids = [_id(summary) for summary in meant]
        stamps: dict[str, str | None] = {}
        for start in range(0, len(ids), IDS_PER_REQUEST):
            batch = ids[start : start + IDS_PER_REQUEST]
            documents = self._api.search(self.route, fields[:2], material_ids=batch)
            stamps |= {_id(document): _stamp(document) for document in documents}
        return stamps

    def _records(self, ids: Sequence[str]) -> list[MirrorRecord]:
        """The documents with these ids."""
        fields = ["material_id", "last_updated", *_FIELDS[self.route]]
        documents = self._api.search(self.route, fields, material_ids=ids)
        if documents and not any(_NEEDED[self.route] in document for document in documents):
            raise _changed(self.route, _NEEDED[self.route])
        bodies = []
        for document in documents:
            # Without dates and versions, which change when the content does not.
            body = {"id": _id(document), **document, "licence": licence_of(document)}
            bodies.append({key: value for key, value in body.items() if key not in _LEFT_OUT})
        if self.route is Route.SUMMARY:
            refuse_changed_schema(self._query.name, bodies)
        else:
            self._add_structures(bodies)
        pairs = zip(bodies, documents, strict=True)
        return [MirrorRecord(body["id"], body, document.get("last_updated")) for body, document in pairs]

    def _add_structures(self, bodies: Sequence[dict[str, Any]]) -> None:
        """Gives documents without a structure that of the summary, and says so."""
        without = [body["id"] for body in bodies if not isinstance(body.get("structure"), Mapping)]
        if not without:
            return
        summaries = self._api.search(Route.SUMMARY, ["material_id", "structure"], material_ids=without)
        structures = {_id(summary): summary.get("structure") for summary in summaries}
        for body in bodies:
            if body["id"] in structures and not isinstance(body.get("structure"), Mapping):
                body |= {"structure": structures[body["id"]], "structure_of": "summary"}


class Api:
    """mp-api over our HTTP client, with a check of every answer.

    Args:
        settings: endpoint and key.
    """

    def __init__(self, settings: RemoteSettings) -> None:
        self._settings = settings
        self._total = 0

    @cached_property
    def _key(self) -> str:
        key = self._settings.mp_api_key.get_secret_value() if self._settings.mp_api_key else ""
        if len(key) != KEY_LENGTH:
            state = f"has {len(key)} characters instead of {KEY_LENGTH}" if key else "is not set"
            raise SourceError(
                f"mp: needs an API key, and the variable MP_API_KEY {state}. Get one at "
                "https://next-gen.materialsproject.org/api and export it."
            )
        return key

    @cached_property
    def _rester(self) -> Any:
        """mp-api's client over our session; what its own first requests (heartbeat) would ask is asked by ours."""
        key, endpoint = self._key, self._settings.mp_endpoint
        # The key is in the headers of every request: no redirect may take it elsewhere.
        client = HttpClient(endpoint, RateLimits.of(self._settings), follow_hosts=False)
        heartbeat = client.get_json(f"{endpoint.rstrip('/')}/heartbeat")
        client.session.hooks["response"].append(self._check_answer)
        from mp_api.client import MPRester
        from mp_api.client.core.client import BaseRester

        _answer_heartbeats(endpoint, heartbeat)
        # mp-api derives the fields of a collection anew for every field of every search: half a second for a dozen.
        BaseRester.available_fields = property(  # type: ignore[method-assign, assignment]
            lambda rester: _fields_of(rester.document_model)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about versions of its server, on every start
            return MPRester(
                key,
                endpoint=endpoint,
                session=client.session,
                use_document_model=False,
                mute_progress_bars=True,
            )

    def search(self, route: Route, fields: Sequence[str], **criteria: Any) -> list[dict[str, Any]]:
        """Every document that a search of mp-api finds, each once.

        Args:
            route: which collection.
            fields: which fields.
            criteria: keyword arguments of mp-api's search of that collection; at least one.

        Raises:
            UnreachableError: the server does not answer now.
            SourceError: it refuses, or what it sends is not all, or not what it used to be.
        """
        try:
            # Route by route, and imported with the rester: mp_api takes five seconds and more.
            results = getattr(self._rester.materials, route.value).search(
                **criteria, fields=list(fields), chunk_size=DOCUMENTS_PER_PAGE
            )
        except SourceError as error:
            if self._key in str(error):  # a server may repeat what it was sent
                raise type(error)(str(error).replace(self._key, "***")) from None
            raise
        except (requests.RequestException, HTTPError) as error:
            raise unreachable(self._settings.mp_endpoint, error) from error
        except Exception as error:  # mp-api wraps what it meets, a dropped connection too, in errors of its own
            if isinstance(error.__context__, requests.RequestException):
                raise unreachable(self._settings.mp_endpoint, error.__context__) from error
            text = f"{type(error).__name__}: {str(error)[:300]}".replace(self._key, "***")
            raise SourceError(f"mp-api cannot search {route.value}: {text}. Correct the criteria.") from error
        documents = {_id(document): document for document in results}
        if len(documents) < self._total:
            raise SourceError(
                f"The Materials Project says that {self._total} {route.value} documents match and sends "
                f"{len(documents)} different ones. Run the same command again; if it stays, ask for less at once."
            )
        return list(documents.values())

    def _check_answer(self, response: requests.Response, **_: Any) -> None:
        """Checks an answer before mp-api reads it: what it lacks would end a search early and without a word."""
        if response.status_code in _TOO_LONG:
            return
        check_status(response)
        if not 200 <= response.status_code < 300 or response.url.rstrip("/").endswith("heartbeat"):
            return
        answer = json_of(response)
        data = answer.get("data") if isinstance(answer, Mapping) else None
        meta = answer.get("meta") if isinstance(answer, Mapping) else None
        if not isinstance(data, list) or not all(isinstance(document, Mapping) for document in data):
            raise _changed(None, "data")
        if not isinstance(meta, Mapping) or not isinstance(meta.get("total_doc"), int):
            raise _changed(None, "meta.total_doc")
        self._total = meta["total_doc"]


def _answer_heartbeats(endpoint: str, heartbeat: Any) -> None:
    """Answers what mp-api asks `/heartbeat` for: it would do so without our session, limits, timeout and retries.

    Args:
        endpoint: of the API.
        heartbeat: the server's answer.

    Raises:
        SourceError: it names no release.
    """
    from mp_api.client import MPRester
    from mp_api.client.core.client import _Rester

    facts = heartbeat if isinstance(heartbeat, Mapping) else {}
    if not isinstance(facts.get("db_version"), str):
        raise _changed(None, "db_version")
    _RELEASES[endpoint.rstrip("/")] = facts["db_version"], list(facts.get("access_controlled_batch_ids") or [])
    # Static methods that every one of mp-api's clients asks when it is made, also those that are made on demand.
    _Rester._get_heartbeat_info = staticmethod(  # type: ignore[method-assign, assignment]
        lambda url: _RELEASES[url.rstrip("/")]
    )
    # The version would only be compared to print a warning.
    MPRester.get_emmet_version = staticmethod(lambda url: None)  # type: ignore[method-assign, assignment]


@cache
def _fields_of(model: Any) -> list[str]:
    """Names of the fields of a document model."""
    return list(model.model_json_schema()["properties"])


def _id(document: Mapping[str, Any]) -> str:
    """The material's id."""
    material_id = document.get("material_id")
    if not isinstance(material_id, str) or not material_id:
        raise _changed(None, "material_id")
    return material_id


def _stamp(document: Mapping[str, Any]) -> str | None:
    """When a document was last updated, as text; None where it does not say."""
    date = document.get("last_updated")
    return None if date is None else str(date)


def _changed(route: Route | None, field: str) -> SourceError:
    """What is said when a field is gone that every document had."""
    where = f"No {route.value} document" if route else "An answer"
    return SourceError(
        f"{where} of the Materials Project has the field {field!r} any more: the format has changed. Nothing of it was "
        "kept; look for a newer gmtscreen or mp-api, or download the documents as files."
    )

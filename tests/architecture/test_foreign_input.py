"""Foreign input is data: nothing in the product turns a text or a file into code, an object of its choice, or SQL.

What could is looked for in every syntax tree. Where it is used all the same, the place and the reason stand in
`ADMITTED`; a place that no longer exists must be taken out.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source_tree import imports_of, module_name, product_files, syntax_tree

OBJECTS = {
    "pickle", "_pickle", "pickletools", "cloudpickle", "dill", "joblib", "marshal", "shelve", "dbm", "copyreg",
    "multiprocessing", "yaml", "ruamel", "monty", "jsonpickle", "xmlrpc", "xml",
}  # fmt: skip
"""Modules whose readers build what the input names, or expand it without bound."""

CODE = {"code", "codeop", "runpy", "imp", "ctypes", "cffi", "pty"}
"""Modules that run what they are given."""

CALLS = {"eval", "system", "popen", "getoutput", "getstatusoutput"}
"""Functions that run a text, under whichever module they are called."""

BUILTINS = {"exec", "compile"}
"""Likewise, but methods of that name are harmless: a pattern and an SQL statement are compiled too."""

READERS = {
    "MontyDecoder", "loadfn", "process_decoded", "read_pickle", "from_pickle", "Unpickler", "unsafe_load", "full_load",
    "JonesFaithfulTransformation", "extractall", "unpack_archive", "hub", "allow_pickle",
}  # fmt: skip
"""Names of readers that run what their input says, and of pymatgen's transformation that ran it (CVE-2024-23346)."""

RAW_SQL = {"text", "literal_column", "exec_driver_sql", "executescript", "TextClause"}
"""What makes SQL of a text; looked for in `db` only, where alone there is SQL."""

ADMITTED = {
    ("gmt_tasks.sources.remote.safe_unpickler", "import pickle"): "reads data only, through a closed list of names",
    ("gmt_tasks.sources.remote.safe_unpickler", "Unpickler"): "the class that the closed list overrides",
    (
        "gmt_tasks.sandbox.confinement",
        "import ctypes",
    ): "unshare(2) and Landlock take network and files away",
    (
        "gmt_tasks.labels.readers.vasp.vasprun",
        "import xml",
    ): "expat's bare events, in a confined child; a document type declaration ends it before any entity",
    ("gmt_tasks.sandbox.target", "import of a computed name"): "readers and openers; named by our own code",
    ("models.gmtnet.backbones.interface", "import of a computed name"): "a product kind",
    ("gmt_tasks.workers.fork_server", "import multiprocessing"): "pipes between a worker and the processes it forks",
    (
        "gmt_tasks.workers.fork_server",
        "import of a computed name",
    ): "loaded before forking; named by our own code",
    ("gmt_tasks.ingest.content_id_pool", "import multiprocessing"): "the driver's own processes, which see arrays only",
    ("gmt_tasks.compilation", "import multiprocessing"): "processes that compile our own loops and are given nothing",
    ("gmt_tasks.workers.forked_worker", "import multiprocessing"): "the other end of these pipes",
    ("gmt_tasks.workers.forked_worker", "import ctypes"): "calls prctl(2), so that a runner ends with its owner",
    ("db.engine", "exec_driver_sql"): "BEGIN and a lock, made of constants of that file",
    ("db.storage.partitions", "exec_driver_sql"): "a partition, made of the number of a model version",
    ("db.bulk", "exec_driver_sql"): "a staging table, made of the names of our own tables and columns",
}
"""The closed list of exceptions, with the reason of each."""


def risks(module: str, tree: ast.AST) -> Iterator[str]:
    """What in a syntax tree could turn input into code, objects or SQL."""
    for each in imports_of(module, tree):
        top = each.imported.partition(".")[0]
        if top in OBJECTS | CODE:
            yield f"import {top}"
    for node in ast.walk(tree):
        name = _name(node)
        if name in READERS or (name in RAW_SQL and module.startswith("db.") and isinstance(node, ast.Call)):
            yield name
        if isinstance(node, ast.Call):
            yield from _risks_of_call(node, _name(node.func))


def _name(node: ast.AST) -> str:
    """The last part of a name, an attribute, a called function, an imported name or a keyword argument."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) | ast.keyword(arg=str(name)):
            return name.rpartition(".")[2]
        case ast.Call(func=function):
            return _name(function)
    return ""


def _risks_of_call(call: ast.Call, function: str) -> Iterator[str]:
    dotted = ast.unparse(call.func)
    if (function in CALLS and not _is_mode_of_a_network(call, function)) or dotted.removeprefix(
        "builtins."
    ) in BUILTINS:
        yield function
    if function in ("import_module", "__import__") and not (call.args and isinstance(call.args[0], ast.Constant)):
        yield "import of a computed name"
    if dotted in ("torch.load", "torch.jit.load") and not _says(call, "weights_only", value=True):
        yield "torch.load without weights_only=True"
    if any(word.arg == "shell" and not _says(call, "shell", value=False) for word in call.keywords):
        yield "shell=True"


def _is_mode_of_a_network(call: ast.Call, function: str) -> bool:
    """`network.eval()` is torch's word for inference mode: a method, and without an argument."""
    return function == "eval" and isinstance(call.func, ast.Attribute) and not call.args and not call.keywords


def _says(call: ast.Call, name: str, *, value: bool) -> bool:
    return any(w.arg == name and isinstance(w.value, ast.Constant) and w.value.value is value for w in call.keywords)


def found_risks() -> set[tuple[str, str]]:
    """Every risk in the product, by module."""
    return {
        (module_name(path), risk) for path in product_files() for risk in risks(module_name(path), syntax_tree(path))
    }


def test_nothing_turns_input_into_code_objects_or_sql_but_what_is_admitted() -> None:
    assert found_risks() - set(ADMITTED) == set()


def test_the_closed_list_holds_nothing_that_is_gone() -> None:
    assert set(ADMITTED) - found_risks() == set()


@pytest.mark.parametrize(
    ("code", "risk"),
    [
        ("eval(text)", "eval"),
        ("builtins.eval(text)", "eval"),
        ("exec(open(path).read())", "exec"),
        ("compile(text, '', 'exec')", "compile"),
        ("import os\nos.system(text)", "system"),
        ("import pickle", "import pickle"),
        ("from pickle import loads", "import pickle"),
        ("def f():\n    import cloudpickle as c", "import cloudpickle"),
        ("m = __import__('marshal')", "import marshal"),
        ("import importlib\nimportlib.import_module('dill')", "import dill"),
        ("import importlib\nimportlib.import_module(text)", "import of a computed name"),
        ("import yaml", "import yaml"),
        ("from ruamel.yaml import YAML", "import ruamel"),
        ("from monty.json import MontyDecoder", "import monty"),
        ("json.loads(text, cls=monty.json.MontyDecoder)", "MontyDecoder"),
        ("from pymatgen.symmetry.settings import JonesFaithfulTransformation as J", "JonesFaithfulTransformation"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("pd.read_pickle(path)", "read_pickle"),
        ("torch.load(path)", "torch.load without weights_only=True"),
        ("torch.load(path, weights_only=False)", "torch.load without weights_only=True"),
        ("torch.load(path, weights_only=flag)", "torch.load without weights_only=True"),
        ("torch.hub.load(name)", "hub"),
        ("tarfile.open(path).extractall(folder)", "extractall"),
        ("subprocess.run(text, shell=True)", "shell=True"),
        ("import xml.etree.ElementTree", "import xml"),
        ("connection.exec_driver_sql(f'SELECT {name}')", "exec_driver_sql"),
        ("connection.execute(sqlalchemy.text(filter))", "text"),
        ("select(literal_column(name))", "literal_column"),
    ],
)
def test_each_risk_is_seen_however_it_is_written(code: str, risk: str) -> None:
    assert risk in set(risks("db.store", ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "network.eval()",
        "networks[0].to(device).eval()",
        "re.compile(pattern)",
        "column.type.compile(dialect)",
        "torch.load(path, weights_only=True)",
        "json.loads(text)",
        "np.load(path)",
        "importlib.import_module('models.crystals.graph')",
        "subprocess.run(command, shell=False)",
        "self.text",
        "Matches(name, match, text)",
        "if TYPE_CHECKING:\n    import pickle",
    ],
)
def test_ordinary_code_is_no_risk(code: str) -> None:
    assert set(risks("db.store", ast.parse(code))) == set()


def test_raw_sql_is_looked_for_where_sql_is() -> None:
    assert set(risks("flows.reports.markdown", ast.parse("text(line)"))) == set()
    assert set(risks("db.query.pages", ast.parse("text(line)"))) == {"text"}

"""Nothing in the source unpickles, evaluates or fetches but in the one place that does it safely."""

import ast

import pytest

from helpers.running import ROOT

FILES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "config").glob("*.py"), *(ROOT / "envs").glob("*.py")]
FILES += [*(ROOT / "benchmarks").glob("*.py")]
# What may be imported in one file alone, or nowhere.
IMPORTS = {
    "pickle": "official.py",
    "urllib.request": "downloads.py",
    "http.client": "downloads.py",
    **dict.fromkeys(["marshal", "shelve", "dill", "cloudpickle", "joblib", "requests", "httpx", "huggingface_hub"]),
}
FORBIDDEN = {"eval", "exec", "yaml.unsafe_load", "yaml.full_load", "os.system", "pickle.loads"}
FORBIDDEN |= {"pickle.load", "pd.read_pickle", "torch.hub.load", "torch.hub.load_state_dict_from_url", "os.popen"}


def breaches(source: str, name: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        found += [
            n for n in names for bad, place in IMPORTS.items() if (n + ".").startswith(bad + ".") and place != name
        ]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            trusting = called == "torch.load" and given.get("weights_only") != "True"
            trusting |= called == "yaml.load" and given.get("Loader") != "yaml.BaseLoader"  # which makes texts alone
            trusting |= called == "np.load" and "allow_pickle" in given
            trusting |= (
                called == "timm.create_model" and "pretrained" in given and "pretrained_cfg_overlay" not in given
            )
            trusting |= called.startswith("subprocess.") and "shell" in given
            found += [called] if trusting or called in FORBIDDEN else []
    return found


def test_the_source_trusts_no_file():
    assert len(FILES) > 50
    assert not {str(path): found for path in FILES if (found := breaches(path.read_text(), path.name))}


@pytest.mark.parametrize(
    "source",
    [
        *("import pickle", "from pickle import loads", "import urllib.request", "import joblib", "eval('1')"),
        *("torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f, allow_pickle=True)", "yaml.load(f)"),
        *("yaml.load(f, yaml.BaseLoader)", "yaml.load(f, Loader=yaml.Loader)", "yaml.load(f, Loader=yaml.FullLoader)"),
        *("timm.create_model(n, pretrained=True)", "subprocess.run(c, shell=True)"),
    ],
)
def test_a_breach_is_seen(source):
    assert breaches(source, "x.py")

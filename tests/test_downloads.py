"""What comes from the network is right and whole, or is not used; over real HTTP on this machine."""

import contextlib
import hashlib
import http.server
import threading

import pytest
import timm
import torch
from safetensors.torch import save

from ganaug.downloads import fetch
from ganaug.errors import UserError
from ganaug.weights import Settings, weights

CONTENT = save({"a": torch.arange(1000.0)})
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`: bytes by path, or a path to be redirected to. Whatever is below /short/ breaks off half-way."""

    def __init__(self):
        self.files, self.asked = {}, []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,)).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        found = self.server.files.get(self.path.removeprefix("/short"))
        self.send_response(404 if found is None else 302 if isinstance(found, str) else 200)
        if isinstance(found, str):
            self.send_header("Location", found)
        found = found if isinstance(found, bytes) else b""
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found[: len(found) // 2] if self.path.startswith("/short") else found)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    yield server
    stop(server)


def stop(server):
    server.shutdown()
    server.server_close()


def test_the_right_file_is_kept_and_fetched_once(server, tmp_path):
    server.files = {"/w.safetensors": CONTENT, f"/net-{DIGEST[:8]}.safetensors": CONTENT}
    for name in ("w.safetensors", f"net-{DIGEST[:8]}.safetensors"):
        for _ in range(2):
            assert fetch(server.url(f"/{name}"), DIGEST, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 2
    assert {p.name for p in tmp_path.iterdir()} == {f"{DIGEST[:16]}-w.safetensors", f"net-{DIGEST[:8]}.safetensors"}


def test_a_broken_file_in_the_cache_is_not_used(server, tmp_path):
    server.files["/w"] = CONTENT
    path = fetch(server.url("/w"), DIGEST, tmp_path)
    path.write_bytes(CONTENT[:-1])
    assert fetch(server.url("/w"), DIGEST, tmp_path).read_bytes() == CONTENT
    path.write_bytes(CONTENT[:-1])
    stop(server)
    with pytest.raises(UserError, match="can't be fetched"):
        fetch(server.url("/w"), DIGEST, tmp_path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/wrong", rf"has the SHA-256 [0-9a-f]{{64}}, not {DIGEST}; it is not the file that was meant"),
        ("/short/w", rf"it broke off after {len(CONTENT) // 2} of {len(CONTENT)} bytes"),
        ("/nowhere", r"the server answers 404 \(Not Found\)"),
        ("/circle", "the server answers 302"),
        ("/inward", r"can't be fetched"),
    ],
)
def test_what_is_not_the_file_leaves_nothing(server, tmp_path, path, message):
    server.files = {"/w": CONTENT, "/wrong": CONTENT + b"x", "/circle": "/circle", "/inward": "file:///etc/hostname"}
    with pytest.raises(UserError, match=message):
        fetch(server.url(path), DIGEST, tmp_path / "cache")
    assert not list(tmp_path.rglob("*.*")) and not any((tmp_path / "cache").iterdir())


def test_a_redirect_is_followed(server, tmp_path):
    server.files = {"/latest": "/w", "/w": CONTENT}
    assert fetch(server.url("/latest"), DIGEST, tmp_path).read_bytes() == CONTENT


def test_without_a_network_the_message_says_so(server, tmp_path):
    stop(server)
    with pytest.raises(UserError, match=r"can't be fetched \(.*refused"):
        fetch(server.url("/w"), DIGEST, tmp_path)


@pytest.fixture
def small(server, tmp_path, monkeypatch):
    """A small network of timm whose published weights lie on the server, under a name that carries their hash."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.manual_seed(0)
    name = "mobilenetv3_small_050"
    torch.save(timm.create_model(name).state_dict(), tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    cfg = timm.models.get_pretrained_cfg(name)

    def published(path):
        server.files[path] = content
        monkeypatch.setattr(cfg, "url", server.url(path))
        monkeypatch.setattr(timm.models, "get_pretrained_cfg", lambda _: cfg)

    published(f"/{name}-{digest[:8]}.pth")
    return name, digest, published


def test_timms_weights_are_checked_by_the_hash_in_their_name(server, small):
    name, digest, published = small
    state = weights(Settings(name, "timm", None))
    assert state.keys() == timm.create_model(name).state_dict().keys()
    published(f"/{name}-{'0' * 8}.pth")
    with pytest.raises(UserError, match=rf"weights\.{name}: .*{digest}, not 00000000"):
        weights(Settings(name, "timm", None))


def test_weights_without_a_hash_are_not_fetched(server, small):
    name, digest, published = small
    published("/w.pth")
    with pytest.raises(UserError, match=r"no known SHA-256.* \| sha256sum`\) and write .*source: timm, sha256: …"):
        weights(Settings(name, "timm", None))
    assert not server.asked
    assert weights(Settings(name, "timm", digest))
    with pytest.raises(UserError, match=f"not {'1' * 64}"):
        weights(Settings(name, "timm", "1" * 64))


def test_a_url_is_a_source(server, small):
    server.files["/my.safetensors"] = CONTENT
    state = weights(Settings("resnet18", server.url("/my.safetensors"), DIGEST))
    assert torch.equal(state["a"], torch.arange(1000.0))
    with pytest.raises(UserError, match="no known SHA-256"):
        weights(Settings("resnet18", server.url("/my.safetensors"), None))


def test_a_cached_file_needs_no_network(server, small):
    first = weights(Settings(small[0], "timm", None))
    stop(server)
    with contextlib.suppress(OSError):
        second = weights(Settings(small[0], "timm", None))
    assert all(torch.equal(first[key], second[key]) for key in first)

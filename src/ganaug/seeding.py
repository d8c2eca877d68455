"""Seeds by a stable hash, and deterministic PyTorch."""

import hashlib
import json
import os


def derive_seed(study_seed: int, stage: str, **cell: object) -> int:
    """Seed of a stage for one cell: the first 63 bits of SHA-256 over the canonical JSON of its identity.

    study_seed: the study's seed. stage: name of what is seeded. cell: what tells the cell from the others
    (size, replicate, backbone, …), JSON-serialisable. Returns an integer in [0, 2**63). The order of the keywords
    has no influence, neither have the platform, the Python version nor PYTHONHASHSEED.
    """
    identity = json.dumps([study_seed, stage, cell], sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") >> 1


def set_determinism(threads: int) -> None:
    """Make PyTorch give the same bytes for the same inputs on the same machine with the same thread count.

    threads: intra-operator threads; part of what decides the bytes, since sums are split among them.
    """
    import torch
    import torch.utils.deterministic

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with this
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        # On a CPU what is used here is deterministic anyway, and asking for it costs seconds of imports per process.
        torch.use_deterministic_algorithms(True)
    # A help in debugging that takes 6 % of a GAN's time. PyTorch's types lack the documented attribute.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    # cuDNN rounds to TF32 unless told not to.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

"""The GAN's rates of src/ganaug/overview/gpu_rates.py, fitted to what benchmarks/gpu.py has measured.

    python benchmarks/gpu.py --parts speed --json rows.json        on the machine with the GPU
    python benchmarks/fit_gpu.py rows.json                              anywhere; or benchmarks/measured/h100.json

Prints the constants, what each row was measured at and is guessed at by them, and the table for docs/gpu.md. What rows
can't tell (a precision that none has, say) stays as gpu_rates has it.
"""

import argparse
import json
import sys
from math import exp, log
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from ganaug.overview import gpu_rates
from ganaug.overview.guesses import gan_gpu_seconds

KINDS = ("float32", "tf32", "bfloat16", "float16")
FULL = {"path_length_weight": 2, "half_resolutions": 4}  # what benchmarks/gan.py trains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="+", help="JSON files of benchmarks/gpu.py")
    found = [json.loads(path.read_text()) for path in parser.parse_args().rows]
    every = [row for rows in found for row in (rows["rows"] if isinstance(rows, dict) else rows)]
    rows = list({row["case"]: row for row in every if "case" in row}.values())  # of each case the last
    measured = [row for row in map(complete, rows) if "seconds_per_kimg" in row]
    speed = [row for row in measured if row.get("part") == "speed" and row["p"] and not row["cudnn_benchmark"]]
    fit(speed)
    for name in ("GAN_PER_PRODUCT", "GAN_PER_VALUE"):
        print(name, "= {" + ", ".join(f'"{k}": {v:.2g}' for k, v in getattr(gpu_rates, name).items()) + "}")
    print(f"GAN_STEP = {gpu_rates.GAN_STEP:.2g}")
    print("\nguessed over measured:")
    for row in speed:
        print(f"  {guessed(row) / row['seconds_per_kimg']:.2f}  {shape(row)}")
    print("\n| resolution | channel_base / channel_max | batch | precision | seconds a kimg | GPU memory, GB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in sorted(speed, key=lambda row: (row["resolution"], row["channel_base"], row["batch"])):
        print(f"| {shape(row)} | {row['seconds_per_kimg']:.3g} | {row.get('memory_gb', '')} |")


def complete(row: dict) -> dict:
    """A row with all the settings of its case."""
    import gpu  # benchmarks/gpu.py

    if "case" in row:
        return gpu.PLAIN | gpu.CASES[row["case"]] | row
    return row


def shape(row: dict) -> str:
    kinds = [row["precision"]] if row["precision"] != "float32" else []
    precision = ", ".join([*kinds, "tf32"] if row["tf32"] else kinds or ["float32"])
    return f"{row['resolution']} | {row['channel_base']:,} / {row['channel_max']} | {row['batch']} | {precision}"


def guessed(row: dict) -> float:
    """Seconds for 1,000 images."""
    return 1000 * gan_gpu_seconds(row | FULL, row["resolution"])


def fit(rows: list[dict]) -> None:
    """Sets the constants so that the squares of the logarithms of guessed over measured are least."""
    from scipy.optimize import least_squares

    # A value's precision matters by its bytes alone; float32 and TF32 have four, the others two.
    begin = [log(gpu_rates.GAN_PER_PRODUCT[kind]) for kind in KINDS]
    begin += [log(gpu_rates.GAN_PER_VALUE[kind]) for kind in ("float32", "bfloat16")] + [log(gpu_rates.GAN_STEP)]

    def misses(x):
        gpu_rates.GAN_PER_PRODUCT = dict(zip(KINDS, map(exp, x), strict=False))
        gpu_rates.GAN_PER_VALUE = {kind: exp(x[4 if kind in ("float32", "tf32") else 5]) for kind in KINDS}
        gpu_rates.GAN_STEP = exp(x[6])
        held = [0.02 * (a - b) for a, b in zip(x, begin, strict=True)]
        return [log(guessed(row) / row["seconds_per_kimg"]) for row in rows] + held

    # From several beginnings: where the step is the bound of no row, or of all, nothing pulls at the rest.
    found = [least_squares(misses, [*begin[:6], begin[6] + log(f)]) for f in (0.01, 0.03, 0.1, 0.3, 1.0)]
    misses(min(found, key=lambda result: result.cost).x)


if __name__ == "__main__":
    main()

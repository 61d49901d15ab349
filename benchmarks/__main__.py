"""Print the speed table and the memory table, and write them to files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
import torch

from benchmarks import measure, memory, nulls, pages, projections, recording, rendering, training
from fer_lib.artifacts.files import write_aside

PARTS = {
    "projections": projections.rows,
    "recording": recording.rows,
    "training": training.rows,
    "nulls": nulls.rows,
    "rendering": rendering.rows,
    "pages": pages.rows,
}
_MEMORY = "memory"


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmarks named on the command line, all by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    known = [*PARTS, _MEMORY]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(known)}; default: all")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).with_name("latest.json"),
        help="file to write; memory.json lies beside it",
    )
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(known)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: choose from {', '.join(known)}")
    torch.set_num_threads(options.threads)
    parts = options.parts or known
    if any(name in PARTS for name in parts):
        _speed([name for name in parts if name in PARTS], options.quick, options.out)
    if _MEMORY in parts:
        _peaks(options.quick, options.out.with_name("memory.json"))


def _speed(parts: list[str], quick: bool, out: Path) -> None:
    rate = measure.products_per_second()
    machine = f"{measure.machine()}, matrix product {2e-9 * rate:.0f} GFLOP/s"
    print(machine)
    table = []
    for name in parts:
        for row in PARTS[name](rate, quick):
            print(
                f"{row.operation}: {row.ours_seconds:.3g} s; {row.peer}: {row.peer_seconds:.3g} s", flush=True
            )
            table.append(row.as_dict(machine, quick))
    _write(table, out)


def _peaks(quick: bool, out: Path) -> None:
    machine, table = measure.machine(), []
    for row in memory.rows(quick):
        print(
            f"{row.operation}, {row.pictures:,} pictures: {row.peak_bytes / 1e6:.0f} MB, {row.seconds:.3g} s",
            flush=True,
        )
        table.append(row.as_dict(machine, quick))
    _write(table, out)


def _write(table: list[dict[str, object]], out: Path) -> None:
    write_aside(out, (json.dumps(table, indent=1) + "\n").encode())
    shown = pd.DataFrame(table).drop(columns=["machine", "date", "code", "quick"])
    if "limit_seconds" in shown:
        shown = shown.fillna({"limit_seconds": float("nan")})
    print(shown.to_string(index=False, float_format="{:.3g}".format, na_rep=""))


if __name__ == "__main__":
    main()

"""Print the speed table and write it to a file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
import torch

from benchmarks import measure, nulls, pages, projections, recording, rendering, training
from fer_lib.artifacts.files import write_aside

PARTS = {
    "projections": projections.rows,
    "recording": recording.rows,
    "training": training.rows,
    "nulls": nulls.rows,
    "rendering": rendering.rows,
    "pages": pages.rows,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmarks named on the command line, all by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).with_name("latest.json"), help="file to write"
    )
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    torch.set_num_threads(options.threads)
    rate = measure.products_per_second()
    machine = f"{measure.machine()}, matrix product {2e-9 * rate:.0f} GFLOP/s"
    print(machine)
    table = []
    for name in options.parts or PARTS:
        for row in PARTS[name](rate, options.quick):
            print(
                f"{row.operation}: {row.ours_seconds:.3g} s; {row.peer}: {row.peer_seconds:.3g} s", flush=True
            )
            table.append(row.as_dict(machine, options.quick))
    write_aside(options.out, (json.dumps(table, indent=1) + "\n").encode())
    shown = (
        pd.DataFrame(table)
        .drop(columns=["machine", "date", "code", "quick"])
        .fillna({"limit_seconds": float("nan")})
    )
    print(shown.to_string(index=False, float_format="{:.3g}".format, na_rep=""))


if __name__ == "__main__":
    main()

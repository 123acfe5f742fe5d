//! A format of another crate is read and written on every executor, with progress and the places of errors.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use holdall::events::Event;
use holdall::executor::{RemoteExecutor, Report, Stage, TaskSpec, Tasks, Worker};
use holdall::files::OutputOptions;
use holdall::{BadRecords, Context, ErrorKind, Executor, Result, StageOutput};
use holdall_test_extensions::{FixedLengthSink, Recorder, read_fixed_length};

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    holdall::init();
}

/// Runs `behaviour` on each executor.
fn on_every_executor(behaviour: impl Fn(&Context, &Recorder)) {
    for executor in [
        Executor::Inline,
        Executor::Threads(2),
        Executor::Processes(2),
    ] {
        let recorder = Recorder::default();
        let builder = Context::builder().executor(executor).progress(false);
        let context = builder.observer(recorder.clone()).build();
        behaviour(&context.expect("the settings are right"), &recorder);
    }
}

/// Writes files with the numbers from 0, as records of four bytes.
fn write_numbers(directory: &Path, counts: &[u32]) -> Vec<PathBuf> {
    let mut next = 0;
    let mut paths = Vec::new();
    for (number, count) in counts.iter().enumerate() {
        let records: Vec<u8> = (next..next + count).flat_map(u32::to_be_bytes).collect();
        next += count;
        paths.push(directory.join(format!("numbers-{number}")));
        fs::write(&paths[number], records).expect("room for a file");
    }
    paths
}

fn number(record: &[u8]) -> u32 {
    u32::from_be_bytes(record.try_into().expect("four bytes"))
}

#[test]
fn records_are_those_of_the_files_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = write_numbers(directory.path(), &[50_000, 0, 7]);
    on_every_executor(|context, recorder| {
        let records = read_fixed_length(context, paths.clone(), 4, 10_000).expect("files");
        assert_eq!(records.partitions(), Some(6));
        let numbers = records.clone().map(number);
        assert!(
            numbers
                .collect()
                .expect("numbers")
                .into_iter()
                .eq(0..50_007)
        );
        let events = recorder.take();
        let read = events.iter().map(|event| match event {
            Event::TasksDone { input_bytes, .. } => *input_bytes,
            _ => 0,
        });
        assert_eq!(read.sum::<u64>(), 4 * 50_007);
        let planned = events.iter().find_map(|event| match event {
            Event::StageStarted { input_bytes, .. } => *input_bytes,
            _ => None,
        });
        assert_eq!(planned, Some(4 * 50_007));
        let summary = context.last_job().expect("a job");
        assert_eq!(summary.stages[0].input_bytes, 4 * 50_007);

        assert_eq!(records.first().expect("a record"), Some(vec![0; 4]));
        // A task stops after the first record, so it reads one block.
        let summary = context.last_job().expect("a job");
        assert!(summary.stages[0].input_bytes <= 6 * 40_000);
    });
}

#[test]
fn the_source_is_in_the_plan() {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = write_numbers(directory.path(), &[100, 100]);
    let context = Context::default();
    let line = line!() + 1;
    let records = read_fixed_length(&context, paths, 4, 50).expect("files");
    let plan = records.explain();
    let stage = &plan.stages()[0];
    assert_eq!((stage.partitions, stage.input_bytes), (Some(4), Some(800)));
    assert_eq!(stage.output, StageOutput::Result);
    let source = &stage.operators[0];
    assert_eq!(source.name, "read_fixed_length");
    assert_eq!(source.detail, "2 files");
    assert_eq!(
        (source.location.file(), source.location.line()),
        (file!(), line)
    );

    // A selection does not read all of it.
    let plan = records.select_partitions(1..2).explain();
    let stage = &plan.stages()[0];
    assert_eq!((stage.partitions, stage.input_bytes), (Some(1), None));
}

#[test]
fn errors_and_panics_have_the_place_of_the_record() {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = write_numbers(directory.path(), &[30_000, 30_000]);
    on_every_executor(|context, _| {
        let read = || read_fixed_length(context, paths.clone(), 4, 8_000).expect("files");
        let failed = read().try_map(|record| match number(record) {
            45_678 => Err("on purpose"),
            number => Ok(number),
        });
        let panicked = read().map(|record| assert_ne!(number(record), 45_678));
        let filtered = read().filter(|record| number(record).is_multiple_of(2));
        let filtered = filtered.inspect(|record| assert_ne!(number(record), 45_678));
        let errors = [
            failed.count().expect_err("it fails"),
            panicked.count().expect_err("it panics"),
            filtered.map(number).max().expect_err("it panics"),
        ];
        for error in errors {
            let place = error.context().expect("a place");
            assert_eq!(place.partition, Some(5), "{error}");
            assert_eq!(place.path.as_deref(), Some(&*paths[1]), "{error}");
            assert_eq!(place.record, Some(15_679), "{error}");
            assert_eq!(place.offset, Some(4 * 15_678), "{error}");
            let place = "numbers-1 record 15679 byte 62712)";
            assert!(error.to_string().contains(place), "{error}");
        }
    });
}

#[test]
fn an_error_of_the_source_has_its_place_and_cause() {
    let directory = tempfile::tempdir().expect("a directory");
    on_every_executor(|context, _| {
        let paths = write_numbers(directory.path(), &[100, 100_000]);
        let mut content = fs::read(&paths[1]).expect("a file");
        content[4 * 60_000..4 * 60_001].fill(0xff);
        fs::write(&paths[1], content).expect("a file");
        let records = read_fixed_length(context, paths.clone(), 4, 50_000).expect("files");
        let error = records.count().expect_err("a record is erased");
        assert!(matches!(error.kind(), ErrorKind::Read { .. }), "{error:?}");
        assert!(error.is_io(), "{error:?}");
        let place = error.context().expect("a place");
        assert_eq!(place.operator, Some("read_fixed_length"));
        assert_eq!(
            place.location.map(|location| location.file()),
            Some(file!())
        );
        assert_eq!((place.stage, place.partition), (Some(1), Some(2)));
        assert_eq!(place.path.as_deref(), Some(&*paths[1]));
        assert_eq!(
            (place.record, place.offset),
            (Some(60_001), Some(4 * 60_000))
        );
        let text = error.to_string();
        assert!(
            text.starts_with("cannot read records in read_fixed_length at "),
            "{text}"
        );

        // Errors of the library stay what they are.
        let file = fs::File::options().write(true).open(&paths[1]);
        file.and_then(|file| file.set_len(4 * 60_000))
            .expect("a file");
        let error = records.count().expect_err("the file is shorter");
        assert!(
            matches!(error.kind(), ErrorKind::InputChanged { path, .. } if *path == paths[1]),
            "{error:?}"
        );
        fs::remove_file(&paths[1]).expect("a file");
        let error = records.count().expect_err("a file is missing");
        assert!(
            matches!(error.kind(), ErrorKind::Io { path, .. } if *path == paths[1]),
            "{error:?}"
        );
        let error = read_fixed_length(context, paths, 4, 50_000).err();
        let error = error.expect("a file is missing");
        assert!(
            matches!(error.kind(), ErrorKind::NoInput { .. }),
            "{error:?}"
        );
    });
    let odd = directory.path().join("odd");
    fs::write(&odd, [0; 7]).expect("room for a file");
    let error = read_fixed_length(&Context::default(), vec![odd], 4, 10).err();
    let error = error.expect("7 bytes").to_string();
    assert!(
        error.ends_with("odd has 7 bytes, not a multiple of 4"),
        "{error}"
    );
}

#[test]
fn what_is_written_is_what_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = write_numbers(directory.path(), &[20_000]);
    let output = directory.path().join("output");
    on_every_executor(|context, recorder| {
        let records = read_fixed_length(context, paths.clone(), 4, 3_000).expect("files");
        let sink = FixedLengthSink::new(context, &output, 4).expect("a directory");
        let even = records.filter(|record| number(record).is_multiple_of(2));
        let (count, files) = even.write(sink).expect("an output");
        assert_eq!((count, files.len()), (10_000, 7));
        let action = recorder.take().into_iter().find_map(|event| match event {
            Event::JobStarted { action, .. } => Some(action),
            _ => None,
        });
        assert_eq!(action, Some("write_fixed_length"));

        let expected = (0..7).map(|number| output.join(format!("part-{number:05}.bin")));
        assert!(expected.eq(files));
        let back = read_fixed_length(context, &output, 4, 100_000).expect("files");
        assert_eq!(back.partitions(), Some(7));
        let numbers = back.map(number).collect().expect("numbers");
        assert!(numbers.into_iter().eq((0..20_000).step_by(2)));

        let error = FixedLengthSink::new(context, &output, 4).expect_err("it exists");
        assert!(
            matches!(error.kind(), ErrorKind::OutputExists { .. }),
            "{error:?}"
        );
        fs::remove_dir_all(&output).expect("a directory");
        assert_eq!(names(directory.path()), ["numbers-0"]);
    });
}

#[test]
fn a_failed_output_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = write_numbers(directory.path(), &[20_000]);
    let output = directory.path().join("output");
    on_every_executor(|context, _| {
        let records = read_fixed_length(context, paths.clone(), 4, 3_000).expect("files");
        let sink = FixedLengthSink::new(context, &output, 5).expect("a directory");
        let error = records.write(sink).expect_err("4 bytes are not 5");
        assert!(matches!(error.kind(), ErrorKind::Write { .. }), "{error:?}");
        let place = error.context().expect("a place");
        assert_eq!(place.operator, Some("write_fixed_length"));
        assert!(place.path.is_some() && place.record.is_some(), "{error}");
        let text = error.to_string();
        assert!(text.ends_with(": a record has 4 bytes, not 5"), "{text}");
        assert_eq!(names(directory.path()), ["numbers-0"]);
    });
}

/// Runs each task three times: its worker is lost at the end of the first attempt, and another attempt goes on after the
/// task is done.
#[derive(Default)]
struct Thrice {
    workers: AtomicUsize,
}

impl Thrice {
    fn attempt(&self, stage: &Stage, tasks: &Tasks<'_>, task: &TaskSpec) -> Result<Report> {
        let mut worker = Worker::new(self.workers.fetch_add(1, Ordering::Relaxed));
        worker.run(stage, task, &mut |partition, number, chunk| {
            tasks.chunk(task, partition, number, chunk);
        })
    }
}

impl RemoteExecutor for Thrice {
    fn slots(&self) -> usize {
        1
    }

    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        while let Some(task) = tasks.next() {
            let report = self.attempt(stage, tasks, &task)?;
            if task.attempt == 1 {
                tasks.lost(&task, 1, "on purpose");
            } else {
                tasks.done(&task, report);
                self.attempt(stage, tasks, &task)?;
            }
        }
        Ok(())
    }
}

#[test]
fn repeated_attempts_do_not_show_in_the_output() {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = write_numbers(directory.path(), &[20_000]);
    let output = directory.path().join("output");
    let builder = Context::builder().remote_executor(Thrice::default());
    let context = builder
        .progress(false)
        .build()
        .expect("the settings are right");
    let records = read_fixed_length(&context, paths.clone(), 4, 3_000).expect("files");
    let sink = FixedLengthSink::new(&context, &output, 4).expect("a directory");
    assert_eq!(records.write(sink).expect("an output").0, 20_000);
    assert_eq!(names(&output).len(), 7);
    let written = names(&output)
        .into_iter()
        .flat_map(|name| fs::read(output.join(name)).expect("a file"));
    assert!(written.eq(fs::read(&paths[0]).expect("a file")));
    assert_eq!(names(directory.path()), ["numbers-0", "output"]);
}

#[test]
fn repeated_attempts_do_not_show_in_bad_records() {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = write_numbers(directory.path(), &[20_000]);
    let builder = Context::builder().remote_executor(Thrice::default());
    let context = builder
        .progress(false)
        .build()
        .expect("the settings are right");
    let kept = directory.path().join("kept");
    let output = context.begin_output(&kept, &OutputOptions::default());
    let bad = BadRecords::new("odd numbers").limit(10_000);
    let bad = bad.quarantine(output.expect("room")).expect("an output");
    let records = read_fixed_length(&context, paths, 4, 3_000).expect("files");
    let even = records.map(number).map(|number| match number % 2 {
        0 => Ok(number),
        _ => Err(format!("{number} is odd")),
    });
    assert_eq!(even.ok_or_skip(&bad).count().expect("numbers"), 10_000);
    assert_eq!(bad.count(), 10_000);
    assert_eq!(bad.samples()[0].record, Some(2));
    let files = bad.finish().expect("an output");
    assert_eq!(files.len(), 7);
    let lines = context.read_text(&kept).and_then(|lines| lines.collect());
    let lines = lines.expect("a text");
    let odd = (1..20_000)
        .step_by(2)
        .map(|n| format!("\t{}\t{n} is odd\t", 4 * n));
    assert!(
        lines
            .iter()
            .zip(odd)
            .all(|(line, odd)| line.ends_with(&odd))
    );
    assert_eq!(lines.len(), 10_000);
}

/// Returns the names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let names = entries.map(|entry| entry.expect("a directory").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

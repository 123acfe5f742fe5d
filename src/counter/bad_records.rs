//! Records that a job skips instead of failing: their number, some samples, and a directory for all of them.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result, plain};
use crate::files::{FinishedFile, NewOutput, OutputFile, OutputWriter, attempt_name};

/// Default number of samples.
const SAMPLES: usize = 20;

/// Maximum length of the text of a sample, in bytes. The quarantine has the whole text.
const SAMPLE_BYTES: usize = 1 << 10;

/// Records and files that jobs skip because they are bad, with their exact number and some samples.
///
/// Without it, the first bad record ends the job. Pass it to a method that may meet bad records:
///
/// | bad | method |
/// | --- | --- |
/// | the `Err` of a bag of results | [`Bag::ok_or_skip`](crate::Bag::ok_or_skip) |
/// | text that a closure cannot parse | [`Bag::parse_or_skip`](crate::Bag::parse_or_skip) |
/// | text that is not UTF-8, lines that are too long, and files that are missing, damaged or unreadable | [`TextReader::bad_records`](crate::TextReader::bad_records) |
///
/// The number is exact on every [executor](crate::Executor): what a task has skipped takes effect once, when the task
/// completes, even if the task was retried. As for a [`Counter`](crate::Counter), each action computes the bag again, and
/// counts again. A `BadRecords` is cheap to clone, and closures receive it by [`with`](crate::Bag::with).
///
/// # Examples
///
/// ```
/// use holdall::BadRecords;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("numbers");
/// std::fs::write(&path, "1\ntwo\n3\n")?;
/// let bad = BadRecords::new("bad lines").limit(10);
/// let numbers = holdall::read_text(&path)?.map(|line| line.parse::<u64>()).ok_or_skip(&bad);
/// assert_eq!(numbers.sum::<u64>()?, 4);
///
/// assert_eq!(bad.count(), 1);
/// let sample = &bad.samples()[0];
/// assert_eq!((sample.path.as_deref(), sample.offset, sample.line), (Some(path.as_path()), Some(2), Some(2)));
/// assert_eq!(sample.reason, "invalid digit found in string");
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone)]
pub struct BadRecords(Arc<Shared>);

struct Shared {
    options: Options,
    state: Mutex<State>,
    quarantine: Mutex<Option<NewOutput>>,
}

/// Settings that tasks need.
#[derive(Clone, Serialize, Deserialize)]
struct Options {
    id: u64,
    name: String,
    limit: Option<u64>,
    max_samples: usize,
    /// Creates files of the quarantine.
    writer: Option<OutputWriter>,
}

#[derive(Default)]
struct State {
    count: u64,
    /// The first samples, by job, stage and partition.
    samples: Vec<(Place, BadRecord)>,
    /// The files of the quarantine.
    files: Vec<(Place, FinishedFile)>,
    /// The last job that has skipped records, and their number.
    job: (u64, u64),
}

/// Numbers of a job, of a stage and of a partition.
type Place = (u64, usize, usize);

/// A record or a file that was skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BadRecord {
    /// The file, if it is known.
    #[serde(with = "plain")]
    pub path: Option<PathBuf>,
    /// The start of the record in the file, in bytes of the (decompressed) text.
    pub offset: Option<u64>,
    /// The number of the line, counted from 1. It is known for lines of local files, within the first GiB of the file.
    pub line: Option<u64>,
    /// The number of the record in the file, counted from 1, if its [`Source`](crate::Source) numbers records.
    pub record: Option<u64>,
    /// Reason why it is bad.
    pub reason: String,
    /// The text of the record, if it is known. In a sample, at most the first 1,024 bytes. Bytes that are not UTF-8 are
    /// replaced.
    pub text: Option<String>,
    /// Whether `offset` is that of a line of text.
    pub(crate) is_line: bool,
}

/// All `BadRecords` of this process that have an owner.
static ALL: Mutex<Option<HashMap<u64, Weak<Shared>>>> = Mutex::new(None);

impl BadRecords {
    /// Creates an empty collection of bad records, without a limit, with 20 samples and without a quarantine. The name
    /// appears in errors; it need not be unique.
    pub fn new(name: impl Into<String>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // The process id distinguishes those of a worker process from those of the driver.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::with_options(Options {
            id: u64::from(std::process::id()) << 32 | number,
            name: name.into(),
            limit: None,
            max_samples: SAMPLES,
            writer: None,
        })
    }

    fn with_options(options: Options) -> Self {
        if let Some(known) = Self::known(options.id) {
            return known;
        }
        let id = options.id;
        let shared = Arc::new(Shared {
            options,
            state: Mutex::default(),
            quarantine: Mutex::default(),
        });
        let mut all = lock(&ALL);
        let all = all.get_or_insert_default();
        all.retain(|_, shared| shared.strong_count() > 0);
        all.insert(id, Arc::downgrade(&shared));
        Self(shared)
    }

    /// Returns the one with this id, if it has an owner in this process.
    fn known(id: u64) -> Option<Self> {
        lock(&ALL).as_ref()?.get(&id)?.upgrade().map(Self)
    }

    /// Returns a new one with other options.
    fn changed(&self, change: impl FnOnce(&mut Options)) -> Self {
        let mut new = self.0.options.clone();
        new.id = Self::new("").0.options.id;
        change(&mut new);
        Self::with_options(new)
    }

    /// Sets the maximum number of bad records of one job. A job with more fails with
    /// [`TooManyBadRecords`](crate::ErrorKind::TooManyBadRecords), on every executor. Default: no limit.
    ///
    /// The limit is set before the first job: this method, [`max_samples`](Self::max_samples) and
    /// [`quarantine`](Self::quarantine) return a new collection.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{BadRecords, ErrorKind};
    ///
    /// let bad = BadRecords::new("odd numbers").limit(2);
    /// let even = holdall::range(0..10).map(|n| if n % 2 == 0 { Ok(n) } else { Err("odd") }).ok_or_skip(&bad);
    /// let error = even.count().unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::TooManyBadRecords { limit: 2, .. }), "{error}");
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use = "returns a new collection"]
    pub fn limit(self, records: u64) -> Self {
        self.changed(|options| options.limit = Some(records))
    }

    /// Sets the maximum number of [samples](Self::samples). Default: 20. Each task keeps as many in memory.
    #[must_use = "returns a new collection"]
    pub fn max_samples(self, samples: usize) -> Self {
        self.changed(|options| options.max_samples = samples)
    }

    /// Writes all bad records of one job to a directory, which appears when you call [`finish`](Self::finish). Begin the
    /// directory by [`Context::begin_output`](crate::Context::begin_output); it may be on any file system.
    ///
    /// Each line has four fields, separated by tabs: path, byte, reason and text. A field that is unknown is empty. In a
    /// field, a tab is written as `\t`, a line feed as `\n`, a carriage return as `\r`, and a backslash as `\\`. The
    /// lines are in the order of the stages, of the partitions, and of the records.
    ///
    /// # Errors
    ///
    /// Returns an error if the output cannot be serialised.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::files::OutputOptions;
    /// use holdall::{BadRecords, Context};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("numbers", "1\ntwo\n3\n")?;
    /// let context = Context::default();
    /// let bad = BadRecords::new("bad lines").quarantine(context.begin_output("bad", &OutputOptions::default())?)?;
    /// let numbers = context.read_text("numbers")?.parse_or_skip(&bad, |line| line.parse::<u64>());
    /// assert_eq!(numbers.sum::<u64>()?, 4);
    /// let files = bad.finish()?;
    /// assert_eq!(std::fs::read_to_string(&files[0])?, "numbers\t2\tinvalid digit found in string\ttwo\n");
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn quarantine(self, output: NewOutput) -> Result<Self> {
        let writer = output.writer("", None)?;
        let new = self.changed(|options| options.writer = Some(writer));
        *lock(&new.0.quarantine) = Some(output);
        Ok(new)
    }

    /// Makes the quarantine visible. Returns its files; none if nothing was bad, and then the directory does not appear.
    ///
    /// A quarantine has the records of one job. The next one needs a new quarantine. If you do not call this method, the
    /// quarantine is deleted with the last clone of this value, and with the last bag that uses it.
    ///
    /// # Errors
    ///
    /// Returns an error if the file system fails, or if something has appeared at the path.
    pub fn finish(&self) -> Result<Vec<PathBuf>> {
        let output = lock(&self.0.quarantine).take();
        let mut files = std::mem::take(&mut self.lock().files);
        files.sort_by_key(|(place, _)| *place);
        match output {
            Some(output) if !files.is_empty() => {
                output.commit(files.into_iter().map(|(_, file)| file).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Returns the number of bad records that jobs have skipped so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    /// Returns the name that was passed to [`new`](Self::new).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.options.name
    }

    /// Returns the first bad records, in the order of the jobs, stages, partitions and records. Their lines are unknown.
    pub(crate) fn first(&self) -> Vec<BadRecord> {
        let state = self.lock();
        let records = state.samples.iter();
        records.map(|(_, record)| record.clone()).collect()
    }

    fn check(&self, count: u64, example: Option<&BadRecord>) -> Result<()> {
        match self.0.options.limit {
            Some(limit) if count > limit => Err(Error::new(ErrorKind::TooManyBadRecords {
                name: self.0.options.name.clone(),
                limit,
                example: example.map(ToString::to_string).unwrap_or_default(),
            })),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

impl fmt::Debug for BadRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BadRecords")
            .field("name", &self.name())
            .field("count", &self.count())
            .finish()
    }
}

/// Prints the name and the count: `bad lines: 3`.
impl fmt::Display for BadRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.count())
    }
}

impl Serialize for BadRecords {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.options.serialize(serializer)
    }
}

/// Returns the serialised value itself in the process that created it, and a substitute with the same id in any other
/// process.
impl<'de> Deserialize<'de> for BadRecords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::with_options(Deserialize::deserialize(deserializer)?))
    }
}

impl BadRecord {
    /// Describes a file that cannot be read.
    pub(crate) fn of_file(path: &Path, reason: String) -> Self {
        Self {
            path: Some(path.to_owned()),
            reason,
            ..Self::default()
        }
    }

    /// Describes a line of text.
    pub(crate) fn of_line(path: &Path, offset: u64, reason: String, text: &[u8]) -> Self {
        Self {
            offset: Some(offset),
            is_line: true,
            text: Some(String::from_utf8_lossy(text).into_owned()),
            ..Self::of_file(path, reason)
        }
    }

    /// Appends it as a line of the quarantine.
    fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        let path = escaped(&path.to_string_lossy());
        let offset = self.offset.map(|offset| offset.to_string());
        let offset = offset.unwrap_or_default();
        let text = escaped(self.text.as_deref().unwrap_or_default());
        writeln!(to, "{path}\t{offset}\t{}\t{text}", escaped(&self.reason))
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Writes `FILE record R line L byte N: REASON`, with the parts that are known.
impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.iter().map(|path| path.display().to_string());
        let record = self.record.iter().map(|n| format!("record {n}"));
        let line = self.line.iter().map(|n| format!("line {n}"));
        let offset = self.offset.iter().map(|n| format!("byte {n}"));
        let place: Vec<_> = path.chain(record).chain(line).chain(offset).collect();
        if !place.is_empty() {
            write!(f, "{}: ", place.join(" "))?;
        }
        f.write_str(&self.reason)
    }
}

/// Bad records of one task.
pub(super) struct Rejects {
    bad: BadRecords,
    /// Number of the file in the quarantine.
    number: usize,
    count: u64,
    samples: Vec<BadRecord>,
    file: Option<OutputFile>,
}

impl Rejects {
    pub(super) fn new(bad: &BadRecords, stage: usize, partition: Option<usize>) -> Self {
        // The files are read in the order of their names.
        const STAGE: usize = 1_000_000_000;
        let partition = partition.unwrap_or(STAGE - 1);
        Self {
            bad: bad.clone(),
            number: stage.saturating_mul(STAGE).saturating_add(partition),
            count: 0,
            samples: Vec::new(),
            file: None,
        }
    }

    pub(super) fn are_of(&self, bad: &BadRecords) -> bool {
        Arc::ptr_eq(&self.bad.0, &bad.0)
    }

    pub(super) fn add(&mut self, mut record: BadRecord) -> Result<()> {
        let options = &self.bad.0.options;
        if let Some(writer) = &options.writer {
            let file = match &mut self.file {
                Some(file) => file,
                None => self
                    .file
                    .insert(writer.create(self.number, &attempt_name())?),
            };
            record.write(file)?;
        }
        self.count += 1;
        let checked = self.bad.check(self.count, Some(&record));
        if self.samples.len() < options.max_samples {
            if let Some(text) = &mut record.text {
                text.truncate(text.floor_char_boundary(SAMPLE_BYTES));
            }
            self.samples.push(record);
        }
        checked
    }

    pub(super) fn finish(self) -> Result<RejectUpdate> {
        Ok(RejectUpdate {
            id: self.bad.0.options.id,
            count: self.count,
            samples: self.samples,
            file: self.file.map(OutputFile::finish).transpose()?,
        })
    }
}

/// Bad records of one partition, for the process that runs the job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RejectUpdate {
    id: u64,
    count: u64,
    samples: Vec<BadRecord>,
    file: Option<FinishedFile>,
}

impl RejectUpdate {
    /// Adds the records to those of their owner. `at` is the stage and the partition.
    ///
    /// # Errors
    ///
    /// Returns an error if the job has more bad records than the limit, or if the quarantine has records of another job.
    pub(crate) fn apply(self, job: u64, (stage, partition): (usize, usize)) -> Result<()> {
        let Some(bad) = BadRecords::known(self.id) else {
            return Ok(());
        };
        let mut state = bad.lock();
        if state.job.0 != job {
            state.job = (job, 0);
        }
        state.job.1 += self.count;
        state.count += self.count;
        let place = (job, stage, partition);
        let example = self.samples.first().cloned();
        let samples = self.samples.into_iter();
        state.samples.extend(samples.map(|sample| (place, sample)));
        state.samples.sort_by_key(|(place, _)| *place);
        state.samples.truncate(bad.0.options.max_samples);
        if let Some(file) = self.file {
            if state.files.iter().any(|((other, ..), _)| *other != job) {
                return Err(Error::new(ErrorKind::InvalidSetting {
                    setting: "quarantine",
                    value: bad.name().to_owned(),
                    expected: "the bad records of one job; begin another quarantine for the next job",
                }));
            }
            state.files.push((place, file));
        }
        bad.check(state.job.1, example.as_ref())
    }
}

/// A panic while a lock is held leaves these values consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

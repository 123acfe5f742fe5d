//! A lazy, partitioned bag of records for text and data processing larger than memory.
//!
//! A [`Bag`] reads like an [`Iterator`] and runs on all cores. Methods that give another bag, such as
//! [`map`](Bag::map), are *transformations*: they run nothing. Methods that give a [`Result`], such as
//! [`collect`](Bag::collect), are *actions*: they run a job. No set-up is needed, and the same program gives the same
//! records in the same order, whatever the number of threads.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("hamlet.txt");
//! std::fs::write(&path, "To be, or not to be:\nthat is the question.\n").unwrap();
//! let top = holdall::read_text(&path)? // the lines, as a bag of `str`
//!     .words() // what stands between white space, as slices of the lines
//!     .map(|word| word.trim_matches([',', '.', ':']).to_lowercase())
//!     .count_by_value() // a bag of (word, count)
//!     .top_by_key(2, |(_, count)| *count)?; // here a job runs
//! let counts: Vec<u64> = top.iter().map(|(_, count)| *count).collect();
//! assert_eq!(counts, [2, 2]); // "to" and "be"
//! # Ok::<(), holdall::Error>(())
//! ```
//!
//! Where to go on: [`read_text`] and the other sources below; [`Bag`] for all methods, each with an example;
//! [`TextReader`] and [`TextWriter`] for files that are unlike others; [`Context`] for settings; the sections
//! of this page for what holds everywhere.
//!
//! # How it runs
//!
//! ```text
//!   read_text ──> words ──> count_by_value ──> top_by_key
//!
//!   stage 1: one task for each partition of the text       stage 2: one task for each partition of the counts
//!   ┌─────────────────────────────────────────────┐        ┌─────────────────────────────────────────┐
//!   │ read a block ─> lines ─> words ─> table     │──┐  ┌─>│ merge the tables ─> the best 20 of them │──┐
//!   ├─────────────────────────────────────────────┤  ├──┤  ├─────────────────────────────────────────┤  ├─> result
//!   │ read a block ─> lines ─> words ─> table     │──┘  └─>│ merge the tables ─> the best 20 of them │──┘
//!   └─────────────────────────────────────────────┘        └─────────────────────────────────────────┘
//!                                            shuffle: by hash of the word
//! ```
//!
//! - A call of a transformation adds an operator to the bag's *lineage* and to the chain of types that is its second
//!   parameter. Operators that work on each record by itself (*narrow* ones) are fused by the compiler into one loop:
//!   the source calls a closure with each record, and that calls the next one.
//! - An action cuts the lineage into *stages*, at each *shuffle*. [`Bag::explain`] prints them.
//! - The stages run one after the other. A stage has a *task* for each of its partitions; the threads of the executor
//!   take tasks until there are none left.
//! - A task pushes the records of its partition through the loop, and either hands them to the shuffle or gives the
//!   action a part of its value. What a shuffle does with them depends on the method: values of a key are combined at
//!   once, records of a key are gathered, or all are sorted. What does not fit into the [memory](#memory-and-disk) of
//!   the job is written to files, and merged from there.
//! - The action takes these parts in the order of the partitions.
//!
//! Nothing is kept between actions: running two on one bag does the work twice, unless it is told to
//! [`persist`](Bag::persist).
//!
//! # Order and partitions
//!
//! Records have an order: by partition, then by their position in it. [`collect`](Bag::collect), [`iter`](Bag::iter),
//! [`take`](Bag::take) and [`write_text`](Bag::write_text) follow it. It does not depend on the executor, on the number
//! of threads or on the run.
//!
//! | method | partitions | order |
//! | --- | --- | --- |
//! | [`read_text`] | by bytes: large files are divided, small ones packed together | of the files, then of the lines |
//! | [`from_vec`], [`range`] | 64, or one for each record if there are fewer | of the source |
//! | [`from_iter`], [`from_fn`] | as they come: 64 records, 128, … up to [1,024 or more](Context::from_iter) in each | of the source |
//! | [`map`](Bag::map), [`filter`](Bag::filter), [`flat_map`](Bag::flat_map) and all others of one record | kept | kept |
//! | [`map_partitions`](Bag::map_partitions) | kept | of `emit` in each partition |
//! | [`persist`](Bag::persist), [`sample`](Bag::sample), [`zip_with_index`](Bag::zip_with_index) | kept | kept |
//! | [`coalesce`](Bag::coalesce) | neighbours put together, to as many as asked for | kept |
//! | [`union`](Bag::union) | of the first bag, then of the second | of the first bag, then of the second |
//! | [`count_by_value`](Bag::count_by_value), [`distinct`](Bag::distinct), [`count_by_key`](Bag::count_by_key), [`sum_by_key`](Bag::sum_by_key), [`reduce_by_key`](Bag::reduce_by_key), [`fold_by_key`](Bag::fold_by_key), [`aggregate_by_key`](Bag::aggregate_by_key), [`combine_by_key`](Bag::combine_by_key) | [`shuffle_partitions`](ContextBuilder::shuffle_partitions), 64 by default | by the [hash](#hash) of the key, then by its bytes |
//! | [`group_by_key`](Bag::group_by_key), [`cogroup`](Bag::cogroup) | the same | the same; the values of a key in the order of their bag |
//! | [`join`](Bag::join) and the other joins, [`intersection`](Bag::intersection), [`subtract`](Bag::subtract) | the same | the same; rows of a key in the order of the left bag, then of the right |
//! | [`join_broadcast`](Bag::join_broadcast) and the other `…_broadcast` | kept | kept; rows of one record in the order of the small bag |
//! | [`sort`](Bag::sort), [`sort_by`](Bag::sort_by), [`sort_by_key`](Bag::sort_by_key), [`sort_by_cached_key`](Bag::sort_by_cached_key), [`merge_sorted`](Bag::merge_sorted) | [`shuffle_partitions`](ContextBuilder::shuffle_partitions), each a range of the order | sorted; equal records as before |
//! | [`repartition`](Bag::repartition) | as many as asked for | dealt out in turn; in each partition as before |
//! | [`partition_by`](Bag::partition_by) | as many as asked for, each a range of the hash of the key | in each partition as before |
//! | [`repartition_and_sort_within_partitions`](Bag::repartition_and_sort_within_partitions) | the same | in each partition by key; equal keys as before |
//!
//! Records that are in the partition of their key already, of as many as are asked for, are not shuffled again: they
//! are combined, grouped, joined or sorted where they are, one or both sides of a join, with the same result. So they
//! are after every method that gives the order of the hash, and after [`partition_by`](Bag::partition_by) and
//! [`repartition_and_sort_within_partitions`](Bag::repartition_and_sort_within_partitions), as long as what follows
//! leaves the keys as they are: [`filter`](Bag::filter), [`map_values`](Bag::map_values), [`keys`](Bag::keys),
//! [`inspect`](Bag::inspect), [`persist`](Bag::persist), [`sample`](Bag::sample).
//!
//! None of these numbers is taken from the machine, so a program gives the same bytes on a large one and on a small
//! one. Within that, some things may still depend on how the input is partitioned: where the partitions after a sort
//! begin and end, what a closure of [`map_partitions`](Bag::map_partitions) sees, and the result of combining
//! floating-point numbers, whose `+` is not quite associative.
//!
//! Values of a key are combined in the order of the bag. A closure that combines must be associative; it need not be
//! commutative. In which groups they are combined is settled by the partitions and what is in them: values within each
//! partition (where more than 512 are known, within two or more neighbours), and then what came of those, from the first to
//! the last. Only where the keys of a partition or of such neighbours take more memory than the thread gets for them, that
//! has a say too. So sums of floating-point numbers *by key* may then differ in their last digits with the memory budget,
//! with the number of threads and with what else shares the budget. For the same digits always, have smaller partitions,
//! or sum whole numbers.
//!
//! # Closures
//!
//! A closure may be called on any thread, on several threads at once, and again for the same record by the next
//! action. So it must be deterministic: the same record gives the same result, whatever came before. A counter in an
//! atomic, a random number or the time of day break the promises of the section above.
//!
//! Closures may capture what they own (`move`), but on [worker processes](#worker-processes) nothing. What a closure
//! gives back cannot borrow from its record; for text, [`flat_map_str`](Bag::flat_map_str) hands on parts of a record
//! without a copy. A chain of about a hundred operators is more than the compiler will take; [`boxed`](Bag::boxed) cuts
//! it, in loops above all.
//!
//! A closure cannot run an action of its own: that is [`ErrorKind::NestedJob`]. Run it before, and hand its result to
//! the closure. So is what else of the program a thread of rayon's global pool picks up while a closure on it waits for
//! rayon; a context with [threads of its own](ContextBuilder::threads) keeps the two apart. On a thread that a closure
//! starts an action runs, if need be on that thread alone, since the others may all be waiting for it.
//!
//! # Errors and panics
//!
//! A transformation does not fail; an action gives the first error of its job, and the rest of the job is given up. A
//! panic in a closure is caught and becomes [`ErrorKind::TaskPanicked`]; an error that a closure of a `try_` method
//! returns becomes [`ErrorKind::Closure`]. Both know their [`Place`]: the method and the line of the program that
//! called it, stage and partition, and, up to the first [`boxed`](Bag::boxed) of sized records or shuffle, the input
//! file and the record's offset in it. So do, as far as it can be known, the errors of a type that
//! [cannot travel](#types-of-records) and of a [disk](#memory-and-disk) that is full.
//!
//! ```
//! let error = holdall::from_vec(vec!["1", "two"]).try_map(|text| text.parse::<u32>()).collect().unwrap_err();
//! assert_eq!(error.place().unwrap().operator, Some("try_map"));
//! ```
//!
//! The panic hook runs as ever, so by default the message of a panic is printed as well. In a program that is built
//! with `panic = "abort"` nothing can be caught: a panic in a closure ends the process.
//!
//! # Types of records
//!
//! A bag may hold any type that borrows nothing from elsewhere (`'static`), and `str` and `[u8]`; see [`Record`]. What
//! goes through a shuffle, is [persisted](Bag::persist), comes from memory or goes back there ([`from_vec`],
//! [`collect`](Bag::collect), [`fold`](Bag::fold)) must be [`Data`], which is every type that serde can write and read
//! back; a key must be [`Key`], which asks for [`Eq`] too. It need not be `Hash` or `Ord`; only [`sort`](Bag::sort) asks
//! for an order, see [`Sortable`]. Types of records in between need nothing.
//!
//! A `&'static str` that is read back is kept for ever, once for each text. Where there are many different ones, make
//! them `String`s by `map(str::to_owned)`, or a bag of `str` by [`flat_map_str`](Bag::flat_map_str):
//!
//! ```
//! let letters = holdall::from_vec(vec!["a", "b", "a"]).flat_map_str(|text, emit| emit(text));
//! let mut counts = letters.count_by_value().collect()?;
//! counts.sort();
//! assert_eq!(counts, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
//! # Ok::<(), holdall::Error>(())
//! ```
//!
//! Records become bytes by [bincode](https://docs.rs/bincode/2), which writes no names and no types. So what can be
//! read back only with their help can be neither key nor value of a shuffle, although it compiles; it is refused with
//! [`ErrorKind::Codec`] when a record of it is written or read:
//!
//! - enums with `#[serde(untagged)]` or `#[serde(tag = "…")]`, and `serde_json::Value`, which is one;
//! - structs with `#[serde(flatten)]`;
//! - fields with `#[serde(skip_serializing_if = "…")]`, once one is left out.
//!
//! For JSON, keep the text, or a struct of the fields that are needed.
//!
//! Two keys are one if their bytes are the same. So collections without an order of their own, such as `HashMap` and
//! `HashSet`, must not be keys, nor be in one: two equal ones may have different bytes.
//!
//! # Hash
//!
//! What is said here is fixed, since the order of records depends on it.
//!
//! - The bytes of a key: of `str`, `[u8]`, `String` and `Vec<u8>` themselves; of any other type what bincode 2 writes
//!   in its standard configuration. Integers and lengths are varints, so that a `u64` below 251 is one byte; a `String`
//!   inside of another type is its length, then its UTF-8.
//! - The hash of a key: [rapidhash](https://docs.rs/rapidhash) V3 in its micro variant, with avalanche and the default
//!   seed and secrets, over these bytes; or, if they are fewer than 16, over 16: these, zeros, and as the last one more
//!   than there are of these. It has 64 bits; that of the seven bytes `holdall` is 3227071661443217181.
//! - The partition of a key, of `n`: the whole part of `hash * n / 2^64`. So partition 0 has the `n`-th part of all
//!   hashes that is the lowest, and so on.
//! - The order within a partition: by hash, then by the bytes of the key. As partitions are ranges of the hash, the
//!   order of all records together is the same for every `n`.
//!
//! The seed is known, so somebody who chooses the keys can choose them to have the same hash, which makes a job slow,
//! but not wrong. Do not run jobs on the keys of an adversary without a limit of time.
//!
//! # Memory and disk
//!
//! All jobs of a context share a budget of memory: [`ContextBuilder::memory`], or `HOLDALL_MEMORY`, or else half of
//! what this process can have, which is the least of the machine's memory and of the limits of its cgroups and of
//! `ulimit`. It is for what grows with the data inside of the library: tables, groups, runs, persisted partitions. What
//! finds no room there is written to files below the *spill directory*, compressed where that pays, with a checksum,
//! and read back from end to end.
//!
//! ```
//! use holdall::{ByteSize, Context};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! let context = Context::builder()
//!     .threads(2)
//!     .memory("4MiB".parse::<ByteSize>()?)
//!     .spill_directory(dir.path())
//!     .disk_quota(1 << 30)
//!     .build()?;
//! let distinct = context.range(0..500_000).map(|n| n * 7).distinct();
//! assert_eq!(distinct.count()?, 500_000);
//! assert!(context.last_job().unwrap().stages[0].spilled_bytes > 0);
//! # Ok::<(), holdall::Error>(())
//! ```
//!
//! - The budget does not cover what the program itself allocates: what closures hold, the `Vec` of a
//!   [`collect`](Bag::collect), the accumulators of [`fold`](Bag::fold) or [`aggregate`](Bag::aggregate), the records
//!   on their way to [`iter`](Bag::iter); nor what does not grow with the data: threads, buffers of files, what decoders
//!   look back to (each file's that is being read: 64 MiB for `xz -9`, 8 MiB for most of zstd, 128 at most), a record of
//!   each thread. A process is to stay within its budget and 64 MiB more; the tests measure it.
//! - Of values that own memory, such as a `String` or a `Vec` that is combined by key, the budget counts the length
//!   of their serialised form, at intervals; that is an estimate, and such values may take more than it says.
//! - A job with a shuffle needs 1 MiB for each thread; less is [`ErrorKind::BudgetTooSmall`]. More never changes what
//!   comes out (but for the last digits of [floating-point numbers](#order-and-partitions)), only how long it takes.
//! - The bag that a `…_broadcast` sends to every task is not spilled: it must fit into half of the budget, or else the
//!   job ends with [`ErrorKind::BroadcastTooLarge`].
//! - Files are in a directory of their own, for this user only. The directory goes with the job, or with the bag that is
//!   persisted: also if the job fails, when the program ends, and at Ctrl-C, SIGTERM and SIGHUP unless the program handles
//!   these itself. What a killed process leaves is removed by the next context with the same spill directory; see
//!   [what holdall deletes](#what-holdall-deletes). If the system's temporary directory is in memory, as a tmpfs is, set
//!   another one.
//! - No room left is [`ErrorKind::DiskFull`], a used up [`disk_quota`](ContextBuilder::disk_quota)
//!   [`ErrorKind::QuotaExceeded`], a record of several GiB [`ErrorKind::RecordTooLong`].
//! - Files are read with a checksum. What is found damaged or gone is made again, by running the stages before it again;
//!   so their closures may see a record twice, and so may those of a partition that is computed anew, that of
//!   [`for_each`](Bag::for_each) too. No result has a record twice, and [`iter`](Bag::iter) goes on where it was. The
//!   fourth attempt that finds damage is the last: [`ErrorKind::TooManyAttempts`].
//!
//! How much was shuffled and spilled, stage by stage, is in the [`JobSummary`] that [`Context::last_job`] gives, and is
//! written to standard error with [`summary(true)`](ContextBuilder::summary) or `HOLDALL_SUMMARY=1`.
//!
//! # Outputs
//!
//! [`write_text`](Bag::write_text) writes into a hidden directory, `.holdall-…`, beside the output. When everything is
//! written, the hidden directory becomes the output:
//!
//! | at the path | without [`overwrite`](TextWriter::overwrite) | with it |
//! | --- | --- | --- |
//! | nothing | moved there in one step | the same |
//! | an empty directory | kept; the files are moved into it | the same |
//! | an output | [`ErrorKind::OutputExists`] | both change places in one step; then the old one is deleted |
//! | an output in the root of a volume | [`ErrorKind::OutputExists`] | kept; old files are moved out, new ones in |
//! | a directory with anything else in it | [`ErrorKind::OutputExists`] | [`ErrorKind::NotAnOutput`] |
//! | a file, or a link that leads to no directory | [`ErrorKind::OutputExists`] | replaced in one step |
//!
//! - *One step* means that a whole output, the old or the new one, is at the path at any time, also if the process is
//!   killed or the power fails.
//! - A directory is kept if it is empty, if it is the root of a volume (a mount point), if this user may not write to
//!   the directory above it, or if the file system cannot have two directories change places. In such a directory the
//!   files are moved one by one. A reader may see some of them meanwhile. If an error comes in between, all of them are
//!   moved back; if that fails too, the error says where they are. If the process is killed in between, the next
//!   `write_text` to that path moves the rest. The directory `lost+found` of a volume stays where it is.
//! - A link to a directory stands for the directory.
//! - When `write_text` returns, the output is on the disk: each file, the names of the files, and the name of the output
//!   are synchronised, unless [`durable(false)`](TextWriter::durable) is set. Spilled files are not: they are of no use
//!   after a loss of power.
//! - What another program puts at the path while the job runs is neither replaced nor deleted, except parts of an output
//!   that is overwritten.
//!
//! # What holdall deletes
//!
//! holdall deletes only what holdall has made, and an output that it is told to overwrite. It makes
//!
//! - directories named `holdall-…` in the [spill directory](ContextBuilder::spill_directory). A spill directory that is
//!   missing is made, and stays;
//! - directories named `.holdall-…` beside or in an output. Directories above an output that are missing are made, and
//!   deleted again if they are empty when the job has failed.
//!
//! It deletes them when the job ends and when the process ends, but never from a copy of the process (`fork`). If the
//! process is killed, they stay. The next context with the same spill directory then deletes the former, and the next
//! `write_text` into the same directory the latter. Each must have a name with a correct checksum, belong to this user,
//! be locked by no process, and have the mark of that very directory and no file that holdall does not write there.
//! Otherwise nothing in it is touched. The lock is `flock`, of the directory itself.
//!
//! # Worker processes
//!
//! With [`Executor::Processes`], tasks run in processes of their own on this machine, so that one that crashes, is
//! killed or runs out of memory costs some time and not the job. Results are the same as on threads. Linux only.
//!
//! ```no_run
//! use holdall::{Context, Executor};
//!
//! fn main() -> holdall::Result<()> {
//!     holdall::init(); // worker processes start here and go no further
//!     let context = Context::builder().executor(Executor::Processes(4)).build()?;
//!     let stop_words = vec!["a".to_owned(), "the".to_owned()];
//!     let words = context.read_text("texts/*.txt")?.words();
//!     let words = words.with(stop_words).filter(|stop_words, word| !stop_words.iter().any(|stop| stop == word));
//!     println!("{}", words.count()?);
//!     Ok(())
//! }
//! ```
//!
//! - A worker is this program, started again. [`init`] at the top of `main` makes it one; without that call, jobs end
//!   with [`ErrorKind::NoInit`] before anything is started. Workers start with the first job, which takes some
//!   milliseconds, and end with the context, or at once when this process ends, however it does.
//! - Code goes to a worker as an address, and state by serde. So a closure must capture nothing: one that does is
//!   refused before anything runs, with [`ErrorKind::CapturingClosure`], and so is a function pointer. Hand it what it
//!   needs by [`with`](Bag::with), which is there for every method that takes a closure, actions too; or write it as a
//!   constant. Each worker gets the state with each stage that needs it. What is called in this process alone may
//!   capture: the iterators of [`from_iter`] and [`from_fn`], and the `merge` of [`aggregate`](Bag::aggregate).
//!   Code of a shared library cannot go there: [`ErrorKind::NotPortable`].
//! - Statics that are set after `init` are unset in workers. Relative paths mean the same there as here.
//! - A task whose worker is lost, by a signal, an `abort`, an overflow of the stack or the lack of memory, is tried
//!   again by another worker; so is one whose worker is silent for the
//!   [patience](ContextBuilder::worker_patience) of the context. So a closure may see a record again. After four
//!   attempts the job ends with [`ErrorKind::TooManyAttempts`], which has the last cause. A panic or an error of a
//!   closure is no such case: it ends the job at once, as on threads.
//! - What workers shuffle and persist is in files of the [spill directory](ContextBuilder::spill_directory) always, of
//!   which this process sees no record. A file that is lost or damaged is made again. This process gets the results of
//!   actions, some KiB at a time, and no faster than it takes them. Workers read text files themselves; this process
//!   sends them what [`from_vec`], [`from_iter`] and [`from_fn`] have, and the text of a compressed file of more than 4 MiB and
//!   an eighth of the input, which it decodes.
//! - Each worker has an equal share of the context's memory, and must have 1 MiB for a shuffle; the bag that a
//!   `…_broadcast` sends must fit into half of a share. Jobs that run at the same time, such as one within a loop
//!   over [`iter`](Bag::iter), have workers of their own, and so more memory together.
//! - What workers print is printed here, line by line, behind `[worker 2] ` and the like. Their standard input is empty.
//! - To count what closures come across, use a [`Counter`]; a static or an atomic counts in its worker only.
//!
//! In tests, a test takes the place of `main`; see [`init`]. An executor of one's own that runs tasks elsewhere is
//! described in [`executor`].
//!
//! # Settings and environment
//!
//! The default context follows these environment variables; so does [`Context::builder`] for what it is not told. A
//! value that cannot be understood is [`ErrorKind::InvalidSetting`]: of [`build`](ContextBuilder::build), and of each
//! action on the default context.
//!
//! | variable | value | default |
//! | --- | --- | --- |
//! | `HOLDALL_EXECUTOR` | `inline`, `threads`, `threads:N`, `processes` or `processes:N`; see [`Executor`] | `threads` |
//! | `HOLDALL_THREADS` | the number of threads; `inline` and `threads:N` are stronger | one for each core |
//! | `HOLDALL_MEMORY` | the [memory](#memory-and-disk) of a context: `2GiB`, `500MB`; see [`ByteSize`] | half of what there is |
//! | `HOLDALL_SPILL_DIR` | the directory for what does not fit into it | the system's for temporary files |
//! | `HOLDALL_SUMMARY` | `1`: each job writes a [summary](JobSummary) to standard error; `0`: none does | `0` |
//!
//! A variable that is empty counts as unset. A directory may have any name; each other value must be UTF-8. In a program
//! that runs with privileges that its caller lacks, such as a set-user-id program, all variables count as unset, and so
//! does `TMPDIR`.
//!
//! With plain `threads` jobs run on rayon's global pool, so `RAYON_NUM_THREADS` counts there too. Only by the
//! [builder](ContextBuilder) can be set: the number of partitions after a shuffle, the quota for files, and whether
//! there is a progress bar.
//!
//! # Crate layout
//!
//! For those who read or change it. A `Bag` call adds an operator to the lineage. An action plans the lineage into
//! stages, cutting at each shuffle. The scheduler runs the stages in order; an executor runs a stage's tasks, one for
//! each partition. A task pushes records through its pipeline and either hands them to a shuffle or hands back a value.
//!
//! ```text
//! src/
//! ├─ error/         what can go wrong, and where it did: Error, ErrorKind, Place
//! ├─ id.rs          numbers of nodes and shuffles
//! ├─ storage/       records as bytes, in memory and on disk: codec, frames, runs, merge, memory budget, scratch files
//! ├─ portable/      what travels to worker processes: code by its address, state by serde; `unsafe`, argued
//! ├─ config.rs      what a context is built from, and the environment variables
//! ├─ counter.rs     Counter: counts of what closures come across, exact whatever is tried again
//! ├─ text/          text as bytes: files, splits, blocks, lines, words, fields, compression; knows nothing of bags
//! ├─ task/          what one running task sees and hands back, and what the tasks of a job share
//! ├─ pipeline/      Record, Key, Pipeline, Boxed: a narrow chain as one generic type
//! ├─ shuffle/       records of one stage to the partitions of the next: combined, grouped or sorted, in memory and
//! │                 in files; has a README.md with the picture of it
//! ├─ lineage/       how a bag comes about: described, never executed
//! ├─ operators/     one file for each operator: what it computes, both sides of its shuffle
//! ├─ plan/          lineage into stages
//! ├─ executor/      where tasks run: inline, threads, worker processes, and the seam for others
//! ├─ scheduler/     the stages of an action, in order, until done; the progress bar and the summary
//! ├─ context.rs     Context: settings and executor
//! └─ bag/           what users call: thin methods that add operators, and actions
//! ```
//!
//! A module uses only modules that stand above it in this list:
//! `error, id, storage, portable, config, counter, text, task, pipeline, shuffle, lineage, operators, plan, executor,
//! scheduler, context, bag`.

mod bag;
mod config;
mod context;
mod counter;
mod error;
pub mod executor;
mod id;
mod lineage;
mod operators;
mod pipeline;
mod plan;
mod portable;
mod scheduler;
mod shuffle;
mod storage;
mod task;
mod text;

pub use bag::{
    Bag, BagWith, Iter, Line, Sortable, TextReader, TextWriter, empty, from_fn, from_iter,
    from_vec, range, read_text,
};
pub use config::Executor;
pub use context::{Context, ContextBuilder};
pub use counter::Counter;
pub use error::{Error, ErrorKind, Place, Result, SourceLocation};
pub use executor::init;
pub use operators::cogroup::CoGroup;
pub use operators::combines::WholeNumber;
pub use operators::group_by_key::Group;
pub use operators::map_partitions::Records;
pub use operators::persist::Persistence;
pub use operators::read_text::ReadText;
pub use operators::values::Values;
pub use pipeline::{Boxed, Data, Key, Pipeline, Record, Storable};
pub use scheduler::{JobSummary, StageSummary};
pub use storage::size::ByteSize;
#[doc(hidden)] // for the module of executors
pub use task::{Block, FilePart};
pub use text::{FieldsError, IntoInputs, InvalidUtf8, parse_fields};

/// The examples of the README are tested as those of the docs are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

//! A lazy, partitioned collection of records, for text and data processing larger than memory.
//!
//! A [`Bag`] reads like an [`Iterator`] and runs on all cores. Methods that return another bag, such as
//! [`map`](Bag::map), are *transformations*: they run nothing. Methods that return a [`Result`], such as
//! [`collect`](Bag::collect), are *actions*: they run a job. No set-up is required, and the same program returns the
//! same records in the same order on any number of threads.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("hamlet.txt");
//! std::fs::write(&path, "To be, or not to be:\nthat is the question.\n").unwrap();
//! let top = holdall::read_text(&path)? // the lines, as a bag of `str`
//!     .words() // slices of each line, separated by white space
//!     .map(|word| word.trim_matches([',', '.', ':']).to_lowercase())
//!     .count_by_value() // a bag of (word, count)
//!     .top_by_key(2, |(_, count)| *count)?; // an action: runs a job
//! let counts: Vec<u64> = top.iter().map(|(_, count)| *count).collect();
//! assert_eq!(counts, [2, 2]); // "to" and "be"
//! # Ok::<(), holdall::Error>(())
//! ```
//!
//! To continue, see the [`guide`] with a tutorial and a cookbook, [`read_text`] and the other sources below, [`Bag`] for
//! all methods, each with an example, [`TextReader`] and [`TextWriter`] for the options of text files, [`summary`] for
//! several results in one pass, [`JobHandle`] for jobs in the background, [`delayed`](crate::delayed()) and [`graph`] for
//! functions that need each other's values, and [`Context`] for settings. The sections of this page describe what
//! applies everywhere.
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
//! - A transformation adds an operator to the *lineage* of the bag, and to the chain of types that is the bag's second
//!   type parameter. The compiler fuses operators on single records (*narrow* operators) into one loop: the source
//!   calls a closure with each record, which calls the next operator.
//! - An action divides the lineage into *stages*, with a boundary at each *shuffle*. [`Bag::explain`] prints the
//!   stages.
//! - A stage begins when all stages that it reads have ended. It has one *task* for each of its partitions. The threads
//!   of the executor take tasks until none remain. If a stage has too few tasks for all threads, the others take tasks of
//!   another stage that may begin, such as the other side of a join.
//! - A task pushes the records of its partition through the loop. The results go either to the shuffle or to the
//!   action. A shuffle combines the values of a key immediately, groups the records of a key, or sorts all records,
//!   depending on the method. Data that exceeds the [memory](#memory-and-disk) of the job is written to files and
//!   merged from there.
//! - The action receives the results of the tasks in partition order.
//!
//! Nothing is kept between actions: two actions on the same bag compute it twice, unless you [`persist`](Bag::persist)
//! it. Within a job, a shuffle runs once, however many operators read it. The operators after it run once for each path
//! to the result, so a bag that is joined with itself is computed twice. In a loop that does so, persist the bag of each
//! round. Otherwise, the time doubles with each round.
//!
//! # Order and partitions
//!
//! Records are ordered by partition, then by position within the partition. [`collect`](Bag::collect),
//! [`iter`](Bag::iter), [`take`](Bag::take) and [`write_text`](Bag::write_text) follow this order. It does not depend
//! on the executor, the number of threads, or the run.
//!
//! | method | partitions | order |
//! | --- | --- | --- |
//! | [`read_text`] | by size: large files are split, small files are packed together | by file, then by line |
//! | `read_json` | by size, as for [`read_text`] | by file, then by line |
//! | `read_csv` | by size, as for [`read_text`]; a compressed file is not split | by file, then by record |
//! | [`read_files`] | small files are packed together | of the files |
//! | [`read_archives`] | members of a zip archive by size; one for each tar archive | by archive, then by member |
//! | [`read_fixed_length`] | by size: large files are split; no two files share one | by file, then by record |
//! | [`from_vec`], [`range`] | 64, or one per record if there are fewer | of the source |
//! | [`from_iter`], [`from_fn`] | filled as records arrive: 64 records, then 128, and so on up to [1,024 or more](Context::from_iter) | of the source |
//! | [`from_source`] | one per [split](Source::splits) | of the source |
//! | [`from_delayed`] | one per value | of the values |
//! | [`load`], [`checkpoint`](Bag::checkpoint) | those that were saved | of the bag that was saved |
//! | [`map`](Bag::map), [`filter`](Bag::filter), [`flat_map`](Bag::flat_map) and all other per-record methods | unchanged | unchanged |
//! | [`map_partitions`](Bag::map_partitions) | unchanged | of the calls to `emit` in each partition |
//! | [`persist`](Bag::persist), [`sample`](Bag::sample) and the other samples, [`split_random`](Bag::split_random) | unchanged | unchanged |
//! | [`zip_partitions`](Bag::zip_partitions) | unchanged | of the calls to `emit` in each partition |
//! | [`with_origin`](Bag::with_origin), [`with_line_numbers`](Bag::with_line_numbers) | unchanged | unchanged |
//! | [`select_partitions`](Bag::select_partitions) | those that you list | of the list; within each partition unchanged |
//! | [`zip_with_index`](Bag::zip_with_index), [`limit`](Bag::limit), [`skip`](Bag::skip), [`step_by`](Bag::step_by), [`take_while`](Bag::take_while), [`skip_while`](Bag::skip_while), [`intersperse`](Bag::intersperse), [`running_fold`](Bag::running_fold), [`running_reduce`](Bag::running_reduce) | unchanged | unchanged |
//! | [`windows`](Bag::windows), [`chunks`](Bag::chunks) | unchanged; each result is in the partition of its first record | unchanged |
//! | [`ngrams`](Bag::ngrams), [`ngrams_by`](Bag::ngrams_by), [`chunk_by`](Bag::chunk_by), [`chunk_while`](Bag::chunk_while), [`dedup`](Bag::dedup), [`dedup_with_count`](Bag::dedup_with_count) | unchanged; each result is in the partition of its last record | unchanged |
//! | [`filter_range`](Bag::filter_range), [`filter_range_by_key`](Bag::filter_range_by_key) | unchanged; those outside of the range are empty | unchanged |
//! | [`pipe`](Bag::pipe) | unchanged | of the lines that the program writes in each partition |
//! | [`sort_partitions`](Bag::sort_partitions), [`glom`](Bag::glom) | unchanged | sorted within each partition; unchanged |
//! | [`partition_with`](Bag::partition_with) | the number you ask for | each partition keeps the order of the bag |
//! | [`zip`](Bag::zip) | of the first bag; `shuffle_partitions` if their number is unknown or 0 | of the first bag |
//! | [`split_partitions`](Bag::split_partitions) | the number you ask for, of equal size | unchanged |
//! | [`permute`](Bag::permute) | [`shuffle_partitions`](ContextBuilder::shuffle_partitions) | random |
//! | [`coalesce`](Bag::coalesce), [`coalesce_bytes`](Bag::coalesce_bytes) | neighbours merged, down to the number or size you ask for | unchanged |
//! | [`union`](Bag::union), [`union_all`] | those of the first bag, then those of the second, and so on | the first bag, then the second, and so on |
//! | [`count_by_value`](Bag::count_by_value), [`distinct`](Bag::distinct), [`count_by_key`](Bag::count_by_key), [`sum_by_key`](Bag::sum_by_key), [`reduce_by_key`](Bag::reduce_by_key), [`fold_by_key`](Bag::fold_by_key), [`aggregate_by_key`](Bag::aggregate_by_key), [`combine_by_key`](Bag::combine_by_key), [`distinct_by_key`](Bag::distinct_by_key), all methods of [`per_key`](Bag::per_key) and of its [`any_order`](PerKey::any_order) | [`shuffle_partitions`](ContextBuilder::shuffle_partitions), 64 by default | by [hash](#hash) of the key, then by the bytes of the key |
//! | [`group_by_key`](Bag::group_by_key), [`group_by`](Bag::group_by), [`cogroup`](Bag::cogroup), [`cogroup3`](Bag::cogroup3), [`cogroup4`](Bag::cogroup4) | as above | as above; the values of a key keep the order of their bag |
//! | [`join`](Bag::join) and the other joins, [`intersection`](Bag::intersection), [`subtract`](Bag::subtract) | as above | as above; rows of a key follow the left bag, then the right |
//! | [`join_broadcast`](Bag::join_broadcast) and the other `…_broadcast` methods | unchanged | unchanged; rows of one record follow the small bag |
//! | [`cartesian`](Bag::cartesian) | unchanged, or one for each partition and each part of the other bag | by partition of this bag and part of the other, then by record of this bag and of the other |
//! | [`sort`](Bag::sort), [`sort_by`](Bag::sort_by), [`sort_by_key`](Bag::sort_by_key), [`sort_by_cached_key`](Bag::sort_by_cached_key), [`merge_sorted`](Bag::merge_sorted) | [`shuffle_partitions`](ContextBuilder::shuffle_partitions), each a range of the sort order | sorted; equal records keep their order |
//! | [`repartition`](Bag::repartition) | the number you ask for | round-robin; each partition keeps the order of the bag |
//! | [`partition_by`](Bag::partition_by) | the number you ask for, each a range of key hashes | each partition keeps the order of the bag |
//! | [`repartition_and_sort_within_partitions`](Bag::repartition_and_sort_within_partitions) | as above | by key within each partition; equal keys keep their order |
//! | [`sort_values`](Bag::sort_values), [`sort_values_by`](Bag::sort_values_by) | [`shuffle_partitions`](ContextBuilder::shuffle_partitions), each a range of key hashes | by key within each partition, then by value |
//!
//! To set the number of partitions after one shuffle, call [`shuffle_partitions`](Bag::shuffle_partitions) before it.
//!
//! A keyed method does not shuffle records that are already in the partition of their key. It combines, groups, joins
//! or sorts them in place, and keeps their number of partitions, unless it is told another one. A join decides this for
//! each side, and takes the number of the first bag if both sides have one. Records are in the partition of their key
//! after every method that orders by hash, except `distinct_by_key`, and after [`partition_by`](Bag::partition_by),
//! [`sort_values`](Bag::sort_values) and
//! [`repartition_and_sort_within_partitions`](Bag::repartition_and_sort_within_partitions). They stay there when a bag is
//! [saved and loaded](#saved-bags), and through methods that keep both partitions and keys: [`filter`](Bag::filter),
//! [`map_values`](Bag::map_values), [`flat_map_values`](Bag::flat_map_values), [`filter_values`](Bag::filter_values) and
//! their `try_` forms, [`keys`](Bag::keys), [`inspect`](Bag::inspect), [`persist`](Bag::persist), [`limit`](Bag::limit),
//! [`sample`](Bag::sample) and the like.
//!
//! None of these numbers depends on the machine, so a program produces the same bytes on a large machine and on a small
//! one. Some results still depend on how the input is partitioned:
//!
//! - where the partitions begin and end after a sort,
//! - the records that a closure of [`map_partitions`](Bag::map_partitions) receives, and
//! - the result of combining floating-point numbers, because their `+` is not exactly associative.
//!
//! The values of a key are combined in the order of the bag. A combining closure must therefore be associative, but
//! need not be commutative. First, the values within each partition are combined (with more than 31 partitions, if
//! their number is known, within two or more neighbouring partitions: four of 64, and eight of 128 to 4,096). Then these
//! results are combined, from first to last. How values are grouped depends only on the partitions and their contents,
//! with one exception: if the keys of a partition, or of such neighbours, exceed the thread's share of the memory
//! budget, the budget matters too. Floating-point sums *by key* may then differ in their last digits with the memory
//! budget, the number of threads, and the other jobs that share the budget. To get the same digits every time, use
//! smaller partitions, sum integers, or use [`sum_exact`](PerKey::sum_exact), which does not depend on the partitioning
//! either.
//!
//! # Closures
//!
//! A closure may be called on any thread, on several threads concurrently, and again for the same record by the next
//! action. It must therefore be deterministic: its result must depend only on the record, not on earlier calls. An
//! atomic counter, a random number or the time of day breaks the promises of the previous section.
//!
//! Closures may capture owned values (`move`), except on [worker processes](#worker-processes), where they must not
//! capture anything. The result of a closure cannot borrow from its record. To emit slices of text without copying
//! them, use [`flat_map_str`](Bag::flat_map_str). The compiler cannot handle a chain of more than about a hundred
//! operators. To split a chain, especially in a loop, use [`boxed`](Bag::boxed).
//!
//! A closure cannot run an action: the action returns [`ErrorKind::NestedJob`]. Run the action before the job, and pass
//! its result to the closure. The same error can occur outside of closures: while a closure waits for rayon on a thread
//! of rayon's global pool, that thread may pick up other work of your program that runs an action. To avoid this, give
//! the context [its own threads](ContextBuilder::threads). On a thread that a closure has started, an action does run,
//! if necessary on that thread alone, because all other threads may be waiting for it. In a
//! [worker process](#worker-processes), it needs a context with threads.
//!
//! # Errors and panics
//!
//! A transformation does not fail. An action returns the first error of its job, and the job stops. A panic in a
//! closure is caught and becomes [`ErrorKind::TaskPanicked`]. An error that a closure of a `try_` method returns
//! becomes [`ErrorKind::Closure`]. Both have an [`ErrorContext`]: the method, the line of your program that called it,
//! the stage and the partition. Before the first shuffle, and before the first [`boxed`](Bag::boxed) of sized records,
//! the context also has the input file and the line, the offset or the number of the record in it. Errors of a
//! [source or sink](#extending-holdall) have a context too: [`ErrorKind::Read`] and [`ErrorKind::Write`]. Errors about
//! [types that cannot be serialised](#types-of-records) and about [full disks](#memory-and-disk) have a context too,
//! with the parts that are known.
//!
//! ```
//! let error = holdall::from_vec(vec!["1", "two"]).try_map(|text| text.parse::<u32>()).collect().unwrap_err();
//! assert_eq!(error.context().unwrap().operator, Some("try_map"));
//! ```
//!
//! To skip bad records instead, with their exact number and some samples, pass [`BadRecords`] to a method such as
//! [`ok_or_skip`](Bag::ok_or_skip) or [`TextReader::bad_records`].
//!
//! The panic hook still runs, so the message of a panic is printed as well, unless your program sets another hook. In a
//! program that is built with `panic = "abort"`, a panic in a closure ends the process.
//!
//! # Jobs in the background
//!
//! An action blocks until its job is done. [`Bag::start`] calls actions on another thread, and returns a [`JobHandle`]
//! at once. [`Context::start`] does the same for several bags, and [`Context::submit`] for a single call of a function:
//!
//! ```
//! let numbers = holdall::range(0..1_000_000);
//! let evens = numbers.start(|numbers| numbers.filter(|n| n % 2 == 0).count())?;
//! let call = numbers.context().submit(|text: String| text.len(), "a text".to_owned())?;
//! println!("{}", evens.progress()); // count: stage 1/1 (filter): 12/64 tasks
//! assert_eq!((evens.result()?, call.result()?), (500_000, 6));
//! # Ok::<(), holdall::Error>(())
//! ```
//!
//! - **Handles:** a handle tells the [status](JobHandle::status) and the [progress](JobHandle::progress) of its job,
//!   waits for the [result](JobHandle::result), also [for a limited time](JobHandle::wait_timeout), and
//!   [cancels](JobHandle::cancel) the job. Dropping it cancels the job, unless you [`detach`](JobHandle::detach) it.
//!   [`as_completed`] returns the results of several jobs as they end.
//! - **Async:** a handle is a [`Future`] of any runtime: `bag.start(|bag| bag.count())?.await?`.
//! - **Threads:** a thread for each running job plans it and waits for its tasks; they run on the executor of the
//!   context, as always. On [`Executor::Inline`], the tasks run on that thread, and one job runs after the other. The
//!   results are the same as those of actions.
//! - **Many jobs:** at most [`concurrent_jobs`](ContextBuilder::concurrent_jobs) jobs run at the same time. The others
//!   are pending, and begin in the order in which they were started. A job that waits for another handle does not
//!   count, unless it awaits it as a future.
//! - **Errors:** errors and panics are results of the handle. A closure of a running job cannot start jobs.
//! - **Context:** a job keeps its context alive. The end of the process ends it.
//!
//! # Cancellation and deadlines
//!
//! These end a job before it is complete:
//!
//! | what ends it | error of the action |
//! | --- | --- |
//! | [`JobHandle::cancel`], or dropping the handle | [`ErrorKind::Cancelled`] |
//! | [`CancelHandle::cancel`], for all jobs of a context with [`with_cancel`](Context::with_cancel) | [`ErrorKind::Cancelled`] |
//! | [`Context::with_deadline`], for several jobs together | [`ErrorKind::DeadlineExceeded`] |
//! | [`Bag::timeout`], or [`Context::with_timeout`], for each job | [`ErrorKind::DeadlineExceeded`] |
//! | dropping an [`Iter`] | none |
//!
//! - **When:** tasks check whether they should end about once in a thousand records, or once in a block of text, while
//!   they read, shuffle, sort, merge and write. On threads, a closure that is running is not interrupted, so the job
//!   ends after it has returned; the same applies to a source that is waiting. Worker processes whose closures do not
//!   return within a second are killed. A job that is pending at its deadline ends when it would begin.
//! - **Partial results:** [`Bag::partial`] returns the result of an action for the first partitions, up to one that
//!   is not done at a deadline, with their number.
//! - **What remains:** nothing. Spill files and unfinished [outputs](#outputs) are deleted, and the memory is released,
//!   before the action returns the error. An output that is complete stays. A persisted bag keeps the partitions that
//!   have been stored.
//! - **Ctrl-C:** on SIGINT, SIGTERM and SIGHUP, the process deletes its [directories](#what-holdall-deletes), spill
//!   files and unfinished outputs, and ends by the signal. Its worker processes end with it. If your program handles
//!   these signals itself, holdall does nothing: call [`CancelHandle::cancel`] in your handler, and return from `main`.
//!
//! # Types of records
//!
//! A bag may hold records of any type that borrows nothing (`'static`), and of `str` and `[u8]`; see [`Record`]. Most
//! types of records need no trait, but some methods require one:
//!
//! - [`Data`], which every type implements that serde can serialise and deserialise, for records that are shuffled,
//!   [persisted](Bag::persist), taken from memory ([`from_vec`]) or returned ([`collect`](Bag::collect),
//!   [`fold`](Bag::fold));
//! - [`Key`], which also requires [`Eq`], for keys. A key need not be `Hash` or `Ord`;
//! - [`Sortable`], which requires an order, for [`sort`](Bag::sort).
//!
//! A `&'static str` that is deserialised is never freed; each text is stored once. If there are many different texts,
//! convert them to `String`s by `map(str::to_owned)`, or to a bag of `str` by [`flat_map_str`](Bag::flat_map_str):
//!
//! ```
//! let letters = holdall::from_vec(vec!["a", "b", "a"]).flat_map_str(|text, emit| emit(text));
//! let mut counts = letters.count_by_value().collect()?;
//! counts.sort();
//! assert_eq!(counts, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
//! # Ok::<(), holdall::Error>(())
//! ```
//!
//! [bincode](https://docs.rs/bincode/2) serialises the records. It stores neither names nor types, so some types cannot
//! be deserialised from what they have serialised. Such types compile, but a job that serialises a record of one fails
//! with [`ErrorKind::Codec`], which names the type, the method and the line:
//!
//! - An enum with `#[serde(untagged)]` or `#[serde(tag = "…")]`, and `serde_json::Value`, which is such an enum. For
//!   JSON, keep the text, or parse it into a struct of the fields that you need.
//! - A struct with `#[serde(flatten)]`.
//! - A field with `#[serde(skip_serializing_if = "…")]`, if a record leaves it out.
//! - A variant after one with `#[serde(skip)]` or `#[serde(skip_deserializing)]`, because serde counts the skipped
//!   variant when it serialises, but not when it deserialises. Put skipped variants last.
//! - A field with only `#[serde(skip_serializing)]` or only `#[serde(skip_deserializing)]`, and any other `Serialize`
//!   and `Deserialize` that disagree.
//! - A struct in which some fields have `#[serde(skip)]`, because their values would be lost. If the loss is intended,
//!   as for a cache, use `#[serde(from = "…", into = "…")]` to serialise another type instead.
//! - A record with more than 256 nested options, lists and variants.
//!
//! To find such types, some records of each kind are serialised, deserialised and compared: the first eight, then fewer
//! and fewer, and each record with a struct or a variant that no earlier one had. The check may miss code that
//! serialises only a few values incorrectly. It cannot detect data that a type drops without a trace:
//!
//! - a skipped field of a variant, of a `#[serde(transparent)]` struct, or of a few bytes that fit between other
//!   fields;
//! - all fields of a struct, if all are skipped; and
//! - the digits of a number that a `serialize_with` function rounds.
//!
//! Such data is lost wherever records are serialised. Worker processes serialise all records that they receive or
//! return. Threads serialise persisted, repartitioned and grouped records, keys, and all data that exceeds the memory.
//!
//! # Equal keys
//!
//! Two keys are the same key if their serialised bytes are the same, whatever their `Eq` returns. For most types, both
//! agree. The `Eq` of some types is coarser, so two equal keys of these types may be counted, grouped and joined as
//! two. Normalise such keys first:
//!
//! | type | equal keys with different bytes | key to use |
//! | --- | --- | --- |
//! | `PathBuf` | `a/b`, `a//b`, `a/./b`, `a/b/` | `path.components().collect::<PathBuf>()` |
//! | `OrderedFloat`, `NotNan` | 0.0 and -0.0; NaNs with different bits | `x + 0.0` turns -0.0 into 0.0; one constant for NaN |
//! | `DateTime<FixedOffset>` of chrono, `Zoned` of jiff | one instant with different offsets | the instant: `to_utc()`, `timestamp()` |
//! | `Decimal`, `BigDecimal` | 1.0 and 1.00 | `normalize()`, `normalized()` |
//! | `UniCase` and other text that ignores case | `Word` and `word` | `to_lowercase()` |
//! | `HashMap`, `HashSet` | any order of the entries; such keys are refused | `BTreeMap`, `BTreeSet`, a sorted `Vec` |
//! | your own `impl PartialEq` | whatever it ignores | the fields that it compares |
//!
//! [`key_by`](Bag::key_by) keeps the record beside its normalised key, and [`map`](Bag::map) replaces a key:
//!
//! ```
//! use std::path::PathBuf;
//!
//! let files = ["a/b", "a//b", "a/./b", "c"].map(PathBuf::from);
//! let sizes = holdall::from_vec(files.into_iter().zip(1..).collect());
//! let by_path = sizes.map(|(path, size)| (path.components().collect::<PathBuf>(), size));
//! assert_eq!(by_path.sum_by_key().filter(|(path, _)| path == "a/b").collect()?, [(PathBuf::from("a/b"), 6)]);
//! # Ok::<(), holdall::Error>(())
//! ```
//!
//! # Hash
//!
//! This section is a specification that does not change, because the order of records depends on it.
//!
//! - **Bytes of a key:** for `str`, `[u8]`, `String` and `Vec<u8>`, the bytes themselves. For all other types, the
//!   encoding of bincode 2 in its standard configuration. It encodes integers and lengths as varints, so a `u64` below
//!   251 takes one byte. A `String` inside another type is encoded as its length followed by its UTF-8 bytes.
//! - **Hash of a key:** the 64-bit hash of these bytes by [rapidhash](https://docs.rs/rapidhash) V3, in its micro
//!   variant, with avalanche and the default seed and secrets. Keys of fewer than 16 bytes are first padded to 16: with
//!   zeros, and with the number of key bytes plus one as the last byte. The hash of the seven bytes `holdall` is
//!   3227071661443217181. [`stable_hash`] returns this hash of some bytes.
//! - **Partition of a key**, of `n` partitions: the integer part of `hash * n / 2^64`. Partition 0 thus has the lowest
//!   `n`-th of all hashes, and so on.
//! - **Order within a partition:** by hash, then by the bytes of the key. As partitions are ranges of hashes, the order
//!   of all records is the same for every `n`.
//!
//! The seed is public. An adversary who chooses the keys can therefore choose keys with equal hashes, which make a job
//! slow, but not wrong. If keys come from an adversary, set a [time limit](Bag::timeout) for the job.
//!
//! # Memory and disk
//!
//! All jobs of a context share one memory budget. Set it with [`ContextBuilder::memory`] or `HOLDALL_MEMORY`. The
//! default is half of the memory that the process can use: the smallest of the machine's memory, the limits of its
//! cgroups, and its `ulimit`s. The budget covers what grows with the data inside the library: tables, groups, runs and
//! persisted partitions. Data that exceeds it is spilled to files below the *spill directory*. Spill files have
//! checksums, are compressed if that saves enough, and are read sequentially.
//!
//! ```
//! use holdall::Context;
//!
//! # let dir = tempfile::tempdir().unwrap();
//! let context = Context::builder()
//!     .threads(2)
//!     .memory("4MiB")
//!     .spill_directory(dir.path())
//!     .disk_quota("1GiB")
//!     .build()?;
//! let distinct = context.range(0..500_000).map(|n| n * 7).distinct();
//! assert_eq!(distinct.count()?, 500_000);
//! assert!(context.last_job().unwrap().stages[0].spilled_bytes > 0);
//! # Ok::<(), holdall::Error>(())
//! ```
//!
//! - **Not covered:** memory that your program allocates, that is, the state of closures, the `Vec` of a
//!   [`collect`](Bag::collect), the accumulators of [`fold`](Bag::fold) and [`aggregate`](Bag::aggregate), and the
//!   records buffered for [`iter`](Bag::iter). Nor memory that does not grow with the data: threads, file buffers, one
//!   record per thread, the window of each decoder in use (64 MiB for `xz -9`, 8 MiB for most zstd files, 128 MiB
//!   at most), and up to 3 MiB of each part of a [compressed file](#compression) that is decoded in advance, of which
//!   there are two per thread at most. Apart from your program and large windows, a process stays within its budget plus
//!   64 MiB; the tests measure this.
//! - **Estimated:** values that own memory and are combined by key, such as a `String` or a `Vec`. The budget counts
//!   their serialised length, at intervals; they may use more.
//! - **Minimum:** a job with a shuffle needs 1 MiB per thread and fails with [`ErrorKind::BudgetTooSmall`] otherwise.
//!   More memory changes only the running time, never the result (except for the last digits of
//!   [floating-point numbers](#order-and-partitions)).
//! - **Broadcast:** the bag that a `…_broadcast` method sends to every task is not spilled. If it exceeds half of the
//!   budget, the job fails with [`ErrorKind::BroadcastTooLarge`].
//! - **Lifetime of files:** the files of a job are in their own directory, accessible to this user only. They are
//!   deleted with the job, even if it fails, or [with the persisted bag](Bag::persist). They are also deleted when the
//!   program ends, and on Ctrl-C, SIGTERM and SIGHUP, unless your program handles these signals. If a process is
//!   killed, the next context with the same spill directory deletes its files; see
//!   [what holdall deletes](#what-holdall-deletes). If the system's temporary directory is in memory (a tmpfs), set
//!   another spill directory.
//! - **Open files:** spill files take at most about half of the files that the process may have open (`ulimit -n`),
//!   however many are merged. Each thread needs two or three more.
//! - **Limits:** a full disk is [`ErrorKind::DiskFull`], an exhausted [`disk_quota`](ContextBuilder::disk_quota) is
//!   [`ErrorKind::QuotaExceeded`], and a record of several GiB is [`ErrorKind::RecordTooLong`].
//! - **Damage:** if a file is damaged or missing, the job runs the stages that produced it again. The closures of these
//!   stages may then receive a record twice, as may the closures of a recomputed partition, including that of
//!   [`for_each`](Bag::for_each). No result contains a record twice, and [`iter`](Bag::iter) continues where it was. If
//!   a closure then returns other records than before, the job may fail with [`ErrorKind::NotRepeatable`]. After the
//!   fourth attempt that finds damage, the job fails with [`ErrorKind::TooManyAttempts`].
//!
//! [`Context::last_job`] returns a [`JobSummary`] with the amounts shuffled and spilled by each stage. To print it to
//! standard error, call [`summary(true)`](ContextBuilder::summary) or set `HOLDALL_SUMMARY=1`. To follow a job while it
//! runs, add an [observer](events).
//!
//! # Formats
//!
//! | format | read | write | feature |
//! | --- | --- | --- | --- |
//! | lines, or records with another delimiter | [`read_text`], [`TextReader`] | [`Bag::write_text`], [`TextWriter`] | |
//! | fields of lines, without quotes | [`Bag::parse_fields`] | [`Bag::write_text`] | |
//! | CSV | `read_csv`, `CsvReader` | `CsvWriter` | `csv` |
//! | JSON lines | `read_json`, `Bag::parse_json` | `Bag::write_json`, `JsonWriter` | `json` |
//! | records of a fixed length | [`read_fixed_length`] | a [`Sink`] | |
//! | anything else that is read as a whole | [`read_files`] | a [`Sink`] | |
//! | the files in zip and tar archives | [`read_archives`] | | |
//!
//! The [features](#features) are off by default. To enable both, add `features = ["csv", "json"]` to the dependency. All
//! formats are read from and written to every [file system](#file-systems). [`BadRecords`] skips what cannot be read, and
//! [`with_line_numbers`](Bag::with_line_numbers) adds the location of each line.
//!
//! ## Compression
//!
//! Text, CSV, JSON and whole files may be compressed. The content of a file determines its format:
//!
//! | format | one large file of text is decoded by several threads | written by |
//! | --- | --- | --- |
//! | gzip | if it has several members, as those of `bgzip` have | [`Compression::Gzip`] |
//! | zstd | if it has several frames, as those of `pzstd` have | [`Compression::Zstd`] |
//! | lz4 | if it has several frames | [`Compression::Lz4`] |
//! | bzip2 | yes, by its blocks | |
//! | xz | if it has several blocks, as those of `xz -T0` have | |
//! | snappy (the framing format) | no | |
//!
//! If headers or an index tell where the parts of a local file begin (BGZF, xz, and zstd with a seek table or with the
//! length of each frame), the file is divided into partitions in advance, like a plain one. Otherwise, one task at a time
//! reads the file, other threads decode its parts ahead, and the decoded text is divided into partitions. Parts up to
//! 16 MiB, with up to 64 MiB of text, are then decoded in memory, one for each thread and one more. If a file has
//! one part only, one thread decodes it while the others process its records. [`StageSummary::notes`] then states why.
//! The records and their order are the same in all cases.
//!
//! [`TextWriter::compression`] and those of the writers of CSV and JSON compress outputs.
//! With the feature `zstd-c`, the C library of zstd decodes and compresses, which is faster.
//!
//! # File systems
//!
//! Paths are local, unless they begin with a *scheme*: `s3://bucket/logs/*.gz`. The context looks up the scheme among
//! the file systems that [`ContextBuilder::file_system`] has added. Each of them implements the trait
//! [`FileSystem`](files::FileSystem), in your program or in another crate. An unknown scheme is
//! [`ErrorKind::UnknownScheme`]. The scheme `file` stands for local files.
//!
//! Reading from a file system differs from reading local files as follows:
//!
//! - **Size:** exactly the bytes that were listed when the bag was created are read. A local file that has grown is read
//!   to its end.
//! - **Changes:** if the file system knows the versions of files, any change is [`ErrorKind::InputChanged`]. If it does
//!   not, a file that has become shorter is an error.
//! - **Transient errors:** if a connection is lost, the file is opened again at the byte that was reached. After six
//!   attempts without progress, the job fails. The error names the path, with its scheme, and the byte.
//! - **Reading ahead:** if the file system asks for it, a thread for each task reads ahead of the task.
//!
//! Formats, compression, splits, the order of records and all options are the same.
//!
//! [`write_text`](Bag::write_text) and [`save`](Bag::save) write to a file system, too. See [outputs](#outputs) for what
//! they guarantee there.
//!
//! # Outputs
//!
//! [`write_text`](Bag::write_text) and [`save`](Bag::save) write into a hidden directory, `.holdall-…`, beside the
//! output. When everything is written, the hidden directory becomes the output. A [sink](#extending-holdall) of another
//! format that uses [`Context::begin_output`] has the same guarantees. Its files may have an extension, such as
//! `part-00000.csv`.
//!
//! | at the path | without [`overwrite`](TextWriter::overwrite) | with it |
//! | --- | --- | --- |
//! | nothing | moved there in one step | the same |
//! | an empty directory | kept; the files are moved into it | the same |
//! | an output | [`ErrorKind::OutputExists`] | exchanged in one step; then the old one is deleted |
//! | an output in the root of a volume | [`ErrorKind::OutputExists`] | kept; old files are moved out, new ones in |
//! | a directory with anything else in it | [`ErrorKind::OutputExists`] | [`ErrorKind::NotAnOutput`] |
//! | a file, or a link that leads to no directory | [`ErrorKind::OutputExists`] | replaced in one step |
//!
//! - *One step* means that a complete output, the old or the new one, is at the path at any time, even if the process
//!   is killed or the power fails.
//! - A directory is kept if it is empty, if it is the root of a volume (a mount point), if this user may not write to
//!   its parent directory, or if the file system cannot exchange two directories. In such a directory, the files are
//!   moved one by one, and readers may see some of them in the meantime. If an error occurs in between, all files are
//!   moved back; if that fails too, the error states where they are. If the process is killed in between, the next
//!   `write_text` to that path moves the remaining files. The directory `lost+found` of a volume stays where it is.
//! - A link to a directory stands for the directory.
//! - When `write_text` returns, the output is on disk: each file, the names of the files, and the name of the output
//!   are synchronised, unless you set [`durable(false)`](TextWriter::durable). Spill files are not synchronised,
//!   because they are useless after a power failure.
//! - On another [file system](#file-systems) than the local one, the files appear when the job is complete, and none of
//!   them if it fails. How closely together they appear depends on the file system: an object store makes one file
//!   visible after another. With `overwrite`, the new files replace the old ones with the same names. Afterwards, the
//!   remaining old ones are removed. If the process is killed, the file system must delete what tasks have uploaded.
//!   holdall checks what is at the path before the job only: a file that another program puts there while the job runs is
//!   replaced if it has the name of a new one.
//! - On the local file system, files that another program puts at the path while the job runs are neither replaced nor
//!   deleted, unless they are parts of an output that is overwritten.
//!
//! # Saved bags
//!
//! [`save`](Bag::save) writes any bag of [`Storable`] records to a directory, by the rules of [outputs](#outputs).
//! [`load`] returns the same bag in any program: the records, their order, and their partitions. A
//! [`checkpoint`](Bag::checkpoint) is both.
//!
//! - **Format:** each partition is a file of frames, which are compressed if that saves enough and have a checksum. The
//!   manifest `_bag` has the version of the format, the type of the records, and the size and a checksum of each file.
//!   Files that are damaged, cut short, missing, or exchanged are errors. The same records have the same bytes on every
//!   executor. Later versions of holdall can read the format. Earlier ones return
//!   [`ErrorKind::UnsupportedVersion`].
//! - **Types:** the manifest describes what serde's `Deserialize` of the type requests, such as
//!   `struct Point {x: f64, y: f64}`: names of structs, fields and variants, their order, and the types of numbers. The
//!   description of the type that is loaded must be equal, otherwise the error is [`ErrorKind::WrongRecordType`]. The
//!   module and the program of a type do not matter. To read records after their type has changed, load them as the old
//!   type, and [`map`](Bag::map) them.
//! - **Limits of that check:** it cannot notice that code of your own serialises the same form with another meaning.
//!   A field of a type that rejects the numbers 1 and 1.0, or the text `a`, and the fields after it, are compared by
//!   their names only. So are fields after a part that contains the type itself.
//! - **Key partitioning:** if the records are in the partition of their key, the manifest has the name of the key's
//!   type, and a keyed method of the loaded bag does not shuffle them. That is right in any program, because the
//!   [hash](#hash) and the bytes of a key never change. If the type has been renamed or moved to another module, the
//!   records are shuffled.
//! - **After a crash:** with [`BagWriter::resume`], finished partitions remain if the process is killed, and the next run
//!   of the same program computes only the others.
//!
//! # What holdall deletes
//!
//! holdall deletes only directories that it has created, and outputs that you tell it to overwrite. It creates
//!
//! - directories named `holdall-…` in the [spill directory](ContextBuilder::spill_directory). A missing spill directory
//!   is created too, and is not deleted.
//! - directories named `.holdall-…` beside or in an output. Missing parent directories of an output are created too.
//!   They are deleted if the job fails and they are empty.
//! - directories named `.NAME.unfinished` beside an output that can be [resumed](BagWriter::resume). They remain until
//!   the output is complete. holdall deletes the files in them whose names it writes there.
//!
//! It deletes its directories when the job or the process ends, but never from a forked copy of the process. If the
//! process is killed, they remain. The next context with the same spill directory deletes the former, and the next
//! `write_text` into the same parent directory deletes the latter. holdall deletes such a directory only if
//!
//! - its name has a correct checksum,
//! - it belongs to this user,
//! - no process has locked it,
//! - it contains the mark of this very directory, and
//! - it contains no file that holdall does not write there.
//!
//! Otherwise, nothing in it is changed. The lock is an `flock` on the directory itself.
//!
//! In the [shuffle directory](ContextBuilder::shuffle_directory) of a cluster, each context has directories of its own,
//! named `holdall-…` with a random number. They are deleted with their job or, if the process is killed, by the machines
//! of the cluster. A missing shuffle directory is created too, and is not deleted.
//!
//! # Worker processes
//!
//! With [`Executor::Processes`], tasks run in separate processes on this machine. A process that crashes, is killed, or
//! runs out of memory costs some time, but not the job. Results are the same as on threads. Linux only.
//!
//! ```no_run
//! use holdall::{Context, Executor};
//!
//! fn main() -> holdall::Result<()> {
//!     holdall::init(); // in a worker process, this call never returns
//!     let context = Context::builder().executor(Executor::Processes(4)).build()?;
//!     let stop_words = vec!["a".to_owned(), "the".to_owned()];
//!     let words = context.read_text("texts/*.txt")?.words();
//!     let words = words.with(stop_words).filter(|stop_words, word| !stop_words.iter().any(|stop| stop == word));
//!     println!("{}", words.count()?);
//!     Ok(())
//! }
//! ```
//!
//! - **Start and end:** a worker is a new process of the same program. [`init`] at the top of `main` turns it into a
//!   worker. Without that call, jobs fail with [`ErrorKind::NoInit`] before anything starts. The workers start with the
//!   first job, which takes a few milliseconds. They end with the context, or immediately if this process ends for any
//!   reason.
//! - **Closures:** code is sent to a worker as an address, and state by serde. A closure must therefore capture
//!   nothing. If it does, or if it is a function pointer, the job fails with [`ErrorKind::CapturingClosure`] before it
//!   runs anything. Pass values to the closure by [`with`](Bag::with), which works for most methods that take a
//!   closure, including actions; [`BagWith`] shows what to write for the others. Alternatively, define them as constants. Each worker receives the state once for each
//!   stage that needs it. Closures that run only in this process may capture: the iterators of [`from_iter`] and
//!   [`from_fn`], and the `merge` of [`aggregate`](Bag::aggregate). Code in a shared library cannot be sent:
//!   [`ErrorKind::NotPortable`].
//! - **Environment:** statics that you set after `init` are unset in workers. Relative paths have the same meaning as
//!   in this process. A program with privileges that its caller lacks, such as a set-user-id program, cannot have
//!   workers.
//! - **Lost workers:** if a worker is lost during a task, by a signal, an `abort`, a stack overflow or lack of memory,
//!   another worker retries the task. The same happens if a worker does not respond within the
//!   [timeout](ContextBuilder::worker_timeout) of the context. A closure may therefore see a record again. After four
//!   attempts, the job fails with [`ErrorKind::TooManyAttempts`], which contains the last cause. Panics and errors of
//!   closures are not retried: they end the job immediately, as on threads.
//! - **Files:** workers always store shuffled and persisted records in files of the
//!   [spill directory](ContextBuilder::spill_directory); these records do not pass through this process. If a file is
//!   lost or damaged, it is recomputed.
//! - **Data sent:** this process receives the results of actions, a few KiB at a time, and no faster than it consumes
//!   them. Workers read text files themselves. This process sends them the records of [`from_vec`], [`from_iter`] and
//!   [`from_fn`]. It also decodes, and sends as text, any compressed file that is larger than 4 MiB and than an eighth
//!   of the input, and it reads pipes and devices for them. So `/dev/stdin` is the standard input of this process.
//! - **Memory:** each worker has an equal share of the context's memory, and needs 1 MiB for a shuffle. The bag that a
//!   `…_broadcast` method sends must fit into half of a share. Jobs that run concurrently, for example [in the
//!   background](#jobs-in-the-background) or inside a loop over [`iter`](Bag::iter), have separate workers, and so use
//!   more memory in total.
//! - **Output:** this process prints the output of its workers line by line, with prefixes such as `[worker 2] `. The
//!   standard input of workers is empty.
//! - **Counting:** to count events in closures, use a [`Counter`]. A static or an atomic counts only in its own worker.
//!
//! In tests, a test function replaces `main`; see [`init`]. To implement a custom executor that runs tasks elsewhere,
//! see [`executor`].
//!
//! # Extending holdall
//!
//! Your program, or another crate, can add formats, stores, observers, layers of tasks, and executors. It implements
//! these traits:
//!
//! | to | implement | pass it to |
//! | --- | --- | --- |
//! | read a format | [`Source`] | [`Context::from_source`] |
//! | write a format, a file for each partition | [`RecordFormat`] | [`FormatSink`], [`Bag::write`] |
//! | write a format to another destination | [`Sink`] and [`PartitionWriter`] | [`Bag::write`] |
//! | read and write files in a store | [`FileSystem`](files::FileSystem) | [`ContextBuilder::file_system`] |
//! | follow jobs while they run | [`Observer`](events::Observer) | [`ContextBuilder::observer`] |
//! | run tasks that need each other | [`Layer`](extend::Layer) | [`Layers::add`](extend::Layers::add) |
//! | run the work of another engine | none | [`EngineJob`](extend::EngineJob) |
//! | run tasks elsewhere | [`RemoteExecutor`](executor::RemoteExecutor) | [`ContextBuilder::remote_executor`] |
//!
//! - **Sources** divide their input into splits, and each split becomes a partition. The compiler fuses the loop of a
//!   source with the operators that follow it, as it does for the sources of this crate.
//! - **Places:** a source tells the task the file, and the offset or number, of the current record. Errors and panics
//!   of the closures that process this record then have that place.
//! - **Sinks** write each partition in a task, and complete the output in this process once all partitions are written.
//!   [`write_text`](Bag::write_text) is one.
//! - **Files:** a source finds its files by [`Context::find_files`], and a sink creates an output by
//!   [`Context::begin_output`]. Both work on every file system of the context.
//! - **Worker processes:** sources, splits and partition writers are sent to workers by serde. A task may be retried,
//!   so a split may be read, and a partition written, several times. No record is returned twice.
//! - **Memory and files:** the module [`extend`] has parts of the memory budget and scratch files, for data that tasks or
//!   caches of the crate hold.
//! - **Methods:** a crate can add its functions to bags and contexts by an extension trait. Such functions should be
//!   `#[track_caller]`, so that errors name the line of their caller.
//!
//! To combine partitions in your own way, without a trait, use [`map_partitions`](Bag::map_partitions),
//! [`zip_partitions`](Bag::zip_partitions) and [`select_partitions`](Bag::select_partitions).
//!
//! # Settings and environment
//!
//! The default context uses these environment variables. [`Context::builder`] uses them for every setting that you do
//! not set. An invalid value is reported as [`ErrorKind::InvalidSetting`]: by [`build`](ContextBuilder::build), and by
//! each action on the default context.
//!
//! | variable | value | default |
//! | --- | --- | --- |
//! | `HOLDALL_EXECUTOR` | `inline`, `threads`, `threads:N`, `processes`, `processes:N` or an address; see [`Executor`] | `threads` |
//! | `HOLDALL_THREADS` | the number of threads of the executor `threads`, up to 1,024; no other executor uses it | one per core |
//! | `HOLDALL_MEMORY` | the [memory](#memory-and-disk) of a context: `2GiB`, `500MB`; see [`ByteSize`] | half of the available memory |
//! | `HOLDALL_SPILL_DIR` | the directory for spill files | the system's temporary directory |
//! | `HOLDALL_SHUFFLE` | the [shuffle directory](ContextBuilder::shuffle_directory) of a cluster: `s3://bucket/prefix` | none: map outputs stay on their machine |
//! | `HOLDALL_STATUS` | the address of a [status page](guide::status): `127.0.0.1:8787`; needs the feature `status` | no page |
//! | `HOLDALL_REPORT` | the file for a [report](guide::status#the-report) of all jobs; needs the feature `status` | no report |
//! | `HOLDALL_TRACE` | the file for a [trace](guide::status#the-trace) of all tasks; needs the feature `status` | no trace |
//! | `HOLDALL_SUMMARY` | `1`: each job prints a [summary](JobSummary) to standard error; `0`: no summary | `0` |
//!
//! A variable that is empty counts as unset. A directory may have any name; every other value must be UTF-8. In a
//! program that runs with privileges that its caller lacks, such as a set-user-id program, all variables count as
//! unset, and so does `TMPDIR`.
//!
//! With plain `threads`, jobs run on rayon's global pool, so `RAYON_NUM_THREADS` applies as well. The
//! [builder](ContextBuilder) has more settings, such as the number of partitions after a shuffle, the disk quota, and the
//! progress bar.
//!
//! # Features
//!
//! None of the features is on by default.
//!
//! | feature | adds | by the crate |
//! | --- | --- | --- |
//! | `csv` | CSV: `read_csv`, `CsvReader` and `CsvWriter` | `csv` |
//! | `encodings` | text that is not UTF-8: `TextReader::encoding` | `encoding_rs` |
//! | `json` | JSON lines: `read_json`, `parse_json`, `parse_json_or_skip`, `write_json` and `JsonWriter` | `serde_json` |
//! | `regex` | regular expressions on text: `matching`, `not_matching`, `find_matches` and `captures` | `regex` |
//! | `status` | a [status page](guide::status), a report, and a trace of jobs | `httparse`, `serde_json` |
//! | `unicode` | words of text by the rules of Unicode: `unicode_words` | `unicode-segmentation` |
//! | `zstd-c` | the C library of zstd, instead of a decoder in Rust; needs a C compiler | `zstd-safe` |
//!
//! # Crate layout
//!
//! This section is for readers and contributors. A transformation adds an operator to the lineage. An action plans the
//! lineage into stages, with a boundary at each shuffle. The scheduler runs the stages in order; an executor runs the
//! tasks of a stage, one for each partition. A task pushes records through its pipeline, and either passes them to a
//! shuffle or returns a value.
//!
//! ```text
//! src/
//! ├─ error/         errors and their locations: Error, ErrorKind, ErrorContext
//! ├─ id.rs          ids of nodes, shuffles and stores
//! ├─ drawing/       layered drawings of graphs as SVG
//! ├─ storage/       records as bytes, in memory and on disk: codec, frames, runs, merge, memory budget, scratch files
//! ├─ portable/      what is sent to worker processes: code as addresses, state by serde; contains `unsafe`
//! ├─ files/         FileSystem: stores of the user, and the local one; input files, patterns of paths, outputs
//! ├─ config.rs      the settings of a context, and the environment variables
//! ├─ counter/       Counter and BadRecords: exact numbers, even if tasks are retried
//! ├─ text/          text as bytes: splits, blocks, lines, words, fields, compression; does not use bags
//! ├─ task/          what a running task receives and returns, and what the tasks of a job share
//! ├─ pipeline/      Record, Key, Pipeline, Boxed: a narrow chain as one generic type
//! ├─ shuffle/       moves records of one stage to the partitions of the next: combined, grouped or sorted, in memory
//! │                 and in files; its README.md has a picture
//! ├─ summary/       Summary: results of all records in one pass, and their arithmetic
//! ├─ lineage/       describes how a bag is computed; executes nothing
//! ├─ operators/     one file per operator: what it computes, on both sides of its shuffle
//! ├─ plan/          divides the lineage into stages
//! ├─ events/        events of jobs and their observers: the progress bar, the summary, and those of the user
//! ├─ status/        what jobs do, as a page, a report and a trace; with the feature `status`
//! ├─ executor/      runs tasks: inline, on threads, in worker processes, or by a custom executor
//! ├─ layers/        tasks that need values of each other, and which of them are ready
//! ├─ scheduler/     runs the stages of an action in order
//! ├─ jobs/          jobs in the background: their handles, and the threads that drive them
//! ├─ context.rs     Context: settings and executor
//! ├─ extend/        for other crates: memory, scratch files, and tasks of their own
//! ├─ graph/         task graphs as data: keys, and the functions that compute their values
//! ├─ bag/           the public methods: thin wrappers that add operators, and actions
//! └─ delayed/       calls of functions and results of bags that are computed together
//! ```
//!
//! A module uses only modules that come before it in this list:
//! `error, id, drawing, storage, portable, files, config, counter, text, task, pipeline, shuffle, summary, lineage,
//! operators, plan, events, status, executor, layers, scheduler, jobs, context, extend, graph, bag, delayed`.

mod bag;
mod config;
mod context;
mod counter;
mod delayed;
mod drawing;
mod error;
pub mod events;
pub mod executor;
pub mod extend;
pub mod files;
pub mod graph;
mod id;
mod jobs;
mod layers;
mod lineage;
mod operators;
mod pipeline;
mod plan;
mod portable;
mod scheduler;
mod shuffle;
#[cfg(feature = "status")]
mod status;
mod storage;
pub mod summary;
mod task;
mod text;

pub use bag::{
    ArchiveMember, Attempt, Bag, BagWith, BagWriter, FormatSink, Iter, PartialValue,
    PartitionWriter, PerKey, PerKeyAnyOrder, Preview, RecordFormat, Sink, Sortable, StageEstimate,
    StagePreview, TextReader, TextWriter, WriteLine, Written, empty, from_fn, from_iter,
    from_source, from_vec, from_vec_partitioned, load, range, range_partitioned, read_archives,
    read_files, read_fixed_length, read_text, union_all,
};
#[cfg(feature = "csv")]
pub use bag::{CsvReader, CsvWriter, read_csv};
#[cfg(feature = "json")]
pub use bag::{JsonWriter, read_json};
pub use config::Executor;
pub use context::{Context, ContextBuilder};
pub use counter::{BadRecord, BadRecords, Counter};
pub use delayed::{
    Delayed, DelayedArguments, DelayedBag, DelayedFunction, DelayedValues, IntoDelayed, call,
    compute, delayed, from_delayed, gather, try_delayed, value,
};
pub use error::{BoxError, Error, ErrorContext, ErrorKind, Result, SourceLocation};
pub use events::{JobProgress, JobSummary, StageProgress, StageSummary};
pub use executor::init;
pub use files::{Compression, IntoInputs};
pub use jobs::{AsCompleted, JobHandle, JobStatus, as_completed};
pub use lineage::RecordOrder;
pub use operators::cogroup::CoGroup;
pub use operators::cogroup_many::{CoGroup3, CoGroup4};
#[cfg(feature = "csv")]
pub use operators::csv_error::CsvError;
pub use operators::from_source::{FromSource, Reading, Source};
pub use operators::group_by_key::Group;
pub use operators::load::Saved;
pub use operators::located::{Located, Origin, OriginBuf};
pub use operators::map_partitions::Records;
#[cfg(feature = "json")]
pub use operators::parse_json::JsonError;
pub use operators::persist::StorageLevel;
#[cfg(unix)]
pub use operators::pipe::Pipe;
pub use operators::range::IntegerRange;
pub use operators::read_text::ReadText;
pub use operators::values::Values;
pub use pipeline::{Boxed, Data, Key, Pipeline, Record, Storable, Text};
pub use plan::{Plan, PlanOperator, PlanStage, StageOutput};
pub use portable::Portable;
pub use shuffle::stable_hash;
pub use storage::size::{ByteSize, IntoByteSize};
pub use summary::{Histogram, Numeric, Stats, Summary};
pub use task::CancelHandle;
pub use text::{FieldsError, InvalidUtf8, parse_fields};

#[doc = include_str!("../docs/guide.md")]
pub mod guide {
    #[doc = include_str!("../docs/tutorial.md")]
    pub mod tutorial {}
    #[doc = include_str!("../docs/cookbook.md")]
    pub mod cookbook {}
    #[doc = include_str!("../docs/cluster.md")]
    pub mod cluster {}
    #[doc = include_str!("../docs/status.md")]
    #[cfg_attr(
        not(feature = "status"),
        expect(
            rustdoc::broken_intra_doc_links,
            reason = "the methods need the feature"
        )
    )]
    pub mod status {}
    #[doc = include_str!("../docs/speed.md")]
    pub mod speed {}
}

/// The examples of the README are tested as those of the docs are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

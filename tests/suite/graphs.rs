//! Task graphs: values, checks before anything runs, the places of errors, depth and width, and drawings.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdall::graph::{Graph, Item, alias, all, by_ref, data, task, try_task};
use holdall::{Context, ErrorKind, Executor};

use crate::common::{
    Files, assert_empty, large_graph, on_every_executor, on_every_executor_and_processes,
    quiet_panics,
};

fn inc(x: i64) -> i64 {
    x + 1
}

fn add(x: i64, y: i64) -> i64 {
    x + y
}

fn total(parts: &[i64]) -> i64 {
    parts.iter().sum()
}

/// The graph of dask's documentation.
fn small() -> Graph {
    Graph::from([
        ("a", data(1_i64)),
        ("x", data(10_i64)),
        ("b", task(inc, ["a"])),
        ("y", task(inc, ["x"])),
        ("z", task(add, ["b", "y"])),
    ])
}

#[test]
fn a_graph_has_the_values_of_its_functions() {
    on_every_executor_and_processes(|context| {
        let mut graph = small();
        graph.insert("sum", task(total, [all(["a", "b", "y"])]));
        graph.insert("w", task(add, ("z", data(5_i64))));
        assert_eq!(context.get::<_, i64>(&graph, "z").unwrap(), 13);
        let (b, sum, w): (i64, i64, i64) = context.get(&graph, ("b", "sum", "w")).unwrap();
        assert_eq!((b, sum, w), (2, 14, 18));
        let [z, a, again]: [i64; 3] = context.get(&graph, ["z", "a", "z"]).unwrap();
        assert_eq!((z, a, again), (13, 1, 13));
        let keys = vec!["y".to_owned(), "b".to_owned()];
        let values: Vec<i64> = context.get(&graph, keys).unwrap();
        assert_eq!(values, [11, 2]);
        assert!(
            context
                .get::<_, Vec<i64>>(&graph, Vec::<&str>::new())
                .unwrap()
                .is_empty()
        );
    });
}

fn lengths(words: &[String]) -> Vec<usize> {
    words.iter().map(String::len).collect()
}

fn shout(word: &str, times: &usize) -> String {
    word.to_uppercase().repeat(*times)
}

fn joined(words: &[String], end: &str) -> String {
    words.join("-") + end
}

#[test]
fn functions_take_values_and_references_of_many_types() {
    on_every_executor_and_processes(|context| {
        let words = ["a", "bag", "of", "words"].map(str::to_owned);
        let first = |words: &Vec<String>| words[0].clone();
        let both = |words: &[String], none: &[String]| (words.len(), none.len());
        let graph = Graph::from([
            ("words", data(words.to_vec())),
            ("none", task(Vec::<String>::new, ())),
            ("lengths", task(lengths, ["words"])),
            (
                "sum",
                task(
                    |lengths: Vec<usize>| lengths.iter().sum::<usize>(),
                    ["lengths"],
                ),
            ),
            ("first", task(first, ["words"])),
            ("shout", task(shout, ["first", "sum"])),
            ("joined", task(joined, (all(["shout", "first"]), "first"))),
            ("empty", task(both, (all([""; 0]), "none"))),
            ("same", alias("joined")),
            ("again", alias("same")),
        ]);
        let keys = ("again", "empty");
        let (joined, empty): (String, (usize, usize)) = context.get(&graph, keys).unwrap();
        assert_eq!(joined, format!("{}-aa", "A".repeat(11)));
        assert_eq!(empty, (0, 0));
    });
}

#[test]
fn a_function_has_up_to_eight_parameters() {
    on_every_executor_and_processes(|context| {
        let of_eight = |a: i8, b: i16, c: i32, d: i64, e: u8, f: u16, g: u32, h: char| {
            format!("{a}{b}{c}{d}{e}{f}{g}{h}")
        };
        let (bytes, floats) = (data(5_u8), data(3_i32));
        let needs = (
            data(1_i8),
            "b",
            floats,
            data(4_i64),
            bytes,
            data(6_u16),
            data(7_u32),
            data('8'),
        );
        let graph = Graph::from([("eight", task(of_eight, needs)), ("b", data(2_i16))]);
        assert_eq!(
            context.get::<_, String>(&graph, "eight").unwrap(),
            "12345678"
        );
    });
}

#[test]
fn a_task_may_need_tasks_that_have_no_key() {
    on_every_executor_and_processes(|context| {
        let inner = task(add, (task(inc, ["a"]), task(inc, [task(inc, ["a"])])));
        let sum = task(total, [all([inner, data(100_i64), alias("b")])]);
        let mut graph = Graph::from([("a", data(1_i64)), ("sum", sum), ("b", task(inc, ["a"]))]);
        assert_eq!(
            context.get::<_, i64>(&graph, "sum").unwrap(),
            2 + 3 + 100 + 2
        );
        assert_eq!(graph.keys().collect::<Vec<_>>(), ["a", "sum", "b"]);
        assert_eq!(graph.needs("sum"), ["a", "b"]);
        // A key stands for another item from now on.
        graph.insert("b", data(7_i64));
        assert_eq!(
            context.get::<_, i64>(&graph, "sum").unwrap(),
            2 + 3 + 100 + 7
        );
        assert!(graph.remove("b") && !graph.remove("b"));
        assert_eq!(graph.len(), 2);
        assert!(context.get::<_, i64>(&graph, "sum").is_err());
    });
}

#[test]
fn each_task_runs_once_and_only_if_it_is_needed() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    fn counted(x: i64) -> i64 {
        RUNS.fetch_add(1, Ordering::Relaxed);
        x + 1
    }
    let run = |context: &Context| {
        RUNS.store(0, Ordering::Relaxed);
        let mut graph = Graph::from([("0".to_owned(), data(0_i64))]);
        for n in 1..20 {
            graph.insert(n.to_string(), task(counted, [(n - 1).to_string()]));
            graph.insert(format!("unneeded {n}"), task(counted, [n.to_string()]));
            graph.insert(
                format!("sum {n}"),
                task(add, [n.to_string(), (n - 1).to_string()]),
            );
        }
        let (last, sum): (i64, i64) = context.get(&graph, ("19", "sum 10")).unwrap();
        assert_eq!((last, sum, RUNS.load(Ordering::Relaxed)), (19, 19, 19));
    };
    for executor in [Executor::Inline, Executor::Threads(3)] {
        run(&Context::builder().executor(executor).build().unwrap());
    }
}

/// Returns the message of the error that a graph is invalid.
fn refused(graph: &Graph, key: &str) -> String {
    let error = Context::default().get::<_, i64>(graph, key);
    let error = error.expect_err("the graph is invalid");
    assert!(
        matches!(error.kind(), ErrorKind::InvalidGraph { .. }),
        "{error}"
    );
    error.to_string()
}

/// Returns the message for a graph in which a key stands for something wrong.
fn refused_with(key: &str, item: Item) -> String {
    let never = |_: i64| -> i64 { unreachable!("the graph is invalid") };
    let mut graph = small();
    graph.insert("never", task(never, ["a"]));
    graph.insert("text", data("text".to_owned()));
    graph.insert(key, item);
    graph.insert("last", task(add, ["never", key]));
    refused(&graph, "last")
}

fn assert_has(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message}: {part}");
    }
}

#[test]
fn missing_keys_and_cycles_are_refused_before_anything_runs() {
    let absent = ["\"q\" is not in the graph", "get at tests/suite/graphs.rs"];
    assert_has(&refused(&small(), "q"), &absent);
    let missing = refused_with("k", task(add, ["a", "missing"]));
    let parts = [
        "task \"k\"",
        "needs \"missing\", which is not in the graph",
        "graphs.rs",
    ];
    assert_has(&missing, &parts);
    let cycle = refused_with("a", task(add, ["x", "z"]));
    let parts = ["it needs itself: \"a\" needs \"z\" needs \"b\" needs \"a\""];
    assert_has(&cycle, &parts);
    assert_has(&refused_with("k", task(inc, ["k"])), &["\"k\" needs \"k\""]);
    assert_has(&refused_with("k", alias("k")), &["\"k\" needs \"k\""]);
    let ring = (0..50).map(|n| (n.to_string(), task(inc, [((n + 1) % 50).to_string()])));
    let parts = ["\"7\" needs \"8\" needs", "30 others, which need \"7\""];
    assert_has(&refused(&ring.collect(), "7"), &parts);
}

#[test]
fn arguments_that_do_not_fit_are_refused_before_anything_runs() {
    let one = refused_with("k", task(add, ["a"]));
    assert_has(&one, &["it has 1 argument, but its function takes 2"]);
    let two = refused_with("k", task(inc, ["a", "b"]));
    assert_has(&two, &["it has 2 arguments, but its function takes 1"]);
    let not_i64 = "is a value of alloc::string::String, but the function takes i64";
    let wrong = refused_with("k", task(add, ["a", "text"]));
    assert_has(&wrong, &["task \"k\"", "argument 2", not_i64]);
    let text = refused_with("k", task(total, [all(["a", "text"])]));
    assert_has(&text, &["argument 1", not_i64]);
    let many = refused_with("k", task(inc, [all(["a", "b"])]));
    assert_has(
        &many,
        &["argument 1 consists of several values, but the function takes i64"],
    );
    let nested = refused_with("k", task(total, [all([all(["a", "b"])])]));
    assert_has(
        &nested,
        &["argument 1 is a value of several values, but the function takes i64"],
    );
    let one = refused_with("k", task(total, ["a"]));
    assert_has(
        &one,
        &["is a value of i64, but the function takes alloc::vec::Vec<i64>"],
    );
    let wanted = ["\"text\" is a value of alloc::string::String, not of i64"];
    assert_has(&refused(&with_text(), "text"), &wanted);
}

fn with_text() -> Graph {
    Graph::from([("text", data("text".to_owned()))])
}

#[test]
fn errors_and_panics_name_the_key_and_the_line() {
    quiet_panics();
    on_every_executor_and_processes(|context| {
        let fail = |x: i64| {
            if x > 2 {
                Err(format!("{x} is too large"))
            } else {
                Ok(x)
            }
        };
        let mut graph = small();
        let line = line!() + 1;
        graph.insert("fails", try_task(fail, ["b"]));
        graph.insert("ends", task(inc, ["fails"]));
        assert_eq!(context.get::<_, i64>(&graph, "ends").unwrap(), 3);
        graph.insert("a", data(2_i64));
        let error = context.get::<_, i64>(&graph, "ends").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        let place = error.context().unwrap();
        assert_eq!(
            (place.key.as_deref(), place.operator),
            (Some("fails"), Some("try_task"))
        );
        assert_eq!(
            (place.stage, place.task, place.partition),
            (Some(1), None, None)
        );
        assert_eq!(place.location.unwrap().line(), line);
        assert!(
            error
                .to_string()
                .ends_with("(stage 1, task \"fails\"): 3 is too large"),
            "{error}"
        );

        let panics = |x: &i64| -> i64 { panic!("on purpose: {x}") };
        graph.insert("panics", task(panics, [task(inc, ["z"])]));
        let error = context.get::<_, i64>(&graph, "panics").unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
            "{error}"
        );
        assert_eq!(error.context().unwrap().key.as_deref(), Some("panics"));
        assert!(error.to_string().contains("on purpose: 15"), "{error}");
        // The context is still good.
        assert_eq!(context.get::<_, i64>(&graph, "z").unwrap(), 14);
    });
}

#[test]
fn a_function_that_captures_runs_only_in_this_process() {
    let factor = std::env::args().count() as i64 + 2;
    let captures = task(move |x: i64| x * factor, ["b"]);
    let line = line!() - 1;
    let mut graph = small();
    graph.insert("captures", captures);
    let copy = graph.clone();
    on_every_executor(move |context| {
        assert_eq!(
            context.get::<_, i64>(&copy, "captures").unwrap(),
            2 * factor
        );
    });
    if cfg!(target_os = "linux") {
        let context = Context::builder().executor(Executor::Processes(1));
        let context = context.build().unwrap();
        let error = context.get::<_, i64>(&graph, "captures").unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::CapturingClosure { .. }),
            "{error}"
        );
        assert_eq!(error.context().unwrap().location.unwrap().line(), line);
        assert_eq!(context.get::<_, i64>(&graph, "b").unwrap(), 2);
    }
}

#[test]
fn a_task_may_use_rayon_but_not_run_a_job() {
    on_every_executor_and_processes(|context| {
        let joined = |x: i64| {
            let (a, b) = rayon::join(|| x + 1, || x + 2);
            a * b
        };
        let mut graph = Graph::new();
        for n in 0..100_i64 {
            graph.insert(n.to_string(), task(joined, [data(n)]));
        }
        let all_keys = all((0..100).map(|n| n.to_string()));
        graph.insert("total", task(total, [all_keys]));
        let expected: i64 = (0..100).map(|x| (x + 1) * (x + 2)).sum();
        assert_eq!(context.get::<_, i64>(&graph, "total").unwrap(), expected);

        let nested = || holdall::range(0..10_u64).count();
        let graph = Graph::from([("nested", try_task(nested, ()))]);
        let error = context.get::<_, u64>(&graph, "nested").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("inside a closure of a running job"),
            "{error}"
        );
    });
}

/// Returns a chain of tasks in which only each second one can be fused with the next.
fn chain(tasks: usize) -> Graph {
    let mut graph = Graph::from([("0".to_owned(), data(0_i64))]);
    let mut last = "0".to_owned();
    for n in 1..=tasks {
        let key = n.to_string();
        let item = match n % 2 {
            0 => task(add, (last, "1")),
            _ => task(inc, [last]),
        };
        graph.insert(key.clone(), item);
        last = key;
    }
    graph
}

/// `HOLDALL_LARGE_GRAPH` is their number of tasks.
#[test]
fn deep_and_wide_graphs_need_no_stack() {
    let context = Context::builder()
        .executor(Executor::Threads(2))
        .build()
        .unwrap();
    let tasks = large_graph();
    let deep = chain(tasks);
    let last: i64 = context.get(&deep, tasks.to_string()).unwrap();
    assert_eq!(last, tasks as i64);
    let mut nested = task(inc, [data(0_i64)]);
    for _ in 1..tasks {
        nested = task(inc, [nested]);
    }
    let mut branched = task(inc, [data(0_i64)]);
    for _ in 1..tasks {
        branched = task(add, (task(inc, [data(0_i64)]), branched));
    }
    let nested = Graph::from([("nested", nested), ("branched", branched)]);
    let values: [i64; 2] = context.get(&nested, ["nested", "branched"]).unwrap();
    assert_eq!(values, [tasks as i64; 2]);
    let mut aliases = Graph::from([("0".to_owned(), data(1_i64))]);
    aliases.extend((1..tasks).map(|n| (n.to_string(), alias((n - 1).to_string()))));
    let fused = aliases.fuse([(tasks - 1).to_string()]).unwrap();
    assert_eq!(fused.len(), 2);
    let mut wide = Graph::from([
        ("0".to_owned(), data(1_i64)),
        ("1".to_owned(), task(inc, ["0"])),
    ]);
    wide.extend((2..tasks).map(|n| (n.to_string(), task(inc, ["1"]))));
    wide.insert("all", task(total, [all((2..tasks).map(|n| n.to_string()))]));
    assert_eq!(
        context.get::<_, i64>(&wide, "all").unwrap(),
        3 * (tasks as i64 - 2)
    );
    assert_eq!(wide.needs("all").len(), tasks - 2);
}

#[test]
fn culled_and_fused_graphs_have_the_same_values() {
    on_every_executor_and_processes(|context| {
        let mut graph = small();
        graph.insert("sum", task(total, [all(["a", "b", "y"])]));
        graph.insert("w", task(add, ("z", data(5_i64))));
        graph.insert("last", task(inc, [task(inc, ["w"])]));
        graph.insert("alias", alias("w"));
        let fused = graph.cull(["z"]).unwrap().fuse(["z"]).unwrap();
        assert_eq!(fused.keys().collect::<Vec<_>>(), ["b", "y", "z"]);
        assert_eq!(context.get::<_, i64>(&fused, "z").unwrap(), 13);
        let fused = graph.fuse(["last"]).unwrap();
        assert_eq!(fused.keys().collect::<Vec<_>>(), ["b", "y", "last"]);
        assert_eq!(context.get::<_, i64>(&fused, "last").unwrap(), 20);
        let fused = graph.fuse(["alias", "last", "a"]).unwrap();
        assert_eq!(
            fused.keys().collect::<Vec<_>>(),
            ["a", "b", "y", "w", "last", "alias"]
        );
        let values: [i64; 3] = context.get(&fused, ["alias", "last", "a"]).unwrap();
        assert_eq!(values, [18, 20, 1]);
        assert!(graph.cull(["q"]).is_err());
        // Tasks without keys, and those whose keys are hidden, are not part of the order.
        let order = graph.order(["last"]).unwrap();
        assert_eq!(order, ["b", "y", "z", "w", "last"]);
        let fused = graph.fuse(["last"]).unwrap();
        assert_eq!(fused.order(["last"]).unwrap(), ["b", "y", "last"]);
    });
}

/// Ends its process the first time that it is called.
fn ends_its_process_once(marker: &str) -> i64 {
    if fs::remove_file(marker).is_ok() {
        std::process::abort();
    }
    1
}

#[test]
#[cfg(target_os = "linux")]
fn a_task_whose_worker_is_lost_runs_again() {
    let files = Files::new();
    let context = Context::builder().executor(Executor::Processes(2));
    let context = context.progress(false).build().unwrap();
    let mut graph = Graph::from([("0".to_owned(), data(0_i64))]);
    for n in 1..60 {
        let before = (n - 1).to_string();
        let marker = files.write(&n.to_string(), "").to_str().unwrap().to_owned();
        let item = match n % 20 {
            0 => task(
                add,
                (before, task(by_ref(ends_its_process_once), [data(marker)])),
            ),
            _ => task(add, (before, data(1_i64))),
        };
        graph.insert(n.to_string(), item);
    }
    assert_eq!(context.get::<_, i64>(&graph, "59").unwrap(), 59);
    assert_eq!(files.names().len(), 59 - 2);

    graph.insert(
        "ends",
        task(|_: i64| -> i64 { std::process::abort() }, ["59"]),
    );
    let error = context.get::<_, i64>(&graph, "ends").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::TooManyAttempts { .. }),
        "{error}"
    );
    assert_eq!(error.context().unwrap().key.as_deref(), Some("ends"));
}

fn long(n: &u64) -> Vec<u64> {
    (0..20_000).map(|i| i * n).collect()
}

/// Deletes all value files, and returns a part of the sum.
fn deleting(spill: &str, list: &[u64]) -> u64 {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    for job in entries(Path::new(spill)) {
        for file in entries(&job.path()).filter(|file| file.file_name() != "lock") {
            let _ = fs::remove_file(file.path());
        }
    }
    list.iter().sum()
}

#[test]
fn values_that_are_spilled_and_deleted_are_computed_again() {
    let spill = Files::new();
    let directory = spill.root().to_str().unwrap().to_owned();
    let mut graph = Graph::new();
    graph.insert("spill", data(directory));
    for n in 0..30_u64 {
        graph.insert(n.to_string(), task(long, [data(n)]));
        // Needs the value late, so that it is spilled.
        let sum = |list: &Vec<u64>, _: &u64| list.iter().sum::<u64>();
        graph.insert(format!("sum {n}"), task(sum, (n.to_string(), "deleted")));
    }
    let lengths = |lists: &[Vec<u64>]| lists.len() as u64;
    let lists = all((0..30).map(|n| n.to_string()));
    graph.insert("all", task(lengths, [lists]));
    let last = |list: &Vec<u64>, _: &u64| list.clone();
    graph.insert("last", task(last, ("29", "all")));
    graph.insert("deleted", task(deleting, ["spill", "last"]));
    let sums = all((0..30).map(|n| format!("sum {n}")));
    graph.insert(
        "sums",
        task(|sums: &[u64]| sums.iter().sum::<u64>(), [sums]),
    );
    let mut executors = vec![Executor::Inline, Executor::Threads(2)];
    if cfg!(target_os = "linux") {
        executors.push(Executor::Processes(2));
    }
    for executor in executors {
        let context = Context::builder().executor(executor).memory("2MiB");
        let context = context.spill_directory(spill.root()).progress(false);
        let context = context.build().unwrap();
        let sum: u64 = context.get(&graph, "sums").unwrap();
        assert_eq!(sum, (0..30).sum::<u64>() * (0..20_000).sum::<u64>());
        let summary = context.last_job().unwrap();
        assert!(
            summary.stages[0].spilled_bytes > 1 << 20,
            "{executor:?}: {summary:?}"
        );
        drop(context);
        assert_empty(spill.root());
    }
}

#[test]
fn a_graph_is_drawn() {
    let mut graph = small();
    graph.insert("a < b & \"c\"", task(add, ["z", "missing"]));
    let dot = graph.dot();
    assert!(dot.contains("[label=\"z\\nadd\", style=rounded];"), "{dot}");
    assert!(
        dot.contains("[label=\"missing\\nmissing\", style=dashed];"),
        "{dot}"
    );
    assert!(dot.contains("a < b & \\\"c\\\""), "{dot}");
    assert_eq!(dot.matches(" -> ").count(), 6);
    let svg = graph.svg();
    assert!(
        svg.contains(">a &lt; b &amp; &quot;c&quot;</text>"),
        "{svg}"
    );
    // What has been replaced or removed leaves nothing behind.
    let before = graph.dot();
    graph.insert("b", task(inc, [task(inc, [task(i64::abs, ["a"])])]));
    assert!(graph.dot().contains("abs"));
    graph.insert("b", task(add, (task(i64::abs, ["a"]), "a")));
    graph.insert("b", task(inc, ["a"]));
    assert_eq!(graph.dot(), before);
    graph.insert("gone", task(inc, [task(i64::abs, ["a"])]));
    assert!(graph.remove("gone"));
    assert_eq!(graph.dot(), before);
    // A graph need not be valid to be drawn, and a large one is grouped by function.
    graph.insert("a", task(inc, ["z"]));
    assert!(graph.svg().ends_with("</svg>\n"));
    let mut large = chain(5_000);
    large.insert("gone", data(1_u8));
    large.remove("gone");
    let svg = large.svg();
    assert!(
        svg.contains(">inc</text>") && svg.contains(">2500 tasks</text>"),
        "{svg}"
    );
    assert!(!svg.contains("missing"), "{svg}");
}

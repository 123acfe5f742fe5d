//! Modules import only from lower layers. Also checks other properties of the source files in `src/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module may use itself and those before it. The root, `lib.rs`, is outside of the layers.
const LAYERS: [&str; 27] = [
    "error",
    "id",
    "drawing",
    "storage",
    "portable",
    "files",
    "config",
    "counter",
    "text",
    "task",
    "pipeline",
    "shuffle",
    "summary",
    "lineage",
    "operators",
    "plan",
    "events",
    "status",
    "executor",
    "layers",
    "scheduler",
    "jobs",
    "context",
    "extend",
    "graph",
    "bag",
    "delayed",
];

/// Maximum number of lines of code of a file, without comments, blank lines and unit tests.
const MAX_LINES: usize = 400;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns all Rust files below `directory`, with their text.
pub(crate) fn files(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("a directory").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a text");
            files.push((path, text));
        }
    }
    files.sort();
    files
}

/// Removes comments. A `//` in a string also ends the line, which does no harm here.
pub(crate) fn code(text: &str) -> String {
    let line = |line: &str| {
        line.split("//")
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the names that follow `crate::` in `code`: a single one, or those at the top level of a group in braces.
fn used_modules(code: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let name = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| is_name(*c))
            .collect::<String>()
    };
    let mut used = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        // `$crate` in a macro is this crate, too. `some_crate::` is not.
        if code[..at].ends_with(is_name) {
            continue;
        }
        let rest = &code[at + path.len()..];
        let Some(group) = rest.trim_start().strip_prefix('{') else {
            used.insert(name(rest));
            continue;
        };
        let mut depth = 0;
        let mut is_start = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => is_start = true,
                c if is_start && is_name(c) => {
                    used.insert(name(&group[at..]));
                    is_start = false;
                }
                _ => {}
            }
        }
    }
    used
}

/// Returns the top-level module that a file belongs to; `None` for `lib.rs`.
fn module_of(path: &Path) -> Option<String> {
    let path = path.strip_prefix(root()).expect("it was found there");
    let name = path.components().next().expect("it has a name").as_os_str();
    let name = name
        .to_str()
        .expect("names of modules are ASCII")
        .trim_end_matches(".rs");
    (name != "lib").then(|| name.to_owned())
}

#[test]
fn each_module_has_its_place() {
    let found: BTreeSet<_> = files(&root())
        .iter()
        .filter_map(|(path, _)| module_of(path))
        .collect();
    let expected: BTreeSet<_> = LAYERS.into_iter().map(str::to_owned).collect();
    assert_eq!(found, expected);
}

#[test]
fn modules_use_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for (path, text) in files(&root()) {
        let Some(module) = module_of(&path) else {
            continue;
        };
        let layer = LAYERS
            .iter()
            .position(|layer| *layer == module)
            .expect("each has its place");
        for used in used_modules(&code(&text)) {
            if !LAYERS[..=layer].contains(&&*used) {
                wrong.push(format!("{} uses crate::{used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `super` can lead up to the root and down again, for example `super::super::bag` in a file of `storage/`.
#[test]
fn no_module_climbs_to_the_root() {
    let mut wrong = Vec::new();
    for (path, text) in files(&root()) {
        let below = path.strip_prefix(root()).expect("it was found there");
        let in_file = usize::from(!below.ends_with("mod.rs") && !below.ends_with("lib.rs"));
        let depth = below.components().count() - 1 + in_file;
        // Modules within a file are one level deeper.
        for (number, line) in (1..).zip(without_tests(&code(&text)).lines()) {
            let climbs = line.split("super::").count() - 1;
            if depth > 0 && climbs >= depth && line.contains(&"super::".repeat(depth)) {
                wrong.push(format!("{}:{number}: {line}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the code before the unit tests, which are at the end of a file.
fn without_tests(code: &str) -> &str {
    code.split("\nmod tests {").next().unwrap_or_default()
}

#[test]
fn each_file_begins_with_its_purpose() {
    for (path, text) in files(Path::new(env!("CARGO_MANIFEST_DIR")))
        .iter()
        .filter(|(path, _)| is_ours(path))
    {
        let head = text
            .strip_prefix("//! ")
            .and_then(|text| text.lines().next());
        assert!(
            head.is_some_and(|line| line.len() > 10),
            "{}",
            path.display()
        );
    }
}

/// Returns `true` for source files, and `false` for files that a build has created.
fn is_ours(path: &Path) -> bool {
    let folders = ["src", "tests", "examples", "benches", "crates"]
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
    folders.iter().any(|folder| path.starts_with(folder))
}

#[test]
fn files_are_short() {
    for (path, text) in files(&root()) {
        // Skip unit tests in separate files.
        let below = path.strip_prefix(root()).expect("it was found there");
        if below.with_extension("").iter().any(|name| name == "tests") {
            continue;
        }
        let lines = without_tests(&code(&text))
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
        assert!(
            lines <= MAX_LINES,
            "{}: {lines} lines of code",
            path.display()
        );
    }
}

/// Returns the public methods in `code` with a closure in their bounds.
fn methods_with_closures(code: &str) -> BTreeSet<String> {
    let method = |text: &str| {
        let (signature, _) = text.split_once('{')?;
        let name = signature.split(['<', '(']).next()?;
        signature.contains("Fn(").then(|| name.to_owned())
    };
    code.split("    pub fn ")
        .skip(1)
        .filter_map(method)
        .collect()
}

/// A closure that is sent to a worker process must be able to receive state: by a twin of the method, or by a method
/// one step earlier, as the docs of `BagWith` describe.
#[test]
fn every_method_with_a_closure_has_a_way_to_receive_state() {
    let earlier = [
        "all",
        "any",
        "bottom_by_key",
        "filter_ok",
        "find",
        "find_last",
        "find_map",
        "map_ok",
        "distinct_by_key",
        "find",
        "group_by",
        "max_by_key",
        "min_by_key",
        "partition",
        "position",
        "sort_by_cached_key",
        "sort_by_key",
        "stats_of",
        // Its argument is state.
        "submit",
        "top_by_key",
    ];
    let mut methods = BTreeSet::new();
    let mut twins = BTreeSet::new();
    for (path, text) in files(&root().join("bag")) {
        let name = path.file_name().expect("a file").to_string_lossy();
        let found = methods_with_closures(&code(&text));
        match &*name {
            // Closures of sources are called in the process that creates them.
            "sources.rs" => {}
            name if name.starts_with("with") => twins.extend(found),
            _ => methods.extend(found),
        }
    }
    assert!(methods.contains("map") && methods.contains("aggregate_by_key"));
    assert!(earlier.iter().all(|name| !twins.contains(*name)));
    twins.extend(earlier.map(str::to_owned));
    assert_eq!(methods, twins);
}

#[test]
fn nothing_is_left_to_do() {
    for (path, text) in files(Path::new(env!("CARGO_MANIFEST_DIR")))
        .iter()
        .filter(|(path, _)| is_ours(path))
    {
        for mark in [concat!("TO", "DO"), concat!("FIX", "ME")] {
            assert!(!text.contains(mark), "{}: {mark}", path.display());
        }
    }
}

#[test]
fn imports_are_found_in_all_their_forms() {
    let found = |code: &str| {
        used_modules(&self::code(code))
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(found("use crate::error::{Error, Result};"), ["error"]);
    assert_eq!(found("pub(crate) use crate::text;"), ["text"]);
    assert_eq!(
        found("use crate::{\n    bag::{Bag, Iter},\n    task::*, id,\n};"),
        ["bag", "id", "task"]
    );
    assert_eq!(
        found("fn f() -> crate::plan::Plan { crate::id::next() }"),
        ["id", "plan"]
    );
    assert_eq!(
        found("/// [`Bag`](crate::Bag)\n//! crate::bag\nlet x = 1; // crate::bag"),
        [""; 0]
    );
    assert_eq!(found("$crate::bag::f(); other_crate::text::g()"), ["bag"]);
}

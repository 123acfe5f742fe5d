//! The files of `src/` import each other without a cycle, and each name of a type is that of one type. Both read the
//! source as rustfmt formats it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::layering::{code, files, root};

/// A module in a file of its own or in braces.
#[derive(Default)]
struct Module {
    file: String,
    text: String,
    /// The paths that `use` declarations give a name in the module, and whether they re-export it.
    aliases: BTreeMap<String, (bool, Vec<String>)>,
}

/// All modules by their path from the root, without unit tests.
#[derive(Default)]
struct Modules(BTreeMap<Vec<String>, Module>);

/// The imported names by the files that import them and define them.
type Imports = BTreeMap<(String, String), BTreeSet<String>>;

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The text without comments and without what is compiled for unit tests only. Also returns the modules that are
/// declared for unit tests.
fn without_tests(text: &str) -> (String, Vec<String>) {
    let code = code(text);
    let mut lines = code.lines();
    let mut kept = String::new();
    let mut tests = Vec::new();
    while let Some(line) = lines.next() {
        if !line.trim().starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test") {
            kept.extend([line, "\n"]);
            continue;
        }
        for skipped in lines.by_ref() {
            if let (_, "mod", name) = item(skipped) {
                tests.extend(name.strip_suffix(';').map(str::to_owned));
            }
            if indent(skipped) == indent(line) && skipped.ends_with([';', '}', ',']) {
                break;
            }
        }
    }
    (kept, tests)
}

/// The visibility, the keyword and the rest of a line that begins an item.
fn item(line: &str) -> (bool, &str, &str) {
    let line = line.trim_start();
    let rest = match line.strip_prefix("pub(") {
        Some(rest) => rest.split_once(") ").map_or("", |(_, rest)| rest),
        None => line.strip_prefix("pub ").unwrap_or(line),
    };
    let (keyword, name) = rest.split_once(' ').unwrap_or((rest, ""));
    (rest.len() < line.len(), keyword, name)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn names(path: &str) -> Vec<String> {
    path.split("::").map(str::to_owned).collect()
}

/// Adds the paths of a tree of imports to `paths`, each with its name in the module.
fn flatten(prefix: &str, tree: &str, paths: &mut Vec<(String, Vec<String>)>) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let group = group.strip_suffix('}').expect("balanced braces");
        let mut depth = 0;
        let parts = group.split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        for part in parts.filter(|part| !part.trim().is_empty()) {
            flatten(&format!("{prefix}{head}"), part, paths);
        }
        return;
    }
    let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
    let path = format!("{prefix}{path}");
    let path = names(path.trim_end_matches("::self"));
    let last = path.last().filter(|_| name.is_empty());
    paths.push((last.map_or(name, |last| last).to_owned(), path.clone()));
}

impl Modules {
    fn read(files: &[(String, String)]) -> Self {
        let mut modules = Self::default();
        let mut tests = Vec::new();
        for (file, text) in files {
            let mut path = names(&file.trim_end_matches(".rs").replace('/', "::"));
            path.retain(|name| name != "mod" && name != "lib");
            let (text, declared) = without_tests(text);
            let declared = declared.into_iter();
            tests.extend(declared.map(|name| [&path[..], &[name]].concat()));
            modules.add(file, path, &text);
        }
        let is_test = |path: &[String]| tests.iter().any(|test| path.starts_with(test));
        modules.0.retain(|path, _| !is_test(path));
        modules
    }

    fn add(&mut self, file: &str, path: Vec<String>, text: &str) {
        let mut module = Module {
            file: file.to_owned(),
            ..Module::default()
        };
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut rest_until = |end: &str| {
                let is_inside =
                    |inside: &&str| !(indent(inside) == indent(line) && inside.trim() == end);
                let rest: Vec<_> = lines.by_ref().take_while(is_inside).collect();
                rest.join("\n")
            };
            match item(line) {
                (_, "mod", name) if name.ends_with(" {") => {
                    let name = name.trim_end_matches(" {").to_owned();
                    let inside = rest_until("}");
                    self.add(file, [&path[..], &[name]].concat(), &inside);
                }
                (is_visible, "use", tree) => {
                    let tree = match tree.strip_suffix(';') {
                        Some(tree) => tree.to_owned(),
                        None => format!("{tree}{}}}", rest_until("};")),
                    };
                    let mut paths = Vec::new();
                    flatten("", &tree, &mut paths);
                    let paths = paths.into_iter();
                    let aliases = paths.map(|(name, path)| (name, (is_visible, path)));
                    module.aliases.extend(aliases);
                }
                _ => module.text.extend([line, "\n"]),
            }
        }
        self.0.insert(path, module);
    }

    /// The file that defines what `path` names in the module `from`; none if that is a name alone that `from` does not
    /// import, or of another crate.
    fn definition(&self, from: &[String], path: &[String]) -> Option<&str> {
        let mut at = from.to_vec();
        let mut is_start = true;
        for (i, name) in path.iter().enumerate() {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            let is_last = i + 1 == path.len();
            let alias = self.0[&at].aliases.get(name).map(|(_, alias)| alias);
            // A macro is re-exported by its own name.
            let alias = alias.filter(|alias| **alias != [name.clone()]);
            match (&**name, alias) {
                ("crate", _) => at.clear(),
                ("self", _) => {}
                ("super", _) => {
                    at.pop();
                }
                (_, alias) if self.0.contains_key(&child) && !(is_last && alias.is_some()) => {
                    at = child;
                }
                (_, Some(alias)) => {
                    return self.definition(&at, &[&alias[..], &path[i + 1..]].concat());
                }
                _ if is_start => return None,
                _ => return Some(&self.0[&at].file),
            }
            is_start = false;
        }
        (path.len() > 1).then_some(&self.0[&at].file)
    }

    /// The paths in the text of a module, and the names that stand alone. Fields and methods are left out.
    fn mentions(module: &Module) -> BTreeSet<Vec<String>> {
        let text = module.text.replace("..", " ").replace("(in crate", "(in");
        // serde names modules in strings.
        let text = text.replace("with = \"", "with = self::");
        let paths = text.split(|c| !is_name(c) && c != ':' && c != '.');
        let paths = paths.map(|path| {
            let path = path.split('.').next().unwrap_or_default();
            names(path.trim_end_matches(':'))
        });
        paths.collect()
    }

    /// A module that a file declares or re-exports from is not imported by that alone.
    fn imports(&self) -> Imports {
        let name = |used: &[String]| match &*used[0] {
            "crate" | "super" => used.join("::"),
            "self" => used[1].clone(),
            name => name.to_owned(),
        };
        let mut imports = Imports::new();
        for (path, module) in &self.0 {
            let aliases = module.aliases.iter();
            let imported = aliases.filter(|(_, (is_re_export, _))| !is_re_export);
            let imported = imported.map(|(name, _)| names(&format!("self::{name}")));
            for used in imported.chain(Self::mentions(module)) {
                if let Some(file) = self.definition(path, &used)
                    && file != module.file
                {
                    let between = (module.file.clone(), file.to_owned());
                    imports.entry(between).or_default().insert(name(&used));
                }
            }
        }
        imports
    }
}

/// Describes all imports that are part of a cycle, one a line.
fn cycles(imports: &Imports) -> String {
    let mut after: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in imports.keys() {
        after.entry(from).or_default().push(to);
    }
    let leads_to = |from: &str, to: &str| {
        let (mut found, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(at) = next.pop() {
            let after = after.get(at).into_iter().flatten().copied();
            next.extend(after.filter(|file| found.insert(*file)));
        }
        found.contains(to)
    };
    let is_in_cycle = |((from, to), _): &(&(String, String), _)| leads_to(to, from);
    let lines = imports.iter().filter(is_in_cycle);
    lines
        .map(|((from, to), names)| format!("{from} imports {names:?} of {to}\n"))
        .collect()
}

/// The types that a module defines, each with whether other files can name it. Associated types are left out.
fn types(module: &Module) -> impl Iterator<Item = (bool, String)> {
    module.text.lines().filter_map(|line| {
        let (is_visible, keyword, rest) = item(line);
        let is_type = match keyword {
            "struct" | "enum" | "union" | "trait" => true,
            "type" => indent(line) == 0,
            _ => false,
        };
        let name = rest.split(|c| !is_name(c)).next().unwrap_or_default();
        (is_type && !name.is_empty()).then(|| (is_visible, name.to_owned()))
    })
}

/// Describes the names that a type that other files can name shares with another type.
fn shared_names(modules: &Modules) -> String {
    let mut names: BTreeMap<String, (bool, BTreeSet<&str>)> = BTreeMap::new();
    for (path, module) in &modules.0 {
        let parent = path.split_last().map(|(_, parent)| &modules.0[parent]);
        let around = parent.filter(|parent| parent.file == module.file);
        for (is_visible, name) in types(module) {
            let is_private = |around: &Module| {
                !around.aliases.contains_key(&name) && !around.aliases.contains_key("*")
            };
            let is_visible = is_visible && !around.is_some_and(is_private);
            let (is_any_visible, files) = names.entry(name).or_default();
            *is_any_visible |= is_visible;
            files.insert(&module.file);
        }
    }
    names.retain(|_, (is_any_visible, files)| *is_any_visible && files.len() > 1);
    let lines = names
        .iter()
        .map(|(name, (_, files))| format!("{name} is a type of each of {files:?}\n"));
    lines.collect()
}

fn source() -> Vec<(String, String)> {
    let relative = |path: &Path| path.strip_prefix(root()).expect("it is there").to_owned();
    let files = files(&root()).into_iter();
    let files = files.map(|(path, text)| (relative(&path).display().to_string(), text));
    files.collect()
}

#[test]
fn files_import_each_other_without_a_cycle() {
    let cycles = cycles(&Modules::read(&source()).imports());
    assert!(cycles.is_empty(), "\n{cycles}");
}

#[test]
fn names_of_types_are_unique() {
    let shared = shared_names(&Modules::read(&source()));
    assert!(shared.is_empty(), "\n{shared}");
}

fn made_up(files: &[(&str, &str)]) -> Modules {
    let files = files
        .iter()
        .map(|(file, text)| ((*file).into(), (*text).into()));
    Modules::read(&files.collect::<Vec<_>>())
}

#[test]
fn a_cycle_is_found_behind_a_re_export() {
    let root = ("lib.rs", "mod lower;\nmod upper;\npub use upper::Upper;\n");
    let lower = (
        "lower.rs",
        "use crate::upper::{\n    Other,\n    part,\n};\n",
    );
    let upper = "mod part;\npub use part::Other;\nconst SIZE: usize = crate::lower::SIZE;\n";
    let part = "pub struct Other;\nfn lower() -> super::super::lower::Lower {}\n";
    let with_part = |part| {
        let upper = ("upper/mod.rs", upper);
        made_up(&[root, lower, upper, ("upper/part.rs", part)])
    };
    assert_eq!(
        cycles(&with_part(part).imports()),
        "lower.rs imports {\"Other\", \"part\"} of upper/part.rs\n\
         upper/part.rs imports {\"super::super::lower::Lower\"} of lower.rs\n"
    );
    let in_tests =
        "pub struct Other;\n#[cfg(test)]\nmod tests {\n    use crate::lower::Lower;\n}\n";
    assert_eq!(cycles(&with_part(in_tests).imports()), "");
}

#[test]
fn a_name_of_two_types_is_found() {
    let sealed = "mod sealed {\n    pub trait Sealed {}\n}\nstruct Private;\n";
    let visible = format!("{sealed}pub(crate) struct Same;\n");
    let associated = format!("{sealed}impl Iterator for Private {{\n    type Same = u8;\n}}\n");
    let private = format!("{sealed}fn f() {{\n    struct Same;\n}}\n");
    let shared = |other| {
        shared_names(&made_up(&[
            ("lib.rs", ""),
            ("a.rs", &visible),
            ("b.rs", other),
        ]))
    };
    assert_eq!(shared(&associated), "");
    assert_eq!(
        shared(&private),
        "Same is a type of each of {\"a.rs\", \"b.rs\"}\n"
    );
}

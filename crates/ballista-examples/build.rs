//! Makes a module of each example: a copy whose `main` is visible outside.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .canonicalize()?;
    println!("cargo::rerun-if-changed={}", examples.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let copies = out.join("examples");
    if copies.exists() {
        fs::remove_dir_all(&copies)?;
    }
    fs::create_dir(&copies)?;
    let (mut modules, mut arms) = (String::new(), String::new());
    let mut entries: Vec<_> = fs::read_dir(&examples)?.collect::<io::Result<_>>()?;
    // All builds must be the same.
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let copy = copies.join(entry.file_name());
        let file_name = entry.file_name().into_string();
        let file_name = file_name.map_err(|_| io::ErrorKind::InvalidFilename)?;
        let Some(name) = file_name.strip_suffix(".rs") else {
            // Modules of examples stay as they are.
            std::os::unix::fs::symlink(entry.path(), &copy)?;
            continue;
        };
        let text = fs::read_to_string(entry.path())?;
        fs::write(&copy, text.replace("\nfn main()", "\npub(crate) fn main()"))?;
        modules += &format!("#[path = {copy:?}]\nmod {name};\n");
        arms += &format!("        {name:?} => {name}::main().report(),\n");
    }
    let run = format!(
        "fn example(name: &str) -> Option<ExitCode> {{\n    Some(match name {{\n{arms}        _ => return None,\n    }})\n}}\n"
    );
    fs::write(out.join("programs.rs"), modules + &run)
}

//! An output is whole, either the old or the new one, whatever fails and whenever the process ends.

use std::process::{Command, Stdio};

use super::super::faults::{self, Fault};
#[cfg(target_os = "linux")]
use super::super::scratch::tests::{Child, in_child};
use super::*;

/// State of the path before an output is written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    NothingNorAbove,
    EmptyDirectory,
    Output,
    OutputThatCannotBeExchanged,
    /// An output whose directory must stay, like a mount point.
    OutputOfAVolume,
    File,
    FileThatCannotBeExchanged,
}

const ALL: [Before; 8] = [
    Before::Nothing,
    Before::NothingNorAbove,
    Before::EmptyDirectory,
    Before::Output,
    Before::OutputThatCannotBeExchanged,
    Before::OutputOfAVolume,
    Before::File,
    Before::FileThatCannotBeExchanged,
];

const OLD_PARTS: usize = 3;
const NEW_PARTS: usize = 2;

impl Before {
    fn path(self, root: &Path) -> PathBuf {
        match self {
            Self::NothingNorAbove => root.join("not/there/out"),
            _ => root.join("out"),
        }
    }

    fn make(self, root: &Path) -> PathBuf {
        use Before::*;
        let path = self.path(root);
        match self {
            Nothing | NothingNorAbove => {}
            File | FileThatCannotBeExchanged => fs::write(&path, "old").unwrap(),
            EmptyDirectory => fs::create_dir(&path).unwrap(),
            Output | OutputThatCannotBeExchanged | OutputOfAVolume => {
                fs::create_dir(&path).unwrap();
                for part in 0..OLD_PARTS {
                    fs::write(path.join(format!("part-0000{part}")), "old").unwrap();
                }
            }
        }
        if self == OutputOfAVolume {
            fs::create_dir(path.join("lost+found")).unwrap();
        }
        path
    }

    /// Writes the new output, with two files instead of three.
    fn write(self, path: &Path) -> Result<()> {
        use Before::*;
        let can_exchange = !matches!(
            self,
            OutputThatCannotBeExchanged | FileThatCannotBeExchanged
        );
        faults::set_exchange(can_exchange);
        let output = super::Output::create(path, path, Existing::Replaced, true)?;
        for part in 0..NEW_PARTS {
            fs::write(output.parts().join(format!("part-0000{part}")), "new").unwrap();
        }
        fs::write(output.attempts().join("1-1"), "attempt").unwrap();
        output.finish()
    }

    /// Returns `true` if exactly the previous content exists.
    fn is_old(self, path: &Path) -> bool {
        use Before::*;
        match self {
            Nothing => !path.exists(),
            NothingNorAbove => !path.ancestors().nth(2).unwrap().exists(),
            EmptyDirectory => is_output(path, "old", 0),
            File | FileThatCannotBeExchanged => {
                fs::read_to_string(path).is_ok_and(|text| text == "old")
            }
            Output | OutputThatCannotBeExchanged | OutputOfAVolume => {
                is_output(path, "old", OLD_PARTS)
            }
        }
    }

    #[track_caller]
    fn check(self, root: &Path, is_new: Option<bool>) {
        let path = self.path(root);
        let (old, new) = (self.is_old(&path), is_output(&path, "new", NEW_PARTS));
        assert!(old || new, "{self:?}: {:?}", all_below(root));
        if let Some(is_new) = is_new {
            assert_eq!(new, is_new, "{self:?}: {:?}", all_below(root));
        }
        assert_nothing_hidden(root);
    }
}

fn has_hidden(root: &Path) -> bool {
    let is_hidden = |below: &PathBuf| below.to_string_lossy().contains(".holdall-");
    all_below(root).iter().any(is_hidden)
}

#[track_caller]
fn assert_nothing_hidden(root: &Path) {
    assert!(!has_hidden(root), "{:?}", all_below(root));
}

fn is_output(path: &Path, text: &str, parts: usize) -> bool {
    let Ok(entries) = fs::read_dir(path) else {
        return false;
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lost+found" && !name.starts_with(".holdall-"))
        .collect();
    names.sort();
    let is_part = |(number, name): (usize, &String)| {
        *name == format!("part-0000{number}")
            && fs::read_to_string(path.join(name)).is_ok_and(|found| found == text)
    };
    names.len() == parts && names.iter().enumerate().all(is_part)
}

fn all_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found
}

/// Sweeps like the next output at `path`. Repeats this, because a process that another test is starting may inherit the
/// locks of this one until it executes its own program.
fn sweep(root: &Path, path: &Path) {
    for _ in 0..100 {
        let parent = path.ancestors().skip(1).find(|above| above.exists());
        owned::sweep(&KIND, parent.unwrap());
        owned::sweep(&KIND, path);
        if !has_hidden(root) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn an_output_is_in_its_place_and_nothing_else_is_left() {
    for before in ALL {
        let root = tempfile::tempdir().unwrap();
        let path = before.make(root.path());
        before.write(&path).unwrap();
        before.check(root.path(), Some(true));
    }
}

#[test]
fn after_any_error_what_was_there_is_there() {
    for before in ALL {
        for fault in [Fault::FailsOnce, Fault::FailsFromThenOn] {
            for points in 0.. {
                let root = tempfile::tempdir().unwrap();
                let path = before.make(root.path());
                let (outcome, has_come) = faults::with(fault, points, || before.write(&path));
                if !has_come {
                    outcome.unwrap();
                    break;
                }
                if fault == Fault::FailsOnce {
                    before.check(root.path(), Some(outcome.is_ok()));
                    continue;
                }
                // If the moves could not be undone, the error names the directory, and the next output completes them.
                let is_undone = before.is_old(&path) || is_output(&path, "new", NEW_PARTS);
                let message = outcome.as_ref().err().map(ToString::to_string);
                let names_all = message.is_some_and(|message| message.contains("are in /"));
                assert!(is_undone || names_all, "{before:?} {points}: {outcome:?}");
                sweep(root.path(), &path);
                before.check(root.path(), None);
            }
        }
    }
}

const CHILD: &str = "HOLDALL_TEST_CHILD_DIRECTORY";

#[test]
fn whenever_the_process_ends_the_next_output_finds_a_whole_one() {
    for (number, before) in ALL.into_iter().enumerate() {
        for points in 0.. {
            let root = tempfile::tempdir().unwrap();
            let path = before.make(root.path());
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["storage::output::tests::child_is_killed", "--exact"])
                .env(CHILD, root.path())
                .env("HOLDALL_TEST_CHILD_WORK", format!("{number}:{points}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            if status.unwrap().success() {
                break;
            }
            if matches!(before, Before::Nothing | Before::Output | Before::File) {
                assert!(before.is_old(&path) || is_output(&path, "new", NEW_PARTS));
            }
            sweep(root.path(), &path);
            // The parent directories may have been created.
            if before != Before::NothingNorAbove || path.exists() {
                before.check(root.path(), None);
            }
            before.write(&path).unwrap();
            before.check(root.path(), Some(true));
        }
    }
}

/// Not a test of its own: a process that is killed while it writes an output.
#[test]
fn child_is_killed() {
    let Some(root) = std::env::var_os(CHILD) else {
        return;
    };
    let work = std::env::var("HOLDALL_TEST_CHILD_WORK").unwrap_or_default();
    let Some((number, points)) = work.split_once(':') else {
        return;
    };
    let before = ALL[number.parse::<usize>().unwrap()];
    let path = before.path(Path::new(&root));
    let (outcome, _) = faults::with(Fault::Kills, points.parse().unwrap(), || {
        before.write(&path)
    });
    outcome.unwrap();
}

#[test]
fn what_another_program_puts_there_meanwhile_is_neither_replaced_nor_removed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("out");
    let begin = |overwrite| {
        let output = Output::create(&path, &path, Existing::replaced_if(overwrite), true).unwrap();
        fs::write(output.parts().join("part-00000"), "new").unwrap();
        output
    };
    // A file, and a directory that is not empty, appear at the path.
    let output = begin(false);
    fs::write(&path, "precious").unwrap();
    let error = output.finish().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::OutputExists { .. }),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    let output = begin(false);
    fs::create_dir(&path).unwrap();
    fs::write(path.join("part-00000"), "precious").unwrap();
    let error = output.finish().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::OutputExists { .. }),
        "{error}"
    );
    assert!(is_output(&path, "precious", 1));
    // A file appears in an output that is being replaced.
    for can_exchange in [true, false] {
        faults::set_exchange(can_exchange);
        let output = begin(true);
        fs::write(path.join("thesis.tex"), "precious").unwrap();
        let error = output.finish().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::NotAnOutput { .. }),
            "{error}"
        );
        assert_eq!(
            fs::read_to_string(path.join("thesis.tex")).unwrap(),
            "precious"
        );
        assert_eq!(
            fs::read_to_string(path.join("part-00000")).unwrap(),
            "precious"
        );
        fs::remove_file(path.join("thesis.tex")).unwrap();
    }
    assert_nothing_hidden(root.path());
}

#[test]
fn an_empty_directory_is_kept_with_its_permissions() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    for overwrite in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o710)).unwrap();
        let before = fs::metadata(&path).unwrap();
        let output = Output::create(&path, &path, Existing::replaced_if(overwrite), true).unwrap();
        fs::write(output.parts().join("part-00000"), "new").unwrap();
        // Another output is written at the same time.
        let other = Output::create(&path, &path, Existing::Refused, true).unwrap();
        output.finish().unwrap();
        fs::write(other.parts().join("part-00000"), "other").unwrap();
        let error = other.finish().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::OutputExists { .. }),
            "{error}"
        );
        assert!(is_output(&path, "new", 1));
        let after = fs::metadata(&path).unwrap();
        assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()));
        assert_nothing_hidden(root.path());
    }
}

#[test]
fn moves_that_cannot_be_completed_are_left_as_they_are() {
    let root = tempfile::tempdir().unwrap();
    let path = Before::OutputOfAVolume.make(root.path());
    // At this point, all old files and one of the new files have been moved.
    let (outcome, has_come) = faults::with(Fault::FailsFromThenOn, 10, || {
        Before::OutputOfAVolume.write(&path)
    });
    assert!(has_come && outcome.is_err());
    fs::write(path.join("part-00001"), "precious").unwrap();
    let all = all_below(root.path());
    sweep(root.path(), &path);
    assert_eq!(all_below(root.path()), all);
    fs::remove_file(path.join("part-00001")).unwrap();
    sweep(root.path(), &path);
    Before::OutputOfAVolume.check(root.path(), Some(true));
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_is_deleted_by_a_process_without_free_descriptors() {
    let root = tempfile::tempdir().unwrap();
    let _child = Child::start("output::tests::child_has_no_descriptors", root.path());
    let left: Vec<_> = fs::read_dir(root.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Child process of a test: drops an unfinished output while all descriptors are in use.
#[cfg(target_os = "linux")]
#[test]
fn child_has_no_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    in_child(|directory, ready| {
        let path = directory.join("out");
        let output = Output::create(&path, &path, Existing::Refused, false).unwrap();
        fs::write(output.parts().join("part-00000"), "new").unwrap();
        fs::write(output.attempts().join("1-1"), "new").unwrap();
        let limit = Rlimit {
            current: Some(64),
            ..getrlimit(Resource::Nofile)
        };
        setrlimit(Resource::Nofile, limit).unwrap();
        let opened = std::iter::repeat_with(|| File::open("/dev/null"));
        let opened: Vec<_> = opened.map_while(Result::ok).collect();
        drop(output);
        ready();
        drop(opened);
    });
}

//! Tests of the files that paths, directories and patterns name, and of their order.

use std::fs;

use super::*;

/// Creates a directory with these files. The content of each file is its name.
fn directory_of(names: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in names {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    directory
}

#[test]
fn every_form_of_a_path_or_of_several_is_taken() {
    let path = PathBuf::from("a");
    let text = OsString::from("a");
    let one = [
        "a".into_inputs(),
        "a".to_owned().into_inputs(),
        (&"a".to_owned()).into_inputs(),
        path.as_path().into_inputs(),
        path.clone().into_inputs(),
        (&path).into_inputs(),
        text.as_os_str().into_inputs(),
        text.clone().into_inputs(),
        (&text).into_inputs(),
    ];
    assert!(one.iter().all(|inputs| *inputs == [path.clone()]));
    let paths = vec!["a", "b"];
    let several = [
        paths.clone().into_boxed_slice().into_inputs(),
        (&paths).into_inputs(),
        paths[..].into_inputs(),
        ["a", "b"].into_inputs(),
        (&["a", "b"]).into_inputs(),
        paths.into_inputs(),
    ];
    let expected = [path, PathBuf::from("b")];
    assert!(several.iter().all(|inputs| *inputs == expected));
}

/// Returns the files that `inputs` name. All paths are relative to `directory`.
fn names(directory: &tempfile::TempDir, inputs: &[&str]) -> Result<Vec<String>> {
    let inputs: Vec<PathBuf> = inputs
        .iter()
        .map(|input| directory.path().join(input))
        .collect();
    let files = discover(&inputs, &FileSystems::default())?;
    assert!(
        files
            .iter()
            .all(|file| !file.is_stream && file.path.metadata().unwrap().len() == file.bytes)
    );
    let name = |file: &InputFile| {
        file.path
            .strip_prefix(directory.path())
            .unwrap()
            .display()
            .to_string()
    };
    Ok(files.iter().map(name).collect())
}

#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "what is borrowed is what is tested"
)]
#[test]
fn whatever_names_files_is_an_input() {
    fn count(inputs: impl IntoInputs) -> usize {
        inputs.into_inputs().len()
    }
    let path = Path::new("a");
    assert_eq!(
        count("a") + count(String::from("a")) + count(&String::from("a")),
        3
    );
    assert_eq!(
        count(path) + count(path.to_path_buf()) + count(&path.to_path_buf()),
        3
    );
    assert_eq!(
        count(vec!["a", "b"]) + count(&vec![path]) + count(&["a"][..]),
        4
    );
    assert_eq!(count(["a", "b"]) + count(&[String::from("a")]), 3);
}

#[test]
fn order_is_that_given_then_that_of_names() {
    let directory = directory_of(&["b", "a", "d/y", "d/x", "d-1", "c1", "c0"]);
    assert_eq!(names(&directory, &["b", "a"]).unwrap(), ["b", "a"]);
    assert_eq!(
        names(&directory, &["d", "c*", "a"]).unwrap(),
        ["d/x", "d/y", "c0", "c1", "a"]
    );
    assert_eq!(names(&directory, &["d*"]).unwrap(), ["d-1", "d/x", "d/y"]);
    assert_eq!(names(&directory, &["a", "a"]).unwrap(), ["a", "a"]);
}

#[test]
fn hidden_files_of_a_directory_are_passed_over() {
    let directory = directory_of(&[
        "_d/a",
        "_d/_SUCCESS",
        "_d/.a.crc",
        "_d/.git/b",
        "_d/_temporary/c",
        "_d/s/_d",
    ]);
    assert_eq!(names(&directory, &["_d"]).unwrap(), ["_d/a", "_d/s/_d"]);
    assert_eq!(
        names(&directory, &["_d/_SUCCESS"]).unwrap(),
        ["_d/_SUCCESS"]
    );
    assert_eq!(names(&directory, &["_d/*a*"]).unwrap(), ["_d/a"]);
    assert_eq!(names(&directory, &["_d/_t*"]).unwrap(), ["_d/_temporary/c"]);
}

#[test]
fn patterns() {
    let directory = directory_of(&["a.txt", "b.txt", "b.md", "s/c.txt", "s/t/d.txt", ".h.txt"]);
    assert_eq!(names(&directory, &["*.txt"]).unwrap(), ["a.txt", "b.txt"]);
    assert_eq!(names(&directory, &["?.md"]).unwrap(), ["b.md"]);
    assert_eq!(names(&directory, &["[!a].txt"]).unwrap(), ["b.txt"]);
    assert_eq!(
        names(&directory, &["**/*.txt"]).unwrap(),
        ["a.txt", "b.txt", "s/c.txt", "s/t/d.txt"]
    );
    assert_eq!(
        names(&directory, &["s/**"]).unwrap(),
        ["s/c.txt", "s/t/d.txt"]
    );
    assert_eq!(names(&directory, &[".h*"]).unwrap(), [".h.txt"]);
}

#[test]
fn a_name_that_exists_is_no_pattern() {
    let directory = directory_of(&["[a].txt", "a.txt", "b[1/x"]);
    assert_eq!(names(&directory, &["[a].txt"]).unwrap(), ["[a].txt"]);
    assert_eq!(names(&directory, &["b[1"]).unwrap(), ["b[1/x"]);
}

#[test]
fn nothing_found_is_an_error() {
    let directory = directory_of(&["a.txt", "d/.hidden"]);
    for input in ["none", "none/a", "*.md", "d", "a.txt*/"] {
        let error = names(&directory, &["a.txt", input]).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::NoInput { pattern, .. } if pattern.ends_with(input)),
            "{input}: {error}"
        );
    }
    assert!(discover(&[], &FileSystems::default()).unwrap().is_empty());
}

#[test]
fn a_bad_pattern_is_an_error() {
    let directory = directory_of(&["a"]);
    for input in ["a***", "[a", "a**b"] {
        let error = names(&directory, &[input]).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidPattern { .. }),
            "{input}: {error}"
        );
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;

    let directory = directory_of(&["d/a", "e/b"]);
    symlink("../e", directory.path().join("d/link")).unwrap();
    symlink("../e/b", directory.path().join("d/file")).unwrap();
    assert_eq!(
        names(&directory, &["d"]).unwrap(),
        ["d/a", "d/file", "d/link/b"]
    );
    symlink("../d", directory.path().join("e/back")).unwrap();
    let error = names(&directory, &["d"]).unwrap_err();
    assert!(
        error.is_io() && error.to_string().contains("d/link/back"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_a_stream() {
    let files = discover(&["/dev/null".into()], &FileSystems::default()).unwrap();
    assert_eq!((files[0].is_stream, files[0].bytes), (true, 0));
}

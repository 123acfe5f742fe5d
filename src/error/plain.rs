//! Converts parts of an error to serialisable data, for `#[serde(with = "plain")]`.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::intern;
use super::payload::message;

/// A value that can be converted to types that serde supports.
pub(crate) trait ToPlain: Sized {
    type ToPlain: Serialize + DeserializeOwned;

    fn to_plain(&self) -> Self::ToPlain;

    fn from_plain(plain: Self::ToPlain) -> Self;
}

pub(crate) fn serialize<T: ToPlain, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    value.to_plain().serialize(to)
}

pub(crate) fn deserialize<'de, T: ToPlain, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::ToPlain::deserialize(from).map(T::from_plain)
}

impl<T: ToPlain> ToPlain for Option<T> {
    type ToPlain = Option<T::ToPlain>;

    fn to_plain(&self) -> Self::ToPlain {
        self.as_ref().map(T::to_plain)
    }

    fn from_plain(plain: Self::ToPlain) -> Self {
        plain.map(T::from_plain)
    }
}

impl ToPlain for &'static str {
    type ToPlain = String;

    fn to_plain(&self) -> String {
        (*self).to_owned()
    }

    fn from_plain(plain: String) -> Self {
        intern(&plain)
    }
}

/// As bytes: serde itself rejects paths that are not UTF-8.
impl ToPlain for PathBuf {
    type ToPlain = Vec<u8>;

    fn to_plain(&self) -> Vec<u8> {
        path_bytes(self)
    }

    fn from_plain(plain: Vec<u8>) -> Self {
        path_of(plain)
    }
}

impl ToPlain for Arc<Path> {
    type ToPlain = Vec<u8>;

    fn to_plain(&self) -> Vec<u8> {
        path_bytes(self)
    }

    fn from_plain(plain: Vec<u8>) -> Self {
        path_of(plain).into()
    }
}

#[cfg(unix)]
fn path_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_owned()
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path_bytes(path: &Path) -> Vec<u8> {
    path.to_string_lossy().into_owned().into_bytes()
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// The serialised kinds of I/O errors. All others are deserialised as `Other`.
const IO_KINDS: [io::ErrorKind; 18] = [
    io::ErrorKind::Other,
    io::ErrorKind::NotFound,
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::AlreadyExists,
    io::ErrorKind::InvalidInput,
    io::ErrorKind::InvalidData,
    io::ErrorKind::UnexpectedEof,
    io::ErrorKind::WriteZero,
    io::ErrorKind::Interrupted,
    io::ErrorKind::TimedOut,
    io::ErrorKind::WouldBlock,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::StorageFull,
    io::ErrorKind::QuotaExceeded,
    io::ErrorKind::FileTooLarge,
    io::ErrorKind::OutOfMemory,
    io::ErrorKind::Unsupported,
    io::ErrorKind::IsADirectory,
];

impl ToPlain for io::Error {
    /// The system's error number, or, if it has none, the index of its kind and its message.
    type ToPlain = Result<i32, (usize, String)>;

    fn to_plain(&self) -> Self::ToPlain {
        match self.raw_os_error() {
            Some(number) => Ok(number),
            None => Err((io_kind_index(self), self.to_string())),
        }
    }

    fn from_plain(plain: Self::ToPlain) -> Self {
        match plain {
            Ok(number) => Self::from_raw_os_error(number),
            Err((kind, message)) => Self::new(io_kind(kind), message),
        }
    }
}

fn io_kind_index(error: &io::Error) -> usize {
    let kind = IO_KINDS.iter().position(|kind| *kind == error.kind());
    kind.unwrap_or(0)
}

fn io_kind(index: usize) -> io::ErrorKind {
    IO_KINDS.get(index).copied().unwrap_or(io::ErrorKind::Other)
}

impl ToPlain for Box<dyn std::error::Error + Send + Sync> {
    /// Its message, and the message of each of its causes. If it is an [`io::Error`], also the system's error number or
    /// the index of its kind.
    type ToPlain = (Vec<String>, Option<Result<i32, usize>>);

    /// Its `Display` is the user's code, and may panic. If so, the message of the panic is used.
    fn to_plain(&self) -> Self::ToPlain {
        let io = self.downcast_ref::<io::Error>();
        let io = io.map(|error| error.raw_os_error().ok_or_else(|| io_kind_index(error)));
        let sentences = catch_unwind(AssertUnwindSafe(|| {
            let mut sentences = vec![self.to_string()];
            let mut cause = self.source();
            while let Some(error) = cause {
                sentences.push(error.to_string());
                cause = error.source();
            }
            sentences
        }));
        let panicked = |payload| vec![format!("a closure panicked: {}", message(payload))];
        (sentences.unwrap_or_else(panicked), io)
    }

    fn from_plain((sentences, io): Self::ToPlain) -> Self {
        if let Some(Ok(number)) = io {
            return io::Error::from_raw_os_error(number).into();
        }
        let causes = sentences.into_iter().rev();
        let said = causes.fold(None, |source, sentence| {
            Some(Box::new(Said { sentence, source }))
        });
        let said: Self = match said {
            Some(said) => said,
            None => String::new().into(),
        };
        match io {
            Some(Err(kind)) => io::Error::new(io_kind(kind), said).into(),
            _ => said,
        }
    }
}

/// An error of another process, reduced to its message.
#[derive(Debug)]
struct Said {
    sentence: String,
    source: Option<Box<Said>>,
}

/// Drops the causes in a loop: a recursion could overflow the stack.
impl Drop for Said {
    fn drop(&mut self) {
        let mut next = self.source.take();
        while let Some(mut said) = next {
            next = said.source.take();
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Said {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|said| said as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    type Source = Box<dyn Error + Send + Sync>;

    #[derive(Debug)]
    struct Silent;

    impl fmt::Display for Silent {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("on purpose");
        }
    }

    impl Error for Silent {}

    #[test]
    fn an_error_that_cannot_be_written_says_so() {
        let plain = Source::from(Silent).to_plain();
        assert_eq!(plain.0, ["a closure panicked: on purpose"]);
    }

    #[test]
    fn many_causes_come_and_go() {
        let sentences: Vec<_> = (0..200_000).map(|n: u32| n.to_string()).collect();
        let said = Source::from_plain((sentences.clone(), None));
        assert_eq!(said.to_plain().0, sentences);
        drop(said);
    }

    #[test]
    fn an_io_error_remains_one() {
        let other = io::Error::new(io::ErrorKind::InvalidData, Source::from("no header"));
        for error in [io::Error::from_raw_os_error(2), other] {
            let (kind, number) = (error.kind(), error.raw_os_error());
            let message = error.to_string();
            let read = Source::from_plain(Source::from(error).to_plain());
            assert_eq!(read.to_string(), message);
            let read = read.downcast::<io::Error>().expect("it was one");
            assert_eq!((read.kind(), read.raw_os_error()), (kind, number));
        }
    }
}

//! `pipe`: passes a bag through a program.

use super::Bag;
use crate::operators::pipe::{Pipe, Piped};
use crate::pipeline::{Pipeline, Text};
use crate::task::Site;

impl<T: Text + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Passes the records of each partition through a program, as lines, and returns a bag of the lines that the program
    /// writes: of `str`, or of `[u8]` if the records are bytes. Narrow: keeps partitions; the lines are in the order in
    /// which the program writes them.
    ///
    /// `program` is the name of a program, or a [`Pipe`] with arguments. The program runs once for each partition, even
    /// for an empty one, and on each retry. Its result should therefore depend only on its input, and not on how the bag
    /// is divided into partitions: `tr` and `sed` do, `sort` and `wc` do not.
    ///
    /// A record that contains `\n` becomes several lines. A line ends with `\n` or `\r\n`, which are removed, and must
    /// fit into memory. The program may write before it has read all of its input, and need not read all of it: after it
    /// has closed its input, no more records are computed. A partition ends when the program has ended and its standard
    /// output is closed. If the job stops early, the program is killed.
    ///
    /// Only on Unix.
    ///
    /// # Errors
    ///
    /// An action fails with [`ProgramFailed`](crate::ErrorKind::ProgramFailed), which contains the exit status and the
    /// end of standard error, if the program returns another status than 0 or is killed; with
    /// [`Io`](crate::ErrorKind::Io) if it cannot be started; and with [`Closure`](crate::ErrorKind::Closure) if a line is
    /// not UTF-8, unless the records are bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Pipe;
    ///
    /// let lines = holdall::from_vec(vec!["to be".to_owned(), "or not".to_owned()]);
    /// let changed = lines.clone().pipe(Pipe::new("sed").arg("s/be/see/"));
    /// assert_eq!(changed.collect()?, ["to see", "or not"]);
    ///
    /// let error = lines.pipe(Pipe::new("sh").args(["-c", "echo why >&2; exit 3"])).count().unwrap_err();
    /// assert!(error.to_string().ends_with("the program has failed (exit status: 3) and printed: why"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn pipe<C: Into<Pipe>>(
        self,
        program: C,
    ) -> Bag<T::Slice, impl Pipeline<Out = T::Slice> + use<T, P, C>> {
        let (site, pipe) = (Site::new("pipe"), program.into());
        self.then(site, |parent| Piped { parent, pipe, site })
    }
}

//! Neighbouring words of text files.

use std::marker::PhantomData;

use super::Bag;
use crate::operators::ngrams::{AtSpace, FileText, FileWords, Ngrams, SplitWords, WordsByClosure};
use crate::operators::read_text::ReadText;
use crate::pipeline::{Call, Pipeline, Plain};
use crate::task::Site;

/// N-grams of text files. They keep partitions and order: each n-gram is in the partition of its last word.
///
/// They are methods of the bags that [`read_text`](crate::read_text) and [`TextReader`](crate::TextReader) return,
/// because only these know where a file begins. For neighbouring records of any bag, use [`windows`](Bag::windows).
///
/// A separate stage first reads each partition, and sends its last words to all tasks. A job therefore reads the files
/// twice.
///
/// # Errors
///
/// An action returns the same errors as that of [`windows`](Bag::windows).
impl<T: FileText + ?Sized> Bag<T, ReadText<T>>
where
    ReadText<T>: Pipeline<Out = T>,
{
    /// Returns each sequence of `n` neighbouring [words](Bag::words), joined by spaces. The words of an n-gram may be in
    /// different lines, but not in different files.
    ///
    /// # Panics
    ///
    /// Panics if `n` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// std::fs::write(dir.path().join("a"), "to be\nor not\n").unwrap();
    /// std::fs::write(dir.path().join("b"), "to be").unwrap();
    /// let pairs = holdall::read_text(dir.path())?.ngrams(2);
    /// assert_eq!(pairs.collect()?, ["to be", "be or", "or not", "to be"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn ngrams(self, n: usize) -> Bag<T, impl Pipeline<Out = T>> {
        self.ngrams_of(Site::new("ngrams"), n, AtSpace)
    }

    /// Returns each sequence of `n` neighbouring words, joined by spaces. The closure `words` receives a record, and
    /// emits its words, for example only some of them, or in lower case. Empty words are left out.
    ///
    /// # Panics
    ///
    /// Panics if `n` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, "To be,\nor not to be").unwrap();
    /// let lower = |line: &str, emit: &mut dyn FnMut(&str)| {
    ///     line.split(|c: char| !c.is_alphabetic()).for_each(|word| emit(&word.to_lowercase()));
    /// };
    /// let triples = holdall::read_text(&path)?.ngrams_by(3, lower);
    /// assert_eq!(triples.collect()?, ["to be or", "be or not", "or not to", "not to be"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn ngrams_by<F>(self, n: usize, words: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a, 'e> Fn(&'a T, &'e mut (dyn FnMut(&T) + 'e)) + Send + Sync + 'static,
    {
        self.ngrams_by_at(Site::new("ngrams_by"), n, Plain(words))
    }

    #[track_caller]
    pub(super) fn ngrams_by_at<C>(
        self,
        site: Site,
        n: usize,
        op: C,
    ) -> Bag<T, impl Pipeline<Out = T> + use<T, C>>
    where
        C: for<'a, 'e> Call<(&'a T, &'e mut (dyn FnMut(&T) + 'e)), Out = ()>,
    {
        self.ngrams_of(site, n, WordsByClosure { op, site })
    }

    #[track_caller]
    fn ngrams_of<W: SplitWords<T>>(
        self,
        site: Site,
        n: usize,
        words: W,
    ) -> Bag<T, impl Pipeline<Out = T> + use<T, W>> {
        assert!(n > 0, "an n-gram of at least 1 word");
        let records = PhantomData;
        let words = self.then(site, |parent| FileWords {
            parent,
            words,
            records,
        });
        words.scan_at(site, Ngrams { n })
    }
}

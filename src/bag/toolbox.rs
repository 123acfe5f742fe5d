//! Transformations of text, of every type of text.

use std::marker::PhantomData;

use super::Bag;
use crate::error::BoxError;
#[cfg(feature = "unicode")]
use crate::operators::text_steps::UnicodeWords;
use crate::operators::text_steps::{
    Always, AsText, ContainingAny, FilterMapSlice, InCase, MapSlice, Separated, Trim,
    TryFilterMapSlice,
};
use crate::pipeline::{Call, Pipeline, Plain, Record, Text};
use crate::task::Site;

fn assert_delimiter(delimiter: &str) {
    assert!(!delimiter.is_empty(), "a delimiter of at least 1 character");
}

/// Transformations of text and bytes: of `str`, `String`, `[u8]` and `Vec<u8>`. Narrow: they keep partitions and order.
/// They return bags of `str`, or of `[u8]` if the records are bytes.
impl<T: Text + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Returns the parts of each record between the occurrences of `delimiter`, without copying them.
    ///
    /// As with [`str::split`], a record without the delimiter is one part, and parts may be empty.
    ///
    /// # Panics
    ///
    /// Panics if `delimiter` is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// let parts = holdall::from_vec(vec!["a, b".to_owned(), "c".to_owned()]).split(", ");
    /// assert_eq!(parts.collect()?, ["a", "b", "c"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn split(
        self,
        delimiter: &str,
    ) -> Bag<T::Slice, impl Pipeline<Out = T::Slice> + use<T, P>> {
        assert_delimiter(delimiter);
        self.step(Site::new("split"), Separated::new(delimiter, None))
    }

    /// Returns the `n`th part of each record between the occurrences of `delimiter`, from 0, without copying it. Drops
    /// records that have fewer parts.
    ///
    /// To parse several fields, use [`parse_fields`](Bag::parse_fields).
    ///
    /// # Panics
    ///
    /// Panics if `delimiter` is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["ada:1815".to_owned(), "nobody".to_owned(), "grace:1906".to_owned()]);
    /// assert_eq!(lines.field(1, ":").collect()?, ["1815", "1906"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn field(
        self,
        n: usize,
        delimiter: &str,
    ) -> Bag<T::Slice, impl Pipeline<Out = T::Slice> + use<T, P>> {
        assert_delimiter(delimiter);
        self.step(Site::new("field"), Separated::new(delimiter, Some(n)))
    }

    /// Returns each record without white space at its start and end, without copying it.
    ///
    /// For bytes, white space is that of ASCII.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec![" to be\t".to_owned()]);
    /// assert_eq!(lines.trim().collect()?, ["to be"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn trim(self) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>> {
        self.step(Site::new("trim"), Trim)
    }

    /// Returns each record in lower case, as by [`str::to_lowercase`]. For bytes, only ASCII letters change.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["To".to_owned(), "ÉTÉ".to_owned()]);
    /// assert_eq!(words.to_lowercase().collect()?, ["to", "été"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn to_lowercase(self) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>> {
        self.step(Site::new("to_lowercase"), InCase { is_upper: false })
    }

    /// Returns each record in upper case, as by [`str::to_uppercase`]. For bytes, only ASCII letters change.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["To".to_owned(), "Maß".to_owned()]);
    /// assert_eq!(words.to_uppercase().collect()?, ["TO", "MASS"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn to_uppercase(self) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>> {
        self.step(Site::new("to_uppercase"), InCase { is_upper: true })
    }

    /// Returns the words of each record as Unicode defines them, without copying them. Needs the feature `unicode`.
    ///
    /// Punctuation is not part of a word, except within one: `don't`, `3.14`. The rules are those of
    /// [Unicode Standard Annex 29](https://www.unicode.org/reports/tr29/#Word_Boundaries), without dictionaries, so the
    /// words of Chinese, Japanese and Thai are not found. [`words`](Bag::words) splits at white space, and is several
    /// times as fast. In bytes, a part that is not UTF-8 separates words.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["To be, or not (to be)?".to_owned(), "C'est l'été.".to_owned()]);
    /// let words = ["To", "be", "or", "not", "to", "be", "C'est", "l'été"];
    /// assert_eq!(lines.unicode_words().collect()?, words);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[cfg(feature = "unicode")]
    #[track_caller]
    pub fn unicode_words(self) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>> {
        self.step(Site::new("unicode_words"), UnicodeWords)
    }

    /// Keeps the records that contain any of `texts`.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["error: no disk".to_owned(), "ok".to_owned(), "warning".to_owned()]);
    /// assert_eq!(lines.containing_any(["error", "warning"]).count()?, 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn containing_any<I>(self, texts: I) -> Bag<T, impl Pipeline<Out = T> + use<T, P, I>>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        self.step(Site::new("containing_any"), ContainingAny::new(texts, true))
    }

    /// Keeps the records that do not contain `text`.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["# title".to_owned(), "text".to_owned()]);
    /// assert_eq!(lines.not_containing("#").collect()?, ["text"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn not_containing<B>(self, text: B) -> Bag<T, impl Pipeline<Out = T> + use<T, P, B>>
    where
        B: AsRef<[u8]>,
    {
        self.step(
            Site::new("not_containing"),
            ContainingAny::new([text], false),
        )
    }

    /// Returns the slice of each record that `op` returns, without copying it.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["key = value".to_owned(), "empty".to_owned()]);
    /// let keys = lines.map_str(|line| line.split(" = ").next().unwrap_or(line));
    /// assert_eq!(keys.collect()?, ["key", "empty"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_str<F>(self, op: F) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>>
    where
        F: for<'a> Fn(&'a T::Slice) -> &'a T::Slice + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("map_str"), Plain(op));
        self.step(site, MapSlice { op, site })
    }

    /// Returns the slice of each record that `op` returns, without copying it. Drops the record if `op` returns `None`.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["key = value".to_owned(), "empty".to_owned()]);
    /// let values = lines.filter_map_str(|line| Some(line.split_once(" = ")?.1));
    /// assert_eq!(values.collect()?, ["value"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn filter_map_str<F>(self, op: F) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>>
    where
        F: for<'a> Fn(&'a T::Slice) -> Option<&'a T::Slice> + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("filter_map_str"), Plain(op));
        self.step(site, FilterMapSlice { op, site })
    }

    /// Like [`map_str`](Bag::map_str), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["key = value".to_owned(), "empty".to_owned()]);
    /// let keys = lines.try_map_str(|line| line.split_once(" = ").map(|(key, _)| key).ok_or("no key"));
    /// assert!(keys.collect().unwrap_err().to_string().contains("no key"));
    /// ```
    #[track_caller]
    pub fn try_map_str<E, F>(self, op: F) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&'a T::Slice) -> Result<&'a T::Slice, E> + Send + Sync + 'static,
    {
        self.try_filter_map_str_at(Site::new("try_map_str"), Always(Plain(op)))
    }

    /// Like [`filter_map_str`](Bag::filter_map_str), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["key = value".to_owned(), "".to_owned()]);
    /// let values = lines.try_filter_map_str(|line| match line.split_once(" = ") {
    ///     Some((_, value)) => Ok(Some(value)),
    ///     None if line.is_empty() => Ok(None),
    ///     None => Err("no key"),
    /// });
    /// assert_eq!(values.collect()?, ["value"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_filter_map_str<E, F>(self, op: F) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&'a T::Slice) -> Result<Option<&'a T::Slice>, E> + Send + Sync + 'static,
    {
        self.try_filter_map_str_at(Site::new("try_filter_map_str"), Plain(op))
    }

    pub(super) fn try_filter_map_str_at<E, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<T::Slice, impl Pipeline<Out = T::Slice> + use<T, P, E, C>>
    where
        E: Into<BoxError> + 'static,
        C: for<'a> Call<(&'a T::Slice,), Out = Result<Option<&'a T::Slice>, E>>,
    {
        let error = PhantomData;
        self.step(site, TryFilterMapSlice { op, site, error })
    }

    /// Returns the records as a bag of `str`, or of `[u8]` if they are bytes, without copying them.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Bag;
    ///
    /// let lines: Bag<str> = holdall::from_vec(vec!["to be".to_owned()]).as_text().boxed();
    /// assert_eq!(lines.map(str::len).collect()?, [5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn as_text(self) -> Bag<T::Slice, impl Pipeline<Out = T::Slice>> {
        let keyed = self.node.keyed;
        self.step(Site::new("as_text"), AsText).keyed(keyed)
    }
}

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Returns the records as owned ones: text as `String` or `Vec<u8>`. Narrow: keeps partitions and order.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Bag;
    ///
    /// let words = holdall::from_vec(vec!["to be".to_owned()]).words();
    /// let words: Bag<String> = words.into_owned().boxed();
    /// assert_eq!(words.collect()?, ["to", "be"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn into_owned(self) -> Bag<T::Owned, impl Pipeline<Out = T::Owned>> {
        let keyed = self.node.keyed;
        self.map_at(Site::new("into_owned"), Plain(T::into_owned))
            .keyed(keyed)
    }
}

//! Transformations that skip bad records.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::Bag;
use crate::counter::BadRecords;
use crate::error::BoxError;
use crate::operators::skip_bad::{OkOrSkip, ParseOrSkip};
use crate::operators::try_step::Unwrap;
use crate::pipeline::{Call, Pipeline, Plain, Text};
use crate::task::Site;

/// Transformations of results. Narrow: they keep partitions and order.
impl<U, E, P> Bag<Result<U, E>, P>
where
    U: 'static,
    E: Into<BoxError> + 'static,
    P: Pipeline<Out = Result<U, E>>,
{
    /// Returns the value of each `Ok`. The first `Err` ends the job, as in [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec!["1", "x"]).map(str::parse::<u32>).ok_or_fail();
    /// assert!(numbers.collect().unwrap_err().to_string().ends_with("invalid digit found in string"));
    /// ```
    #[track_caller]
    pub fn ok_or_fail(self) -> Bag<U, impl Pipeline<Out = U>> {
        let site = Site::new("ok_or_fail");
        self.step(site, Unwrap { site })
    }

    /// Returns the value of each `Ok`, and skips each `Err`: `bad` counts it, and fails the job if there are more than
    /// its [limit](BadRecords::limit).
    ///
    /// A bad record has the location in the input that an error would have. Its text is unknown; use
    /// [`parse_or_skip`](Bag::parse_or_skip) to keep it.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::BadRecords;
    ///
    /// let bad = BadRecords::new("not numbers");
    /// let numbers = holdall::from_vec(vec!["1", "x", "8"]).map(str::parse::<u32>).ok_or_skip(&bad);
    /// assert_eq!(numbers.collect()?, [1, 8]);
    /// assert_eq!(bad.count(), 1);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn ok_or_skip(self, bad: &BadRecords) -> Bag<U, impl Pipeline<Out = U> + use<U, E, P>> {
        let (site, bad) = (Site::new("ok_or_skip"), bad.clone());
        self.step(site, OkOrSkip { bad, site })
    }
}

/// Transformations of text that skip bad records. Narrow: they keep partitions and order.
impl<T: Text + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Applies `op` to each text, and returns a bag of the values. If `op` returns an error, the record is skipped: `bad`
    /// counts it, and fails the job if there are more than its [limit](BadRecords::limit).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::BadRecords;
    ///
    /// let lines = holdall::from_vec(vec!["1".to_owned(), "two".to_owned()]);
    /// let bad = BadRecords::new("bad lines");
    /// assert_eq!(lines.parse_or_skip(&bad, |line| line.parse::<u32>()).collect()?, [1]);
    /// assert_eq!(bad.samples()[0].text.as_deref(), Some("two"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn parse_or_skip<U, E, F>(
        self,
        bad: &BadRecords,
        op: F,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U, E, F>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&'a T::Slice) -> Result<U, E> + Send + Sync + 'static,
    {
        self.parse_or_skip_at(Site::new("parse_or_skip"), bad, Plain(op))
    }

    pub(super) fn parse_or_skip_at<U, E, C>(
        self,
        site: Site,
        bad: &BadRecords,
        op: C,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U, E, C>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        C: for<'a> Call<(&'a T::Slice,), Out = Result<U, E>>,
    {
        self.then(site, |parent| ParseOrSkip {
            parent,
            op,
            bad: bad.clone(),
            site,
            out: PhantomData,
        })
    }

    /// Like [`parse_fields`](Bag::parse_fields), but skips the records that cannot be parsed: `bad` counts them, and fails
    /// the job if there are more than its [limit](BadRecords::limit).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::BadRecords;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("visits.csv");
    /// std::fs::write(&path, "ada,3\ngrace\nalan,x\n")?;
    /// let bad = BadRecords::new("bad visits");
    /// let visits = holdall::read_text(&path)?.parse_fields_or_skip::<(String, u32)>(',', &bad);
    /// assert_eq!(visits.collect()?, [("ada".to_owned(), 3)]);
    /// assert_eq!(bad.samples()[0].to_string(), format!("{} line 2 byte 6: field 2 is missing", path.display()));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn parse_fields_or_skip<U>(
        self,
        delimiter: char,
        bad: &BadRecords,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U>>
    where
        U: DeserializeOwned + 'static,
    {
        let site = Site::new("parse_fields_or_skip");
        self.parse_fields_at(site, delimiter, Some(bad.clone()))
    }
}

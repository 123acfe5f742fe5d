//! Transformations of text by regular expressions, for the feature `regex`.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::Bag;
use crate::error::Result;
use crate::operators::matching::{
    Captures, Expression, FindMatches, MatchStep, MatchingRecords, WithScratch,
};
use crate::pipeline::{Pipeline, Text};
use crate::task::Site;

/// Transformations of text by regular expressions. They need the feature `regex`. Narrow: they keep partitions and
/// order.
///
/// The crate [regex](https://docs.rs/regex/latest/regex/#syntax) defines the syntax. Flags are part of the pattern:
/// `(?i)error` ignores case. For bytes that are not UTF-8, `(?-u)` switches Unicode off. Each task has its own copy of
/// the compiled expression, so that threads do not wait for each other.
impl<T: Text + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    fn match_at<O: MatchStep<T>>(self, site: Site, step: O) -> Bag<O::Out, WithScratch<P, O>> {
        self.then(site, |parent| WithScratch { parent, step })
    }

    fn matching_at(
        self,
        site: Site,
        pattern: &str,
        matches: bool,
    ) -> Result<Bag<T, WithScratch<P, MatchingRecords<T>>>> {
        let expression = Expression::parse(pattern)?;
        let (keyed, ascends) = (self.node.keyed, self.node.ascends);
        let matching = MatchingRecords {
            expression,
            matches,
        };
        let kept = self.match_at(site, matching);
        Ok(kept.keyed(keyed).ascending(ascends))
    }

    /// Keeps the records in which `pattern` matches a part, as `grep` does.
    ///
    /// For a text without special characters, [`containing`](Bag::containing) is faster.
    ///
    /// # Errors
    ///
    /// Returns [`Other`](crate::ErrorKind::Other), with the error of the crate regex, if `pattern` is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["GET /a 200".to_owned(), "GET /b 404".to_owned()]);
    /// let failed = lines.matching(r" [45]\d\d$")?;
    /// assert_eq!(failed.collect()?, ["GET /b 404"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn matching(self, pattern: &str) -> Result<Bag<T, impl Pipeline<Out = T> + use<T, P>>> {
        self.matching_at(Site::new("matching"), pattern, true)
    }

    /// Keeps the records in which `pattern` matches no part, as `grep -v` does.
    ///
    /// # Errors
    ///
    /// Returns [`Other`](crate::ErrorKind::Other), with the error of the crate regex, if `pattern` is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["# title".to_owned(), "text".to_owned(), "".to_owned()]);
    /// assert_eq!(lines.not_matching("^(#|$)")?.collect()?, ["text"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn not_matching(self, pattern: &str) -> Result<Bag<T, impl Pipeline<Out = T> + use<T, P>>> {
        self.matching_at(Site::new("not_matching"), pattern, false)
    }

    /// Returns all parts of each record that `pattern` matches, without copying them, as `grep -o` does. Matches do not
    /// overlap.
    ///
    /// # Errors
    ///
    /// Returns [`Other`](crate::ErrorKind::Other), with the error of the crate regex, if `pattern` is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["ask ada@x.org".to_owned(), "or bob@y.net, eve@z.com".to_owned()]);
    /// let addresses = lines.find_matches(r"\w+@[\w.]+\w")?;
    /// assert_eq!(addresses.collect()?, ["ada@x.org", "bob@y.net", "eve@z.com"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn find_matches(
        self,
        pattern: &str,
    ) -> Result<Bag<T::Slice, impl Pipeline<Out = T::Slice> + use<T, P>>> {
        let step = FindMatches(Expression::parse(pattern)?);
        Ok(self.match_at(Site::new("find_matches"), step))
    }

    /// Parses the groups of the first match of `pattern` in each record into a value. Drops the records without a match.
    ///
    /// The groups become fields, in order, and the type `U` parses them as in [`parse_fields`](Bag::parse_fields): a
    /// tuple or a struct has one field for each group. A group that is not part of the match is an empty field, which an
    /// `Option` parses as `None`. If the pattern has no groups, the whole match is the only field.
    ///
    /// # Errors
    ///
    /// Returns [`Other`](crate::ErrorKind::Other) if `pattern` is invalid. An action fails with
    /// [`Closure`](crate::ErrorKind::Closure) if a group cannot be parsed as its type. The error contains a
    /// [`FieldsError`](crate::FieldsError).
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["GET /a 200".to_owned(), "-".to_owned(), "GET /b 404".to_owned()]);
    /// let requests = lines.captures::<(String, u16)>(r"^GET (\S+) (\d+)$")?;
    /// assert_eq!(requests.collect()?, [("/a".to_owned(), 200), ("/b".to_owned(), 404)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn captures<U>(self, pattern: &str) -> Result<Bag<U, impl Pipeline<Out = U> + use<T, P, U>>>
    where
        U: DeserializeOwned + 'static,
    {
        let (site, out) = (Site::new("captures"), PhantomData);
        let expression = Expression::parse(pattern)?;
        Ok(self.match_at(
            site,
            Captures {
                expression,
                site,
                out,
            },
        ))
    }
}

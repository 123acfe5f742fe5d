//! Regular expressions for text and for bytes.

use std::ops::{ControlFlow, Range};

use regex::Error;

/// A regular expression that searches text of type `T`.
///
/// A clone has scratch memory of its own. Threads that share an expression would compete for its memory.
pub trait TextRegex<T: ?Sized>: Clone + Send + Sync + 'static {
    /// Ranges of the groups of a match.
    type Groups;

    fn parse(pattern: &str) -> Result<Self, Error>;

    fn pattern(&self) -> &str;

    fn is_match(&self, text: &T) -> bool;

    /// Calls `each` with each match, in order, until it breaks. Matches do not overlap.
    fn for_each_match(&self, text: &T, each: impl FnMut(&T) -> ControlFlow<()>) -> ControlFlow<()>;

    /// Returns memory for the groups of a match.
    fn groups(&self) -> Self::Groups;

    /// Finds the groups of the first match, and returns whether there is one.
    fn find_groups(&self, text: &T, groups: &mut Self::Groups) -> bool;

    /// Returns the number of groups. The whole match is group 0.
    fn count(groups: &Self::Groups) -> usize;

    /// Returns the range of a group, if it is part of the match.
    fn group(groups: &Self::Groups, index: usize) -> Option<Range<usize>>;
}

macro_rules! text_regex {
    ($($text:ty, $regex:ty, $groups:ty, $slice:ident;)*) => {$(
        impl TextRegex<$text> for $regex {
            type Groups = $groups;

            fn parse(pattern: &str) -> Result<Self, Error> {
                Self::new(pattern)
            }

            fn pattern(&self) -> &str {
                self.as_str()
            }

            #[inline]
            fn is_match(&self, text: &$text) -> bool {
                <$regex>::is_match(self, text)
            }

            #[inline]
            fn for_each_match(
                &self,
                text: &$text,
                mut each: impl FnMut(&$text) -> ControlFlow<()>,
            ) -> ControlFlow<()> {
                self.find_iter(text).try_for_each(|found| each(found.$slice()))
            }

            fn groups(&self) -> $groups {
                self.capture_locations()
            }

            #[inline]
            fn find_groups(&self, text: &$text, groups: &mut $groups) -> bool {
                self.captures_read(groups, text).is_some()
            }

            fn count(groups: &$groups) -> usize {
                groups.len()
            }

            #[inline]
            fn group(groups: &$groups, index: usize) -> Option<Range<usize>> {
                groups.get(index).map(|(start, end)| start..end)
            }
        }
    )*};
}

text_regex! {
    str, regex::Regex, regex::CaptureLocations, as_str;
    [u8], regex::bytes::Regex, regex::bytes::CaptureLocations, as_bytes;
}

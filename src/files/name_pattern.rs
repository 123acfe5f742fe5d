//! A pattern for one component of a path.

/// A pattern for a name: `*`, `?`, `[…]` and literal characters.
#[derive(Debug)]
pub(crate) struct NamePattern(Vec<NameToken>);

/// A character, or a byte that does not belong to one, because names need not be UTF-8.
type Unit = u32;

#[derive(Debug, PartialEq)]
enum NameToken {
    Unit(Unit),
    /// `?`
    Any,
    /// `*`
    AnyRun,
    /// `[a-z]`, or `[!a-z]` if negated.
    Class {
        is_negated: bool,
        ranges: Vec<(Unit, Unit)>,
    },
}

/// Returns `true` if the path contains a character with a special meaning in patterns.
pub(crate) fn is_pattern(path: &[u8]) -> bool {
    path.iter().any(|byte| b"*?[".contains(byte))
}

/// Returns whether a file is hidden or was left by another system, so that only a part that begins with the same
/// character matches it.
pub(crate) fn is_left_out(name: &[u8]) -> bool {
    name.starts_with(b".") || matches!(name, b"_SUCCESS" | b"_temporary")
}

impl NamePattern {
    /// Parses one component of a pattern.
    ///
    /// # Errors
    ///
    /// Returns a description of the mistake if the pattern is invalid.
    pub(crate) fn parse(part: &[u8]) -> Result<Self, &'static str> {
        let units = units(part);
        let mut rest = &units[..];
        let mut tokens = Vec::new();
        while let Some((unit, after)) = rest.split_first() {
            rest = after;
            let token = match char::from_u32(*unit) {
                Some('*') if tokens.last() == Some(&NameToken::AnyRun) => {
                    return Err("`**` must stand alone between two separators");
                }
                Some('*') => NameToken::AnyRun,
                Some('?') => NameToken::Any,
                Some('[') => {
                    let (class, after) = parse_class(after)?;
                    rest = after;
                    class
                }
                _ => NameToken::Unit(*unit),
            };
            tokens.push(token);
        }
        Ok(Self(tokens))
    }

    /// Returns `true` if the pattern begins with the literal `byte`, which must be ASCII.
    fn begins_with(&self, byte: u8) -> bool {
        self.0.first() == Some(&NameToken::Unit(byte.into()))
    }

    /// Returns `true` if the pattern selects the name from those in a directory: it matches, and the name is not left
    /// out, or the pattern asks for it.
    pub(crate) fn selects(&self, name: &[u8]) -> bool {
        (!is_left_out(name) || self.begins_with(name[0])) && self.matches(name)
    }

    fn matches(&self, name: &[u8]) -> bool {
        let (tokens, name) = (&self.0, units(name));
        let (mut token, mut unit) = (0, 0);
        // Position after the last `*`, and the end of its match so far. If the rest does not match, extend the match by
        // one unit.
        let mut retry = None;
        loop {
            match tokens.get(token) {
                Some(NameToken::AnyRun) => {
                    token += 1;
                    retry = Some((token, unit));
                    continue;
                }
                Some(expected) if name.get(unit).is_some_and(|unit| expected.is(*unit)) => {
                    token += 1;
                    unit += 1;
                    continue;
                }
                None if unit == name.len() => return true,
                _ => {}
            }
            match &mut retry {
                Some((after, matched)) if *matched < name.len() => {
                    *matched += 1;
                    (token, unit) = (*after, *matched);
                }
                _ => return false,
            }
        }
    }
}

impl NameToken {
    fn is(&self, unit: Unit) -> bool {
        match self {
            Self::Unit(expected) => unit == *expected,
            Self::Any => true,
            Self::AnyRun => false,
            Self::Class { is_negated, ranges } => {
                let is_in = |(first, last): &(Unit, Unit)| (*first..=*last).contains(&unit);
                ranges.iter().any(is_in) != *is_negated
            }
        }
    }
}

/// Parses a class after its `[`. Returns the class, and the units after its `]`.
fn parse_class(units: &[Unit]) -> Result<(NameToken, &[Unit]), &'static str> {
    let is = |unit: &Unit, c: char| *unit == u32::from(c);
    let is_negated = units
        .first()
        .is_some_and(|unit| is(unit, '!') || is(unit, '^'));
    let class = &units[usize::from(is_negated)..];
    // The first character is part of the class, even if it is a `]`.
    let end = class.iter().skip(1).position(|unit| is(unit, ']'));
    let end = 1 + end.ok_or("a `[` has no `]`; write `[[]` for the character itself")?;
    let mut ranges = Vec::new();
    let mut members = &class[..end];
    while let Some(first) = members.first() {
        let last = members.get(2).filter(|_| is(&members[1], '-'));
        ranges.push((*first, *last.unwrap_or(first)));
        members = &members[if last.is_some() { 3 } else { 1 }..];
    }
    Ok((NameToken::Class { is_negated, ranges }, &class[end + 1..]))
}

fn units(name: &[u8]) -> Vec<Unit> {
    const AFTER_ALL_CHARACTERS: Unit = char::MAX as Unit + 1;
    let mut units = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        units.extend(chunk.valid().chars().map(Unit::from));
        let bytes = chunk.invalid().iter();
        units.extend(bytes.map(|byte| AFTER_ALL_CHARACTERS + Unit::from(*byte)));
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        matches_bytes(pattern.as_bytes(), name.as_bytes())
    }

    fn matches_bytes(pattern: &[u8], name: &[u8]) -> bool {
        NamePattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn stars_match_any_run_of_characters() {
        for name in ["", "a", "ab", "é\u{1f600}"] {
            assert!(matches("*", name));
        }
        for (pattern, name, expected) in [
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*.txt", ".txt", true),
            ("*.txt", "a.txt.txt", true),
            ("*.txt", "a.txt.gz", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXcXb", false),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn one_character_is_one_whatever_its_bytes() {
        assert!(matches("?", "é") && matches("[à-ü]", "é") && matches("[!a]x", "éx"));
        assert!(!matches("??", "é") && !matches("?", "") && !matches("?", "ab"));
    }

    #[test]
    fn classes_are_ranges_and_characters() {
        for (pattern, matched) in [
            ("[a-c]", "abc"),
            ("[abc]", "abc"),
            ("[-a]", "-a"),
            ("[a-]", "a-"),
            ("[]x]", "]x"),
            ("[[]", "["),
            ("[]]", "]"),
            ("[*]", "*"),
            ("[a-c-e]", "abc-e"),
        ] {
            for c in ' '..='~' {
                assert_eq!(
                    matches(pattern, &c.to_string()),
                    matched.contains(c),
                    "{pattern} {c}"
                );
            }
        }
        for pattern in ["[!b]", "[^b]"] {
            assert!(matches(pattern, "a") && matches(pattern, "^") && !matches(pattern, "b"));
        }
        assert!(matches("[!]]", "a") && !matches("[!]]", "]"));
    }

    #[test]
    fn bytes_that_are_no_characters_match_themselves_and_wildcards() {
        assert!(matches_bytes(b"caf\xe9*", b"caf\xe9.txt"));
        assert!(!matches_bytes(b"caf\xe8*", b"caf\xe9.txt"));
        assert!(matches_bytes(b"caf?.txt", b"caf\xe9.txt"));
        assert!(matches_bytes(b"[\xe0-\xef]", b"\xe9") && !matches_bytes(b"[a-z]", b"\xe9"));
        assert!(!matches_bytes("caf\u{e9}*".as_bytes(), b"caf\xe9.txt"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["[", "[a", "[]", "[!]", "a[", "a**", "**b", "***"] {
            assert!(NamePattern::parse(pattern.as_bytes()).is_err(), "{pattern}");
        }
    }

    #[test]
    fn what_it_begins_with_is_told() {
        let begins = |pattern: &str| {
            NamePattern::parse(pattern.as_bytes())
                .unwrap()
                .begins_with(b'.')
        };
        assert!(begins(".*") && !begins("*.") && !begins("[.]*") && !begins("?"));
    }
}

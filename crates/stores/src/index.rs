//! The pages by which web servers list directories.

use reqwest::Url;

use crate::xml::unescape;

/// Returns one form of all paths that name the same file, with special characters encoded. Characters of patterns remain.
pub(crate) fn canonical(path: &str) -> String {
    encode(path, false)
}

/// Encodes special characters. Those of patterns, and `/`, stay encoded or not as they are, or are encoded in names.
fn encode(path: &str, is_name: bool) -> String {
    let mut encoded = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = match (byte, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        let (byte, is_escaped) = match escaped {
            Some((high, low)) => (16 * high + low, true),
            None => (*byte, false),
        };
        rest = if is_escaped { &after[2..] } else { after };
        let is_encoded = match byte {
            b'*' | b'?' | b'[' | b']' => is_escaped || is_name,
            b'/' => is_escaped,
            _ => !byte.is_ascii_graphic() || b"\"#%<>\\^`{|}".contains(&byte),
        };
        if is_encoded {
            encoded.push_str(&format!("%{byte:02X}"));
        } else {
            encoded.push(char::from(byte));
        }
    }
    encoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| digit.try_into().ok())
}

/// Returns the paths, without a scheme, of the files and directories in the directory at `url` that its page links to.
/// Those of directories end with `/`.
pub(crate) fn links(url: &str, page: &str) -> Vec<String> {
    let Ok(base) = Url::parse(url) else {
        return Vec::new();
    };
    let below = encode(base.path(), true);
    let (_, host) = url.split_once("://").unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    let path = |link: &str| {
        let url = base.join(&unescape(link)).ok()?;
        let is_here = url.origin() == base.origin() && url.query().is_none();
        let path = encode(url.path(), true);
        let name = path.strip_prefix(&below).filter(|_| is_here)?;
        let is_direct = !name.is_empty() && !name.trim_end_matches('/').contains('/');
        is_direct.then(|| format!("{host}{path}"))
    };
    let mut paths: Vec<_> = targets(page).filter_map(path).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Returns the values of all `href` attributes.
fn targets(page: &str) -> impl Iterator<Item = &str> {
    let values = page
        .match_indices("href=")
        .map(|(at, name)| &page[at + name.len()..]);
    values.filter_map(|rest| {
        let quote = rest
            .chars()
            .next()
            .filter(|quote| matches!(quote, '"' | '\''))?;
        rest[1..].split(quote).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        for (path, expected) in [
            ("host/a b/c", "host/a%20b/c"),
            ("host/a%20b", "host/a%20b"),
            ("host/100%", "host/100%25"),
            ("host/%41%2fb", "host/A%2Fb"),
            ("host/a%3f%2A*?", "host/a%3F%2A*?"),
            ("host/%41", "host/A"),
            ("host/é*", "host/%C3%A9*"),
        ] {
            assert_eq!(canonical(path), expected);
            assert_eq!(canonical(expected), expected);
        }
    }

    #[test]
    fn only_links_to_what_is_in_the_directory_count() {
        let page = r#"<a href="../">..</a> <a href="?C=N;O=D">sort</a> <A HREF="/d/">d</A> <a href='a&amp;b'>
            <a href="/d/s/"> <a href="s/t"> <a href="http://other/d/x"> <a href="x%20y%2A"> <a href="x y%2a">"#;
        assert_eq!(
            links("http://host:1/d/", page),
            ["host:1/d/a&b", "host:1/d/s/", "host:1/d/x%20y%2A"]
        );
    }
}

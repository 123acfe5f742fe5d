//! Single elements of the XML and HTML that servers return.

/// Returns the contents of all elements with a name, which contain none of the same name.
pub(crate) fn elements<'x>(xml: &'x str, name: &str) -> impl Iterator<Item = &'x str> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&*start)?;
        let (content, after) = after.split_once(&*end)?;
        rest = after;
        Some(content)
    })
}

/// Returns the text of the first element with a name, if it has any.
pub(crate) fn element(xml: &str, name: &str) -> Option<String> {
    let text = elements(xml, name).next()?.trim();
    (!text.is_empty()).then(|| unescape(text))
}

/// Replaces the references to characters that have a meaning.
pub(crate) fn unescape(text: &str) -> String {
    let references = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    let replace = |text: String, (reference, character)| text.replace(reference, character);
    references.into_iter().fold(text.to_owned(), replace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_names() {
        let xml = "<r><u><k>a&amp;lt;b</k></u><u><k> </k></u><u><k>c</k></u></r>";
        let found: Vec<_> = elements(xml, "u").map(|u| element(u, "k")).collect();
        assert_eq!(
            found,
            [Some("a&lt;b".to_owned()), None, Some("c".to_owned())]
        );
    }
}

//! The status page. It needs no network: it loads only its style, its script and data, all from the same place.

pub(super) const PAGE: &str = include_str!("page/index.html");
pub(super) const STYLE: &str = include_str!("page/style.css");
pub(super) const SCRIPT: &str = include_str!("page/script.js");

/// Returns a page that contains its style, its script and `data`, which is JSON.
pub(super) fn with_data(data: &str) -> String {
    // Within a script element, only `<` can have another meaning.
    let data = data.replace('<', "\\u003c");
    PAGE.replace(
        "<link rel=\"stylesheet\" href=\"style.css\">",
        &format!(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; \
             style-src 'unsafe-inline'; img-src data:\">\n<style>\n{STYLE}</style>"
        ),
    )
    .replace(
        "<script src=\"script.js\" defer></script>",
        &format!(
            "<script type=\"application/json\" id=\"data\">{data}</script>\n<script type=\"module\">\n{SCRIPT}</script>"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_its_element() {
        let page = with_data(r#"{"error":"</script><script>alert(1)</script>"}"#);
        assert!(page.contains(r#"{"error":"\u003c/script>\u003cscript>alert(1)\u003c/script>"}"#));
        assert!(page.contains(STYLE) && page.contains(SCRIPT));
        assert!(!page.contains("style.css") && !page.contains("script.js"));
    }
}

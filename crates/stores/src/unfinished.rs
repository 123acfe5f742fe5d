//! Uploads that jobs have left unfinished.

use std::io;
use std::time::Duration;

use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions};

use crate::bucket::Bucket;
use crate::requests::{body_of, client};
use crate::xml::{element, elements};

/// Time for which the signature of the list is valid.
const VALID: Duration = Duration::from_secs(60);

/// Selection of the uploads that are aborted.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// Those of the files that outputs have, in a directory. It ends with `/`, unless it is the bucket.
    PartsIn(String),
    /// Those of one key.
    Of(String),
}

impl Which {
    fn prefix(&self) -> &str {
        match self {
            Self::PartsIn(prefix) | Self::Of(prefix) => prefix,
        }
    }

    fn includes(&self, key: &str) -> bool {
        match self {
            Self::PartsIn(directory) => key.strip_prefix(&**directory).is_some_and(is_part),
            Self::Of(own) => key == own,
        }
    }
}

/// Aborts unfinished uploads.
///
/// # Errors
///
/// Returns an error if the store does not list them, as for users who may not list uploads.
pub(crate) async fn abort(bucket: &Bucket, which: &Which) -> io::Result<()> {
    let mut next = Some((String::new(), String::new()));
    while let Some((key_marker, id_marker)) = next.take() {
        let mut query = vec![("uploads", ""), ("prefix", which.prefix())];
        if !key_marker.is_empty() {
            query.extend([
                ("key-marker", &*key_marker),
                ("upload-id-marker", &id_marker),
            ]);
        }
        let options = SignedUrlOptions::new().with_query(query);
        let url = bucket
            .signed_url_opts(Method::GET, &Path::default(), VALID, &options)
            .await;
        let page = body_of(client().get(url.map_err(io::Error::other)?)).await?;
        for upload in elements(&page, "Upload") {
            let (Some(key), Some(id)) = (element(upload, "Key"), element(upload, "UploadId"))
            else {
                continue;
            };
            if which.includes(&key)
                && let Ok(path) = Path::parse(&key)
            {
                // Another process may have aborted it.
                _ = bucket.abort_multipart(&path, &id).await;
            }
        }
        if element(&page, "IsTruncated").as_deref() == Some("true") {
            next = element(&page, "NextKeyMarker").zip(element(&page, "NextUploadIdMarker"));
        }
    }
    Ok(())
}

/// Returns whether a file of an output has this name.
fn is_part(name: &str) -> bool {
    let is_number = |rest: &str| {
        let digits = rest.split('.').next().unwrap_or_default();
        digits.len() >= 5 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_direct = !name.contains('/');
    is_direct && (name == "_bag" || name.strip_prefix("part-").is_some_and(is_number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_of_the_output_count() {
        let parts = Which::PartsIn("a/b/".to_owned());
        assert!(parts.includes("a/b/part-00000"));
        assert!(!parts.includes("a/b/c/part-00000") && !parts.includes("a/bc"));
        assert!(Which::PartsIn(String::new()).includes("_bag"));
        let one = Which::Of("a/b".to_owned());
        assert!(one.includes("a/b") && !one.includes("a/bc"));
    }

    #[test]
    fn only_files_of_outputs_count() {
        for (name, expected) in [
            ("part-00000", true),
            ("part-0000000000.csv.gz", true),
            ("_bag", true),
            ("part-0", false),
            ("part-0000x", false),
            ("d/part-00000", false),
            ("notes", false),
            ("", false),
        ] {
            assert_eq!(is_part(name), expected, "{name}");
        }
    }
}

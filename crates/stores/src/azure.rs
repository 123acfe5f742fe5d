//! Settings for Azure, from where Microsoft's own tools take them.

use std::env;

use crate::bucket::Options;

/// Divides `container@account.dfs.core.windows.net` into the container and the account. A name without a host is that of
/// a container.
pub(crate) fn split_name(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((container, host)) => (container, host.split('.').next()),
        None => (name, None),
    }
}

/// Returns what the variables of Azure's command line specify and `object_store` does not know.
pub(crate) fn settings() -> Options {
    let mut settings = Options::new();
    if let Ok(text) = env::var("AZURE_STORAGE_CONNECTION_STRING") {
        settings.extend(of_connection_string(&text));
    }
    for (name, setting) in [
        ("AZURE_STORAGE_ACCOUNT", "account_name"),
        ("AZURE_STORAGE_KEY", "account_key"),
    ] {
        if let Ok(value) = env::var(name) {
            settings.insert(setting.to_owned(), value);
        }
    }
    settings
}

/// Parses `AccountName=…;AccountKey=…;BlobEndpoint=…`.
fn of_connection_string(text: &str) -> Options {
    let fields = text.split(';').filter_map(|field| field.split_once('='));
    let fields = fields.filter_map(|(name, value)| {
        let setting = match name.trim() {
            "AccountName" => "account_name",
            "AccountKey" => "account_key",
            "SharedAccessSignature" => "sas_token",
            "BlobEndpoint" => "endpoint",
            _ => return None,
        };
        Some((setting.to_owned(), value.trim().to_owned()))
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_a_host() {
        assert_eq!(split_name("box"), ("box", None));
        assert_eq!(
            split_name("box@me.dfs.core.windows.net"),
            ("box", Some("me"))
        );
    }

    #[test]
    fn a_connection_string_has_keys_with_equals_signs() {
        let text = "DefaultEndpointsProtocol=http;AccountName=me;AccountKey=abc==;\
                    BlobEndpoint=http://127.0.0.1:10000/me;";
        let expected = [
            ("account_key", "abc=="),
            ("account_name", "me"),
            ("endpoint", "http://127.0.0.1:10000/me"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(of_connection_string(text), Options::from(expected));
    }
}

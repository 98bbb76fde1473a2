//! `[identity] certificate`: where in a certificate a device's name stands.

use std::fmt;

use super::reader::{Entry, Reader, Value, entries};

/// Where in a certificate a device's name stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IdentitySource {
    /// `"cn"`: the common name of the subject.
    CommonName,
    /// `"san-dns"`: the DNS name among the subject's alternative names.
    SanDns,
    /// `{ san-uri = "PREFIX" }`: what follows the prefix in the alternative name that is a URI and starts with it.
    SanUri {
        /// At least one character.
        prefix: Box<str>,
    },
}

impl fmt::Display for IdentitySource {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommonName => f.write_str("\"cn\""),
            Self::SanDns => f.write_str("\"san-dns\""),
            Self::SanUri { prefix } => write!(f, "{{ san-uri = {prefix:?} }}"),
        }
    }
}

/// The sources of `certificate`: an array, or one of its items alone.
pub(super) fn certificate(reader: &mut Reader, entry: &Entry<'_, '_>) -> Vec<IdentitySource> {
    let items = match entry.value.get_ref().as_array() {
        Some(items) => items.iter().collect(),
        None => vec![entry.value],
    };
    if items.is_empty() {
        reader.error_help(
            entry.value.span(),
            "`certificate` is empty, so no certificate could name a device",
            "write where the name stands, or take the line out for the default `[\"cn\"]`",
        );
    }
    let mut sources: Vec<IdentitySource> = Vec::new();
    for item in items {
        let Some(source) = identity_source(reader, item) else { continue };
        if sources.contains(&source) {
            reader.error_help(
                item.span(),
                "this stands here twice",
                "the first that a certificate has decides",
            );
        } else {
            sources.push(source);
        }
    }
    sources
}

fn identity_source(reader: &mut Reader, item: &Value<'_>) -> Option<IdentitySource> {
    if let Some(table) = item.get_ref().as_table() {
        if table.is_empty() {
            reader.error_help(item.span(), "this table is empty", URI_HELP);
        }
        let mut source = None;
        for inner in entries(table) {
            if inner.key == "san-uri" {
                let text = reader.string(inner.key, inner.value)?;
                if text.text.is_empty() {
                    reader.error_help(text.span, "`san-uri` needs a prefix", URI_HELP);
                } else {
                    source = Some(IdentitySource::SanUri { prefix: text.text.into() });
                }
            } else {
                reader.unknown_key(&inner, &["san-uri"]);
            }
        }
        return source;
    }
    let text = reader.string("certificate", item)?;
    match text.text {
        "cn" => Some(IdentitySource::CommonName),
        "san-dns" => Some(IdentitySource::SanDns),
        "san-uri" => {
            reader.error_help(text.span, "`san-uri` needs a prefix", URI_HELP);
            None
        }
        other => {
            let message = format!("`certificate` cannot be `{other}`");
            reader.unknown_word(&text, message, ["cn", "san-dns", "san-uri"]);
            None
        }
    }
}

const URI_HELP: &str = "write `{ san-uri = \"urn:dev:\" }` with what stands before the name";

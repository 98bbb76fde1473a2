//! Certificates that nobody has vouched for.

use citronella::{
    certificate::{Certificate, CertificateError, fingerprint},
    config::IdentitySource,
    ident,
    pki::inspect,
};

/// Any bytes name a device or nobody, and what is shown of them stays on its lines.
pub fn check(bytes: &[u8]) {
    let sources = [
        IdentitySource::CommonName,
        IdentitySource::SanDns,
        IdentitySource::SanUri { prefix: "urn:dev:".into() },
    ];
    let shown = inspect::certificates(bytes);
    for source in &sources {
        let read = Certificate::parse(bytes, std::slice::from_ref(source));
        if let Err(error) = &read {
            let text = error.to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        let Ok(read) = read else { continue };
        assert_eq!(ident::check_name(&read.name), Ok(()), "{:?}", read.name);
        assert_eq!(read.fingerprint, fingerprint(bytes));
        // DER is never taken for PEM, unless a name in it looks like one.
        let Some([view]) = shown.as_deref().ok() else { continue };
        assert_eq!(view.sha256, read.fingerprint.to_string());
        assert_eq!(view.not_before.as_second(), read.not_before.0);
        assert_eq!(view.not_after.as_second(), read.not_after.0);
        if *source == IdentitySource::CommonName {
            assert_eq!(view.common_names, [read.name]);
        }
    }
    in_order(bytes, &sources);
    for view in shown.iter().flatten() {
        let text = view.to_string();
        assert!(!text.contains(|ch: char| ch.is_control() && ch != '\n'), "{text:?}");
        let json = serde_json::to_string(view).unwrap_or_else(|error| panic!("{error}"));
        assert!(!json.contains(['\n', '\0']), "{json}");
    }
    if let Err(error) = &shown {
        assert!(!error.to_string().is_empty());
    }
}

/// The first source that is there decides, whatever it says.
fn in_order(bytes: &[u8], sources: &[IdentitySource]) {
    let alone = sources.iter().map(|source| Certificate::parse(bytes, std::slice::from_ref(source)));
    let first = alone.into_iter().find(|read| *read != Err(CertificateError::NoName));
    assert_eq!(Certificate::parse(bytes, sources), first.unwrap_or(Err(CertificateError::NoName)));
}

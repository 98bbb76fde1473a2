//! Password hashes and files of them.

use std::{collections::HashSet, path::Path};

use citronella::{
    diag::Report,
    ident,
    password::{PasswordHash, file},
};

/// The costliest hash that is verified here, in the unit of `Kind::cost`: some 30 µs.
const CHEAP: u64 = 200;

/// A hash is what its text says; a file is read to its end.
pub fn check(text: &str) {
    text.lines().flat_map(|line| [line, line.split_once(':').map_or("", |(_, hash)| hash)]).for_each(hash);

    let mut report = Report::new();
    let (source, users) = file::parse(Path::new("/etc/mosquitto/passwd"), text, &mut report);
    crate::report::check(&report, text);
    assert_eq!(source.text().len(), text.len());
    let mut seen = HashSet::new();
    for user in users {
        assert_eq!(text.get(user.span.clone()), Some(&*user.name));
        assert_eq!(ident::check_name(&user.name), Ok(()));
        assert!(!source.text().contains(&user.hash.to_text()), "the source cites the hash of {}", user.name);
        assert!(seen.insert(user.name.clone()), "{} twice", user.name);
    }
}

fn hash(text: &str) {
    let read = match PasswordHash::parse(text) {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let again = PasswordHash::parse(&read.to_text());
    assert_eq!(again.as_ref(), Ok(&read), "{}", read.to_text());
    assert_eq!(again.map(|again| again.to_text()), Ok(read.to_text()));
    let shown = format!("{read:?} {}", read.kind());
    assert!(!shown.contains('$'), "{shown}");
    let decoy = PasswordHash::decoy(read.kind());
    assert_eq!(PasswordHash::parse(&decoy.to_text()).as_ref(), Ok(&decoy));
    assert_eq!((decoy.kind(), decoy.cost()), (read.kind(), read.cost()));
    if read.cost() <= CHEAP {
        assert!(read.verify(b"a\0\xff").is_ok() && decoy.verify(b"") == Ok(false), "{shown}");
    }
}

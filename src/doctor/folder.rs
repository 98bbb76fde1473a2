//! What stands near a path that leads nowhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::config::nearest;

/// Folders below each other that are looked through for a file of that name.
const DEPTH: usize = 2;
/// More entries than a person keeps in a folder of certificates.
const ENTRIES: usize = 1_000;

/// The path that was probably meant by one that leads nowhere: without blanks and quotes around it, with a word of it
/// spelled as something that is there, or the file of that name nearby.
pub(super) fn meant(path: &Path) -> Option<PathBuf> {
    let bare =
        Path::new(path.to_str()?.trim_matches(|ch: char| ch.is_whitespace() || ch == '"' || ch == '\''));
    if bare != path && bare.exists() {
        return Some(bare.to_owned());
    }
    let spelled = spelled(bare);
    if spelled.is_some() {
        return spelled;
    }
    let name = bare.file_name()?;
    let base = bare.ancestors().skip(1).find(|folder| folder.is_dir())?;
    // Looking through all of `/` or `/etc` finds other people's files.
    let narrow = |folder: &&Path| folder.components().count() > 2;
    let bases = [Some(base), base.parent()].into_iter().flatten();
    bases.filter(narrow).find_map(|folder| find(folder, name.to_str()?, DEPTH))
}

fn spelled(path: &Path) -> Option<PathBuf> {
    let mut here = PathBuf::new();
    for part in path.components() {
        let next = here.join(part);
        if next.exists() {
            here = next;
            continue;
        }
        let names = names(&here);
        here.push(nearest(part.as_os_str().to_str()?, names.iter().map(String::as_str))?);
    }
    here.exists().then_some(here)
}

fn find(folder: &Path, name: &str, depth: usize) -> Option<PathBuf> {
    let candidate = folder.join(name);
    if candidate.is_file() {
        return Some(candidate);
    }
    if depth == 0 {
        return None;
    }
    names(folder)
        .iter()
        .map(|inner| folder.join(inner))
        .filter(|inner| inner.is_dir())
        .find_map(|inner| find(&inner, name, depth - 1))
}

/// What is in a folder, in order; nothing if it cannot be read.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_keyboard_and_files_in_the_next_folder_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("etc/mosquitto");
        for file in ["certs/ca.crt", "certs/server.key", "ca_certificates/README"] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        for (written, expected) in [
            ("ca_cetificates/ca.crt", Some("certs/ca.crt")),
            ("cert/ca.crt", Some("certs/ca.crt")),
            ("certs/servr.key", Some("certs/server.key")),
            ("certs/ca.crt ", Some("certs/ca.crt")),
            ("certs/nothing-like-it", None),
        ] {
            assert_eq!(meant(&root.join(written)), expected.map(|path| root.join(path)), "{written}");
        }
        assert_eq!(meant(Path::new("/no-such-folder-at-all/ca.crt")), None);
    }
}

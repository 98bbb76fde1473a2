//! The paths of URLs that 2.1's listener `http_api` asks about.
//!
//! It asks whether a path may be read as it is written, and then serves the file that the system finds under it
//! (http_api.c): with `/public/..` in front that is a file of another path, about which nobody asked.

use super::{
    Plugin,
    event::{AclCheck, Host},
};
use crate::{policy::Request, snapshot::Snapshot};

impl Plugin {
    /// Whether a path that is allowed by what it spells is so by what is served for it; counted, and told if not.
    #[cold]
    pub(super) fn allows_path(
        &self,
        (host, snapshot): (&dyn Host, &Snapshot),
        (name, client_id): (&str, &str),
        event: &AclCheck<'_>,
    ) -> bool {
        let path = event.request.topic();
        if !is_plain(path) {
            let why = "asks for a path that can be another file's: with `.`, `..` or `//` in it, or no `/` before it";
            self.tell(host, snapshot).nobody(event, why);
            return false;
        }
        let may_read =
            |path: &str| snapshot.authorize(name, client_id, &Request::Receive { topic: path }).is_allowed();
        let allows = index_of(path).is_none_or(|index| may_read(&index));
        let answers = self.answers(event);
        if allows { &answers.allowed } else { &answers.refused }.add();
        allows
    }
}

/// Whether no other way of writing this path leads to the same file.
fn is_plain(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else { return false };
    let mut parts = path.split('/');
    // What ends with `/` is a folder.
    let last = parts.next_back().is_none_or(|part| !is_dots(part));
    last && parts.all(|part| !part.is_empty() && !is_dots(part))
}

fn is_dots(part: &str) -> bool {
    matches!(part, "." | "..")
}

/// What is served for a folder.
fn index_of(path: &str) -> Option<String> {
    path.ends_with('/').then(|| format!("{path}index.html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_has_one_spelling() {
        for path in ["/", "/a", "/a/", "/a/b", "/a/.b/..c/d..e/...", "/api/v1/version"] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "", "a", "a/b", ".", "//", "//a", "/a//", "/a//b", "/.", "/..", "/./a", "/a/.", "/a/../b",
            "/a/..",
        ] {
            assert!(!is_plain(path), "{path}");
        }
        assert_eq!(index_of("/").as_deref(), Some("/index.html"));
        assert_eq!(index_of("/a"), None);
    }
}

//! Small programs in C, next to this file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

/// Compiles one; whoever wants it more than once keeps what is returned.
#[track_caller]
pub(crate) fn compiled(source: &str, name: &str, arguments: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (made, new) = (folder.join(name), folder.join(format!("{name}-{}", process::id())));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support").join(source);
    let output = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&new, &source])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(new, &made).unwrap();
    made
}

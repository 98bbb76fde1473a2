//! Names and paths in commands that are printed to be typed.

use std::path::Path;

use citronella::diag::{shell_path, shell_word};

/// As one word of a shell.
pub(crate) fn word(text: &str) -> String {
    shell_word(text)
}

/// The same for a path, which is no option either.
pub(crate) fn path(path: &Path) -> String {
    shell_path(path)
}

/// As the last word of a command; one that begins like an option is told apart from them.
pub(crate) fn name(name: &str) -> String {
    let text = word(name);
    if name.starts_with('-') { format!("-- {text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_one_word_and_no_option() {
        assert_eq!(name("thunder10"), "thunder10");
        assert_eq!(name("living room"), "'living room'");
        assert_eq!(name("x;touch pwned"), "'x;touch pwned'");
        assert_eq!(name("it's"), r"'it'\''s'");
        assert_eq!(name("-rf"), "-- -rf");
        assert_eq!(name("-r f"), "-- '-r f'");
        assert_eq!(path(Path::new("-a/b c")), "'./-a/b c'");
        assert_eq!(path(Path::new("-a")), "./-a");
    }
}

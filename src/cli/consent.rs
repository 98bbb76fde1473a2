//! Questions before something that cannot be taken back lightly.

use std::io::{self, IsTerminal as _, Write as _};

use super::output::Failure;

/// Asks on the terminal; everything but a yes is a no.
///
/// Without a terminal it fails with `nobody`, and `help` names the option that agrees.
pub(crate) fn ask(question: &str, nobody: &str, help: &str) -> Result<bool, Failure> {
    if !possible() {
        return Err(Failure::new(nobody).help(help));
    }
    let mut stderr = io::stderr();
    let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Whether there is a terminal to ask at.
pub(crate) fn possible() -> bool {
    io::stdin().is_terminal()
}

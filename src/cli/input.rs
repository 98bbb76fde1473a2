//! Files that are read, or standard input in their place.

use std::{
    io::{self, Read as _},
    path::Path,
};

use citronella::fs::{self, MAX_FILE_BYTES};

use super::output::Failure;

/// The whole text of a file, or of standard input where the path is `-`; a byte order mark is left out.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    if path != Path::new("-") {
        return Ok(fs::read(path, MAX_FILE_BYTES)?.text);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(Failure::new(format!("standard input has more than {MAX_FILE_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| Failure::new("standard input is not UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

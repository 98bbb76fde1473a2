//! `cert show`: what stands in files of anybody, and in what was issued here.

use std::{fmt, fs, io::Read as _, path::Path};

use citronella::pki::{
    inspect,
    show::{self, Item, MAX_BYTES, ShowError},
};

use super::find;
use crate::{
    Answer,
    output::{Failure, Outcome, Output},
    passphrase::FilePassphrase,
    world::World,
};

/// What to look at.
#[derive(clap::Args)]
pub(crate) struct Show {
    /// What to show; a file if there is one of that name
    #[arg(value_name = "FILE|SERIAL|SHA256|NAME")]
    which: String,
    #[command(flatten)]
    passphrase: FilePassphrase,
}

struct Shown<'a>(&'a [Item]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, item) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{item}")?;
        }
        Ok(())
    }
}

pub(super) fn show(world: &World, output: &Output, asked: &Show) -> Answer {
    let which = &asked.which;
    // A folder is called like its device.
    let is_file = fs::metadata(which).is_ok_and(|found| found.is_file());
    let items = if is_file { of_file(asked)? } else { of_name(world, which)? };
    output.result(&Shown(&items), &items)?;
    Ok(Outcome::Yes)
}

fn of_file(asked: &Show) -> Result<Vec<Item>, Failure> {
    let path = Path::new(&asked.which);
    let failed = |error: &std::io::Error| Failure::file(path, error);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(Failure::new(format!("{}: larger than {MAX_BYTES} bytes", path.display())));
    }
    let passphrase = match asked.passphrase.given()? {
        None if show::is_store(&bytes) => Some(asked.passphrase.ask(&asked.which)?),
        given => given,
    };
    show::items(&bytes, passphrase.as_ref()).map_err(|error| {
        let failure = Failure::new(format!("{}: {error}", path.display()));
        match error {
            ShowError::WrongPassphrase => failure.help("--passphrase-file FILE gives another"),
            _ => failure,
        }
    })
}

fn of_name(world: &World, which: &str) -> Result<Vec<Item>, Failure> {
    let authority = world.authority()?;
    let mut items = Vec::new();
    for entry in find(&authority, which, |_| true)? {
        let views = inspect::certificates(authority.certificate_of(&entry)?.as_bytes())?;
        items.extend(views.into_iter().map(|view| Item::Certificate(Box::new(view))));
    }
    Ok(items)
}

//! The revocation list beside the broker: written whole or not at all, and never one that would do harm.

use std::{
    fs,
    path::{Path, PathBuf},
};

use citronella::pki::{Authority, CrlLife, crl};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    Answer,
    files::{Files, Mode},
    output::{Failure, Outcome, Output},
    passphrase::CaPassphrase,
    span::Span,
    world::World,
};

/// Where it goes and how long it is good.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where to write it, PEM [default: tls/crl.pem beside the configuration]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How long it is good, for a timer that renews it; without this as long as the authority
    #[arg(long, value_name = "TIME")]
    valid: Option<Span>,
    #[command(flatten)]
    passphrase: CaPassphrase,
}

/// What came of the list that a broker may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Freshness {
    /// There is no list; the registry revokes without.
    None,
    /// It is new.
    Updated,
    /// It does not have what was revoked just now.
    Stale,
}

#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    number: u64,
    next_update: String,
    revoked: usize,
}

fn place(world: &World) -> PathBuf {
    world.folder().join("tls/crl.pem")
}

pub(super) fn write(world: &World, output: &Output, options: &Options) -> Answer {
    let path = options.out.clone().unwrap_or_else(|| place(world));
    let life = match options.valid {
        Some(span) if span.duration() < SignedDuration::from_hours(1) => {
            return Err(Failure::new("a list that expires within the hour would lock everybody out"));
        }
        Some(span) => CrlLife::For(span.duration()),
        None => CrlLife::Authority,
    };
    let authority = world.authority()?;
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(Failure::new(format!("there is no folder for {}", path.display()))
            .help("make it, or name another file with --out"));
    }
    let made = make(authority, &options.passphrase, life, &path)?;
    let written = Written {
        file: &path,
        number: made.number,
        next_update: made.next_update.to_string(),
        revoked: made.revoked,
    };
    let text = format!(
        "{}: {} revoked, good until {}; a broker with `crlfile` reads it at its next reload",
        path.display(),
        made.revoked,
        made.next_update
    );
    output.result(&text, &written)?;
    Ok(Outcome::Yes)
}

fn make(
    authority: Authority,
    passphrase: &CaPassphrase,
    life: CrlLife,
    path: &Path,
) -> Result<crl::Crl, Failure> {
    let made = passphrase.unlock(authority)?.crl(life, Timestamp::now())?;
    Files::for_broker().replace(path, made.pem.as_bytes(), Mode::Shared)?;
    Ok(made)
}

/// Renews the list if there is one, to be good as long as that was; without a passphrase it stays as it is.
pub(crate) fn refresh(
    world: &World,
    output: &Output,
    passphrase: &CaPassphrase,
) -> Result<Freshness, Failure> {
    let path = place(world);
    let Ok(found) = fs::read(&path) else { return Ok(Freshness::None) };
    let authority = world.authority()?;
    let life = life_of(&found, &authority).unwrap_or(CrlLife::Authority);
    match make(authority, passphrase, life, &path) {
        Ok(made) => {
            output.say(&format_args!("{}: renewed, {} revoked", path.display(), made.revoked));
            Ok(Freshness::Updated)
        }
        Err(failure) => {
            output.warn(&format!(
                "{} does not have it yet ({}); renew it with `{} ca crl`",
                path.display(),
                failure.message(),
                world.command()
            ));
            Ok(Freshness::Stale)
        }
    }
}

/// How long the list was made to be good.
fn life_of(bytes: &[u8], authority: &Authority) -> Option<CrlLife> {
    let views = crl::views(bytes).ok()?;
    let first = views.first()?;
    let next: Timestamp = first.next_update.as_ref()?.parse().ok()?;
    let end = Timestamp::from_second(authority.period().not_after.as_second()).ok()?;
    // It begins an hour before it is made.
    let span = next.duration_since(first.this_update) - SignedDuration::from_hours(1);
    Some(if next == end { CrlLife::Authority } else { CrlLife::For(span) })
}

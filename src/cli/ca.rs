//! `citronella ca`: the authority itself.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use citronella::{
    pki::{
        Adoption, Authority, Issuer, KeyError, KeyKind, LONG_ROOT_DAYS, NewAuthority, PBKDF2_ITERATIONS,
        PrivateKey, ROOT_DAYS, State, Subject, inspect,
    },
    secret::Secret,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Answer,
    files::{Files, Mode},
    output::{Failure, Outcome, Output},
    passphrase::{CaPassphrase, KeyPassphrase, RootPassphrase},
    shell,
    world::World,
};

mod crl;

pub(crate) use crl::{Freshness, refresh};

/// Make, adopt, show, save and replace the authority
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Make an authority, and nothing else
    #[command(
        after_help = "Examples:\n  citronella ca init --authority 'Casa Rossi'\n  citronella ca init --issuing --root-passphrase-file root.pass"
    )]
    Init(Init),
    /// Take over an authority that openssl, easy-rsa or mkcert made
    #[command(after_help = "Example:\n  citronella ca adopt pki/ca.crt pki/private/ca.key")]
    Adopt(Adopt),
    /// Show the authority and what it has issued, in numbers
    #[command(after_help = "Example:\n  citronella ca show")]
    Show,
    /// Write a revocation list for brokers with a `crlfile`
    #[command(
        after_help = "The registry revokes without one. Once there is a list, `cert revoke` renews it.\n\nExamples:\n  citronella ca crl\n  citronella ca crl --valid 7d"
    )]
    Crl(crl::Options),
    /// Make a new authority in the place of the old one, which stays trusted until --finish
    #[command(after_help = "Examples:\n  citronella ca rollover\n  citronella ca rollover --finish")]
    Rollover(Rollover),
    /// Save keys (encrypted as they are), ledger and certificates in one file
    #[command(after_help = "Example:\n  citronella ca backup authority.tar")]
    Backup {
        /// The archive to write, with mode 0600
        #[arg(value_name = "ARCHIVE")]
        file: PathBuf,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Bring the authority back from such a file
    #[command(after_help = "Example:\n  citronella ca restore authority.tar")]
    Restore {
        /// The archive
        #[arg(value_name = "ARCHIVE")]
        file: PathBuf,
    },
}

/// An authority to be.
#[derive(clap::Args)]
pub(crate) struct Init {
    #[command(flatten)]
    new: New,
    /// Make a root that signs an issuing authority only; its key can then be kept elsewhere
    #[arg(long)]
    issuing: bool,
    #[command(flatten)]
    passphrase: CaPassphrase,
    #[command(flatten)]
    root_passphrase: RootPassphrase,
}

/// What a new authority is called and made of.
#[derive(clap::Args)]
pub(crate) struct New {
    /// What the authority is called: a house, a firm
    #[arg(long, value_name = "TEXT", default_value = "Citronella")]
    authority: String,
    /// More fields for its subject, such as `C=IT,ST=Lazio,O=Rossi`
    #[arg(long, value_name = "FIELDS")]
    subject: Option<Subject>,
    /// Kind of its key: p256, p384, rsa2048, rsa3072 or ed25519
    #[arg(long, value_name = "KIND", default_value_t)]
    key: KeyKind,
    /// Days that it is valid [default: 3650; 7300 for a root over an issuing authority]
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
}

impl New {
    fn request(&self, output: &Output, default_days: u32) -> NewAuthority {
        for note in self.subject.iter().flat_map(Subject::notes) {
            output.warn(note);
        }
        if let Some(who) = self.key.breaks() {
            output.warn(who);
        }
        NewAuthority {
            subject: self.subject.clone().unwrap_or_default(),
            key: self.key,
            days: self.days.unwrap_or(default_days),
            ..NewAuthority::new(&self.authority)
        }
    }
}

/// An authority of others.
#[derive(clap::Args)]
pub(crate) struct Adopt {
    /// Its certificate, PEM
    certificate: PathBuf,
    /// Its key, PEM, encrypted or not
    key: PathBuf,
    /// The root's certificate, if it stands below one
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    #[command(flatten)]
    key_passphrase: KeyPassphrase,
    #[command(flatten)]
    passphrase: CaPassphrase,
}

/// The next authority, or the end of the last.
#[derive(clap::Args)]
pub(crate) struct Rollover {
    #[command(flatten)]
    new: New,
    /// Stop trusting the earlier authorities
    #[arg(long)]
    finish: bool,
    #[command(flatten)]
    passphrase: CaPassphrase,
}

pub(crate) fn run(world: &World, output: &Output, verb: Verb) -> Answer {
    match verb {
        Verb::Init(init) => self::init(world, output, &init),
        Verb::Adopt(adopt) => self::adopt(world, output, &adopt),
        Verb::Show => tell(output, &world.authority()?),
        Verb::Crl(options) => crl::write(world, output, &options),
        Verb::Rollover(rollover) => self::rollover(world, output, &rollover),
        Verb::Backup { file, force } => backup(world, output, &file, force),
        Verb::Restore { file } => {
            let archive = fs::read(&file).map_err(|error| Failure::file(&file, &error))?;
            make_folder(world)?;
            tell(output, &Authority::restore(&world.pki(), &archive)?)
        }
    }
}

fn make_folder(world: &World) -> Result<(), Failure> {
    Files::for_broker().folder(world.folder(), Mode::Shared)
}

fn init(world: &World, output: &Output, init: &Init) -> Answer {
    let days = if init.issuing { LONG_ROOT_DAYS } else { ROOT_DAYS };
    let new = init.new.request(output, days);
    let pki = world.pki();
    if pki.join("ca.crt").exists() {
        return Err(citronella::pki::AuthorityError::Exists(pki).into());
    }
    let passphrase = init.passphrase.choose()?;
    let issuer = if init.issuing {
        let root = init.root_passphrase.choose()?;
        make_folder(world)?;
        let issuer = Authority::init_issuing(&pki, &new, (&root, &passphrase), Timestamp::now())?;
        output.say(&format_args!(
            "the root's key is not needed for five years: keep {} elsewhere",
            pki.join("root.key").display()
        ));
        issuer
    } else {
        make_folder(world)?;
        Authority::init(&pki, &new, &passphrase, Timestamp::now())?
    };
    tell(output, issuer.authority())
}

fn adopt(world: &World, output: &Output, adopt: &Adopt) -> Answer {
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| Failure::file(path, &error));
    let certificate = read(&adopt.certificate)?;
    let root = adopt.root.as_deref().map(read).transpose()?;
    let root = root.as_deref().zip(adopt.root.as_deref());
    let key = key(&adopt.key, &adopt.key_passphrase)?;
    let adoption = Adoption::judge((&certificate, &adopt.certificate), key, root, Timestamp::now())?;
    for warning in adoption.warnings() {
        output.warn(warning);
    }
    let passphrase = adopt.passphrase.choose()?;
    make_folder(world)?;
    let issuer =
        Authority::adopt(&world.pki(), adoption, (&passphrase, PBKDF2_ITERATIONS), Timestamp::now())?;
    output.say(&format_args!(
        "its earlier certificates are not in the ledger; those of devices go into the registry by `certificates`"
    ));
    tell(output, issuer.authority())
}

/// The key in a file, its passphrase asked for if it needs one.
fn key(path: &Path, passphrase: &KeyPassphrase) -> Result<PrivateKey, Failure> {
    let text = Secret::new(fs::read(path).map_err(|error| Failure::file(path, &error))?);
    let read = match PrivateKey::from_pem(text.expose(), None) {
        Err(KeyError::PassphraseNeeded) => PrivateKey::from_pem(text.expose(), Some(&passphrase.ask()?)),
        read => read,
    };
    read.map_err(|error| {
        let failure = Failure::new(format!("{}: {error}", path.display()));
        if matches!(error, KeyError::WrongPassphrase) { failure.help(passphrase.origin()) } else { failure }
    })
}

fn rollover(world: &World, output: &Output, rollover: &Rollover) -> Answer {
    let mut authority = world.authority()?;
    if rollover.finish {
        let count = authority.forget_retired()?;
        output.say(&format_args!("{count} earlier authorities are not trusted any more"));
        deploy_trust(world, output, &world.authority()?)?;
        return tell(output, &world.authority()?);
    }
    let new = rollover.new.request(output, ROOT_DAYS);
    let passphrase = rollover.passphrase.ask()?;
    let opened = authority.unlock(&passphrase).map_err(|error| rollover.passphrase.refused(error))?;
    let issuer: Issuer = opened.roll_over(&new, &passphrase, Timestamp::now())?;
    deploy_trust(world, output, issuer.authority())?;
    let command = world.command();
    for step in [
        "now give every device the new ca.crt, which holds both (bundles made from now on have it)"
            .to_owned(),
        format!("when all have it, give the broker a certificate of the new one: {command} broker renew"),
        format!("when no device shows a certificate of the old one any more: {command} ca rollover --finish"),
    ] {
        output.say(&step);
    }
    tell(output, issuer.authority())
}

/// The broker's `cafile`, where `init` put it.
fn deploy_trust(world: &World, output: &Output, authority: &Authority) -> Result<(), Failure> {
    let path = world.folder().join("tls/ca.crt");
    if path.exists() {
        Files::for_broker().replace(&path, authority.broker_trust_pem().as_bytes(), Mode::Public)?;
        // SIGHUP reads it anew only beside a crlfile.
        output.say(&format_args!(
            "{} is new; the broker reads it at a restart: systemctl restart mosquitto",
            path.display()
        ));
    }
    Ok(())
}

fn backup(world: &World, output: &Output, file: &Path, force: bool) -> Answer {
    #[derive(Serialize)]
    struct Saved<'a> {
        file: &'a Path,
        bytes: usize,
    }
    if file.exists() && !force {
        return Err(
            Failure::new(format!("{} exists already", file.display())).help("replace it with --force")
        );
    }
    let archive = world.authority()?.backup(Timestamp::now())?;
    citronella::fs::Locked::new(file)?.replace_as(&archive, 0o600, None)?;
    let text = format!(
        "{}: keys (encrypted), ledger and certificates; bring them back with `{} ca restore {}`",
        file.display(),
        world.command(),
        shell::path(file)
    );
    output.result(&text, &Saved { file, bytes: archive.len() })?;
    Ok(Outcome::Yes)
}

/// An authority in a few lines.
#[derive(Serialize)]
struct Shown {
    directory: PathBuf,
    fleet: String,
    tiers: u8,
    certificate: inspect::CertificateView,
    /// Earlier ones that are still trusted.
    retired: Vec<inspect::CertificateView>,
    valid: usize,
    expired: usize,
    revoked: usize,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tiers = if self.tiers == 2 { "a root above it" } else { "one tier" };
        writeln!(f, "{}: {tiers}, fleet `{}`", self.directory.display(), self.fleet)?;
        writeln!(f, "  subject   {}", self.certificate.subject)?;
        writeln!(f, "  key       {}", self.certificate.key)?;
        writeln!(f, "  until     {}", self.certificate.not_after)?;
        writeln!(f, "  sha256    {}", self.certificate.sha256)?;
        for old in &self.retired {
            writeln!(f, "  trusts    {} (earlier, until {})", old.subject, old.not_after)?;
        }
        write!(f, "  issued    {} valid, {} expired, {} revoked", self.valid, self.expired, self.revoked)
    }
}

fn tell(output: &Output, authority: &Authority) -> Answer {
    let view = |pem: &str| -> Result<inspect::CertificateView, Failure> {
        let views = inspect::certificates(pem.as_bytes())?;
        views.into_iter().next().ok_or_else(|| Failure::new("the authority has no certificate"))
    };
    let now = Timestamp::now();
    let kinds = authority.list().iter().filter(|entry| entry.kind != citronella::pki::Kind::Ca);
    let states: Vec<State> = kinds.map(|entry| entry.state(now)).collect();
    let count = |wanted| states.iter().filter(|state| **state == wanted).count();
    let shown = Shown {
        directory: authority.directory().to_owned(),
        fleet: authority.fleet().to_owned(),
        tiers: if authority.has_two_tiers() { 2 } else { 1 },
        certificate: view(authority.certificate_pem())?,
        retired: authority.retired().map(view).collect::<Result<_, _>>()?,
        valid: count(State::Valid),
        expired: count(State::Expired),
        revoked: count(State::Revoked),
    };
    output.result(&shown, &shown)?;
    Ok(Outcome::Yes)
}

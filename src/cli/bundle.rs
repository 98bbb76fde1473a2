//! `citronella bundle`: a device's credentials as its program takes them.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use citronella::{
    config::nearest,
    ident::DeviceName,
    pki::{
        KeyError, PrivateKey,
        bundle::{OnExisting, Try, folder_name},
        kit::{self, Material, Packing, Store, Target},
    },
    secret::Secret,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Answer, cert, check,
    confirm::{Change, Confirmed},
    output::{Failure, Outcome, Output},
    registry,
    rights::Rights,
    shell,
    world::World,
};

/// No file of a bundle is longer, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Make what a device's program takes: key stores, a C header, a sketch, a script that works as it stands
///
/// From the folder that `device add` or `cert issue` made, or with a new key and certificate. The folder NAME-TARGET
/// has a README.txt that says what to do with it.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  citronella bundle thunder10 --for java\n  citronella bundle lamp --for esp32 --from /media/stick/lamp\n  citronella bundle phone --for android --new --archive phone.zip"
)]
pub(crate) struct Arguments {
    /// The device
    #[arg(value_name = "NAME")]
    device: String,
    /// Who is to use it: mosquitto, java, python, node, android, esp32, tasmota or openssl
    #[arg(long = "for", value_name = "TARGET", value_parser = target)]
    target: Target,
    /// The folder with the device's certificate and key [default: ./NAME]
    #[arg(long, value_name = "FOLDER", conflicts_with = "new")]
    from: Option<PathBuf>,
    /// Make a new key and certificate first, into the folder NAME
    #[arg(long)]
    new: bool,
    /// Key stores that Android 9, older ones and macOS can open; their protection is weak
    #[arg(long, conflicts_with = "jks")]
    compat: bool,
    /// Java's own key stores, for programs that know nothing else; their protection is weak
    #[arg(long)]
    jks: bool,
    /// Make one file of it, FILE.tar or FILE.zip, with mode 0600, and no folder
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Leave the key unencrypted: whoever reads it is the device
    #[arg(long, conflicts_with = "key_passphrase")]
    plain_key: bool,
    #[command(flatten)]
    certificate: cert::IssueOptions,
}

fn target(text: &str) -> Result<Target, String> {
    text.parse::<Target>().map_err(|error| {
        match nearest(&text.to_ascii_lowercase(), Target::WORDS.iter().map(|(word, _)| *word)) {
            Some(word) => format!("{error}; did you mean `{word}`?"),
            None => error.to_string(),
        }
    })
}

#[derive(Serialize)]
struct Made<'a> {
    device: &'a str,
    target: Target,
    /// The folder, or the archive.
    folder: PathBuf,
    archive: bool,
    key_is_encrypted: bool,
    /// What the broker has made of a new certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<Confirmed>,
}

pub(crate) fn run(world: &World, output: &Output, mut arguments: Arguments) -> Answer {
    let name = registry::existing(world, &arguments.device)?;
    let store = store(&arguments)?;
    let packing = arguments.archive.as_deref().map(|file| packing(file, &arguments)).transpose()?;
    kit::check(&name, arguments.target)?;
    let plain = arguments.plain_key || arguments.target.is_mute();
    if arguments.plain_key && arguments.target.has_store() {
        return Err(Failure::new(format!(
            "a key store for {} has a passphrase in any case",
            arguments.target
        ))
        .help("leave out --plain-key"));
    }
    if arguments.target.is_mute() && !arguments.plain_key {
        output.say(&format_args!(
            "{} cannot ask for a passphrase: its key will not be encrypted, and whoever has the folder is {name}",
            arguments.target
        ));
    }
    let mut change = None;
    let (source, passphrase) = if arguments.new {
        change = Some(Change::begin());
        make((world, output), &name, &mut arguments, plain)?
    } else {
        let folder = arguments.from.clone().unwrap_or_else(|| PathBuf::from(folder_name(&name)));
        let source = Source::read(&folder, &name, &mut arguments)?;
        let passphrase = match (plain, &source.passphrase) {
            (true, _) => None,
            (false, Some(known)) => Some(Arc::clone(known)),
            (false, None) => Some(Arc::new(choose(&mut arguments)?)),
        };
        (source, passphrase)
    };
    let (host, port) = arguments.certificate.broker(world);
    let topic = registry::topic_to_try(&check::load(world)?, name.as_str());
    let material = Material {
        name: &name,
        chain_pem: &source.chain,
        ca_pem: &source.authority,
        key: &source.key,
        passphrase: passphrase.as_deref(),
        connect: Try { host: &host, port, topic: &topic },
    };
    let on_existing = arguments.certificate.on_existing();
    let form = (arguments.target, store);
    let folder = match packing {
        Some((file, packing)) => {
            let content = kit::archive(&material, form, packing, Timestamp::now())?;
            write_archive(&file, &content, on_existing)?;
            file
        }
        None => {
            let out = arguments.certificate.out();
            let _rights = Rights::for_folder(out)?;
            kit::write(out, &material, form, on_existing).map_err(|error| {
                let failure = Failure::from(error);
                match on_existing {
                    OnExisting::Refuse => {
                        failure.help("take another --out, or replace what is there with --force")
                    }
                    OnExisting::Replace | OnExisting::Keep => failure,
                }
            })?
        }
    };
    let made = Made {
        device: name.as_str(),
        target: arguments.target,
        folder,
        archive: arguments.archive.is_some(),
        key_is_encrypted: passphrase.is_some(),
        broker: match change {
            Some(change) => Some(change.confirm(world, &check::load(world)?, arguments.certificate.wait())),
            None => None,
        },
    };
    output.result(&made, &made)?;
    Ok(made.broker.map_or(Outcome::Yes, |broker| broker.tell(output)))
}

impl fmt::Display for Made<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readme = self.folder.join("README.txt");
        writeln!(f, "{}: {} for {}", self.folder.display(), self.device, self.target)?;
        if self.archive {
            let word =
                if self.key_is_encrypted { "its key is encrypted" } else { "its key is not encrypted" };
            return write!(f, "What to do with it stands in its README.txt; {word}, the rest is open.");
        }
        write!(f, "What to do with it: less {}", shell::path(&readme))
    }
}

/// Which kind of archive a file is to be, if it can be made.
fn packing(file: &Path, arguments: &Arguments) -> Result<(PathBuf, Packing), Failure> {
    let packing = Packing::of(&file.to_string_lossy()).ok_or_else(|| {
        Failure::new(format!("{} is neither .tar nor .zip", file.display()))
            .help("the end of its name says what it becomes")
    })?;
    let there = fs::symlink_metadata(file).is_ok();
    if there && arguments.certificate.on_existing() == OnExisting::Refuse {
        return Err(
            Failure::new(format!("{} exists already", file.display())).help("replace it with --force")
        );
    }
    Ok((file.to_owned(), packing))
}

/// With mode 0600, whole or not at all.
fn write_archive(file: &Path, content: &Secret, on_existing: OnExisting) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let _rights = Rights::for_folder(folder)?;
    let write = || -> io::Result<()> {
        let mut made = tempfile::NamedTempFile::new_in(folder)?;
        made.write_all(content.expose())?;
        made.as_file().sync_all()?;
        let _file = match on_existing {
            OnExisting::Refuse => made.persist_noclobber(file)?,
            OnExisting::Replace | OnExisting::Keep => made.persist(file)?,
        };
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| Failure::file(file, &error))
}

fn store(arguments: &Arguments) -> Result<Store, Failure> {
    let takes = match arguments.target {
        Target::Java => true,
        Target::Openssl | Target::Android => !arguments.jks,
        _ => !arguments.jks && !arguments.compat,
    };
    if !takes {
        return Err(Failure::new(format!("{} takes no such key store", arguments.target))
            .help("--compat is for java, android and openssl, --jks for java"));
    }
    Ok(match (arguments.compat, arguments.jks) {
        (true, _) => Store::Compatible,
        (_, true) => Store::Jks,
        _ => Store::Modern,
    })
}

/// The passphrase for the key, and what does without where there is nobody to ask.
fn choose(arguments: &mut Arguments) -> Result<Secret, Failure> {
    arguments.certificate.key_passphrase().must_choose().map_err(|failure| {
        if arguments.target.has_store() {
            failure.help("a timer takes it from a file that only root may read: `--key-passphrase-file FILE`")
        } else {
            failure.help("or leave the key unencrypted with `--plain-key`: whoever reads it is the device")
        }
    })
}

/// A new certificate, as `cert issue` makes it, and then from its folder.
fn make(
    (world, output): (&World, &Output),
    name: &DeviceName,
    arguments: &mut Arguments,
    plain: bool,
) -> Result<(Source, Option<Arc<Secret>>), Failure> {
    let passphrase = if plain {
        None
    } else {
        let chosen = Arc::new(choose(arguments)?);
        arguments.certificate.key_passphrase().know(Arc::clone(&chosen));
        Some(chosen)
    };
    let delivered =
        cert::Order::prepare(world, output, name, &arguments.certificate)?.deliver(world, output)?;
    registry::add_certificate(world, name, delivered.certificate())?;
    let folder = arguments.certificate.out().join(folder_name(name));
    output.say(&format_args!("made: key and certificate, {}", folder.display()));
    let source = Source::read(&folder, name, arguments)?;
    Ok((source, passphrase))
}

/// What stands in a device's folder.
struct Source {
    authority: String,
    chain: String,
    key: PrivateKey,
    /// That of the key, if it has one.
    passphrase: Option<Arc<Secret>>,
}

impl Source {
    fn read(folder: &Path, name: &DeviceName, arguments: &mut Arguments) -> Result<Self, Failure> {
        let stem = folder_name(name);
        if !folder.is_dir() {
            return Err(Failure::new(format!("there is no folder {}", folder.display())).help(
                "name the folder with the device's certificate and key with --from, or make a new certificate with --new",
            ));
        }
        // What somebody else can put there is read with their rights.
        let rights = Rights::to_read(folder)?;
        let authority = text(&folder.join("ca.crt"))?;
        let chain = text(&folder.join(format!("{stem}.crt")))?;
        let path = folder.join(format!("{stem}.key"));
        let sealed = bytes(&path).map_err(|failure| {
            failure.help("a key that was made on the device is not here: make the files there, or a new key with --new")
        })?;
        drop(rights);
        let named = |error: KeyError| Failure::new(format!("{}: {error}", path.display()));
        match PrivateKey::from_pem(sealed.expose(), None) {
            Ok(key) => Ok(Self { authority, chain, key, passphrase: None }),
            Err(KeyError::PassphraseNeeded) => {
                let options = arguments.certificate.key_passphrase();
                let passphrase = match options.choose()? {
                    Some(passphrase) => passphrase,
                    None => options.ask()?,
                };
                let key = PrivateKey::from_pem(sealed.expose(), Some(&passphrase));
                let key = key.map_err(|error| match error {
                    KeyError::WrongPassphrase => named(error).help(options.origin()),
                    error => named(error),
                })?;
                Ok(Self { authority, chain, key, passphrase: Some(Arc::new(passphrase)) })
            }
            Err(error) => Err(named(error)),
        }
    }
}

fn bytes(path: &Path) -> Result<Secret, Failure> {
    let mut read = Vec::new();
    let file = fs::File::open(path).map_err(|error| Failure::file(path, &error))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut read).map_err(|error| Failure::file(path, &error))?;
    let read = Secret::new(read);
    if u64::try_from(read.expose().len()).is_ok_and(|length| length <= MAX_BYTES) {
        return Ok(read);
    }
    Err(Failure::new(format!("{} is longer than {MAX_BYTES} bytes", path.display())))
}

fn text(path: &Path) -> Result<String, Failure> {
    let read = bytes(path)?;
    let text = std::str::from_utf8(read.expose());
    text.map(str::to_owned).map_err(|_| Failure::new(format!("{} is not a certificate", path.display())))
}

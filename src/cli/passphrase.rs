//! Passphrases and passwords from a prompt, a file, the environment or a descriptor; never from the command line,
//! where everybody can read them.

use std::{
    env,
    fs::File,
    io::{self, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use citronella::{
    pki::{Authority, AuthorityError, Issuer, KeyError},
    secret::Secret,
};
use nix::sys::termios::{self, LocalFlags, SetArg, Termios};

use super::output::Failure;

/// Longest secret that is read, in bytes.
const MAX_BYTES: u64 = 65_535;

const CA_INSTEAD: &str = "--ca-passphrase-file, --ca-passphrase-fd or CITRONELLA_CA_PASSPHRASE";
const KEY_INSTEAD: &str = "--key-passphrase-file, --key-passphrase-fd or CITRONELLA_KEY_PASSPHRASE";

const CA_VARIABLE: &str = "CITRONELLA_CA_PASSPHRASE";
const KEY_VARIABLE: &str = "CITRONELLA_KEY_PASSPHRASE";

/// Where the passphrase of the authority's key comes from.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct CaPassphrase {
    /// File with the passphrase of the authority's key in its first line [env: CITRONELLA_CA_PASSPHRASE has the passphrase itself]
    #[arg(long, value_name = "FILE")]
    ca_passphrase_file: Option<PathBuf>,
    /// Open descriptor to read the passphrase of the authority's key from
    #[arg(long, value_name = "FD", conflicts_with = "ca_passphrase_file")]
    ca_passphrase_fd: Option<u32>,
}

impl CaPassphrase {
    /// The passphrase of a key that exists.
    pub(crate) fn ask(&self) -> Result<Secret, Failure> {
        match self.given()? {
            Some(secret) => Ok(secret),
            None => prompt("passphrase of the authority's key: ", CA_INSTEAD),
        }
    }

    /// The passphrase of a key to be made, asked twice at a prompt.
    pub(crate) fn choose(&self) -> Result<Secret, Failure> {
        match self.given()? {
            Some(secret) => Ok(secret),
            None => prompt_twice("passphrase for the authority's key: ", CA_INSTEAD),
        }
    }

    fn given(&self) -> Result<Option<Secret>, Failure> {
        given(self.ca_passphrase_file.as_ref(), self.ca_passphrase_fd, CA_VARIABLE)
    }

    /// The authority with its key open.
    pub(crate) fn unlock(&self, authority: Authority) -> Result<Issuer, Failure> {
        authority.unlock(&self.ask()?).map_err(|error| self.refused(error))
    }

    /// Why the authority's key does not open, and where the passphrase came from if that is the reason.
    pub(crate) fn refused(&self, error: AuthorityError) -> Failure {
        let is_wrong = matches!(error, AuthorityError::Key { source: KeyError::WrongPassphrase, .. });
        let failure = Failure::from(error);
        if !is_wrong {
            return failure;
        }
        let origin = origin(self.ca_passphrase_file.as_deref(), self.ca_passphrase_fd, CA_VARIABLE);
        failure.help(origin).help(
            "it is the passphrase that was chosen when the authority was made (`citronella init`); nobody can recover it",
        )
    }
}

/// Where the passphrase of a root's key comes from, if it is another than the authority's.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct RootPassphrase {
    /// File with the passphrase for the root's key in its first line [env: CITRONELLA_ROOT_PASSPHRASE has the passphrase itself]
    #[arg(long, value_name = "FILE")]
    root_passphrase_file: Option<PathBuf>,
}

impl RootPassphrase {
    /// The passphrase of a key to be made, asked twice at a prompt.
    pub(crate) fn choose(&self) -> Result<Secret, Failure> {
        const INSTEAD: &str = "--root-passphrase-file or CITRONELLA_ROOT_PASSPHRASE";
        match given(self.root_passphrase_file.as_ref(), None, "CITRONELLA_ROOT_PASSPHRASE")? {
            Some(secret) => Ok(secret),
            None => prompt_twice("passphrase for the root's key: ", INSTEAD),
        }
    }
}

/// Where the passphrase of a device's key comes from.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct KeyPassphrase {
    /// Encrypt the device's key with the first line of this file [env: CITRONELLA_KEY_PASSPHRASE has the passphrase itself]
    #[arg(long, value_name = "FILE")]
    key_passphrase_file: Option<PathBuf>,
    /// Open descriptor to read the passphrase of the device's key from
    #[arg(long, value_name = "FD", conflicts_with = "key_passphrase_file")]
    key_passphrase_fd: Option<u32>,
    /// Ask for a passphrase for the device's key
    #[arg(long, conflicts_with_all = ["key_passphrase_file", "key_passphrase_fd"])]
    key_passphrase: bool,
    /// What was asked for already.
    #[arg(skip)]
    known: Option<Arc<Secret>>,
}

impl KeyPassphrase {
    /// Asks nobody any more.
    pub(crate) fn know(&mut self, passphrase: Arc<Secret>) {
        self.known = Some(passphrase);
    }

    /// The passphrase for a key that is to be encrypted: given, or asked for twice.
    pub(crate) fn must_choose(&self) -> Result<Secret, Failure> {
        match self.choose()? {
            Some(passphrase) => Ok(passphrase),
            None => prompt_twice("passphrase for the device's key: ", KEY_INSTEAD),
        }
    }

    /// The passphrase of a key that is encrypted already.
    pub(crate) fn ask(&self) -> Result<Secret, Failure> {
        match given(self.key_passphrase_file.as_ref(), self.key_passphrase_fd, KEY_VARIABLE)? {
            Some(passphrase) => Ok(passphrase),
            None => prompt("passphrase of the device's key: ", KEY_INSTEAD),
        }
    }

    /// Where the passphrase came from that does not open a key.
    pub(crate) fn origin(&self) -> String {
        origin(self.key_passphrase_file.as_deref(), self.key_passphrase_fd, KEY_VARIABLE)
    }

    /// Whether there is to be one. Asks nobody.
    pub(crate) fn is_wanted(&self) -> bool {
        let given = self.key_passphrase_file.is_some() || self.key_passphrase_fd.is_some();
        given || self.key_passphrase || self.known.is_some() || env::var_os(KEY_VARIABLE).is_some()
    }

    /// The passphrase for a device's key, if there is to be one.
    pub(crate) fn choose(&self) -> Result<Option<Secret>, Failure> {
        if let Some(known) = &self.known {
            return Ok(Some(Secret::new(known.expose().to_vec())));
        }
        let given = given(self.key_passphrase_file.as_ref(), self.key_passphrase_fd, KEY_VARIABLE)?;
        match (given, self.key_passphrase) {
            (Some(secret), _) => Ok(Some(secret)),
            (None, true) => prompt_twice("passphrase for the device's key: ", KEY_INSTEAD).map(Some),
            (None, false) => Ok(None),
        }
    }
}

/// Where the passphrase of a file that is looked into comes from.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct FilePassphrase {
    /// File with the passphrase of a key or a PKCS#12 store in its first line [env: CITRONELLA_KEY_PASSPHRASE has the passphrase itself]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl FilePassphrase {
    /// Without asking anybody.
    pub(crate) fn given(&self) -> Result<Option<Secret>, Failure> {
        given(self.passphrase_file.as_ref(), None, KEY_VARIABLE)
    }

    /// At the terminal.
    pub(crate) fn ask(&self, file: &str) -> Result<Secret, Failure> {
        prompt(&format!("passphrase of {file}: "), "--passphrase-file or CITRONELLA_KEY_PASSPHRASE")
    }
}

/// The passphrase of a key that exists, asked at the terminal.
pub(crate) fn of_key(key: &str) -> Result<Secret, Failure> {
    prompt(&format!("passphrase of {key}: "), "--key-passphrase-file or CITRONELLA_KEY_PASSPHRASE")
}

/// Where a passphrase of a key came from that does not open it: this file or the environment, else the terminal.
pub(crate) fn origin_of_key(file: Option<&Path>) -> String {
    origin(file, None, KEY_VARIABLE)
}

/// In the order of [`given`].
fn origin(file: Option<&Path>, fd: Option<u32>, variable: &str) -> String {
    match (file, fd) {
        (Some(path), _) => format!("it was the first line of {}", path.display()),
        (None, Some(fd)) => format!("it was read from descriptor {fd}"),
        (None, None) if env::var_os(variable).is_some() => {
            format!("it came from {variable} in the environment; `unset {variable}` lets you type it")
        }
        (None, None) => "type it once more".to_owned(),
    }
}

/// File before descriptor before environment.
fn given(file: Option<&PathBuf>, fd: Option<u32>, variable: &str) -> Result<Option<Secret>, Failure> {
    if let Some(path) = file {
        let opened = File::open(path).map_err(|error| Failure::file(path, &error))?;
        return read_line(opened, &path.display().to_string()).map(Some);
    }
    if let Some(fd) = fd {
        let path = format!("/proc/self/fd/{fd}");
        let opened = File::open(&path).map_err(|error| Failure::new(format!("descriptor {fd}: {error}")))?;
        return read_line(opened, &format!("descriptor {fd}")).map(Some);
    }
    match env::var_os(variable) {
        Some(value) => not_empty(Secret::new(value.into_encoded_bytes()), variable).map(Some),
        None => Ok(None),
    }
}

/// A secret from standard input: its first line, or a prompt where that is a terminal.
pub(crate) fn from_stdin_or_prompt(what: &str) -> Result<Secret, Failure> {
    if io::stdin().is_terminal() {
        return prompt_twice(&format!("{what}: "), "standard input");
    }
    read_line(io::stdin().lock(), "standard input")
}

/// The same, asked once at a prompt: for a secret that exists.
pub(crate) fn from_stdin_or_prompt_once(what: &str) -> Result<Secret, Failure> {
    if io::stdin().is_terminal() {
        return prompt(&format!("{what}: "), "standard input");
    }
    read_line(io::stdin().lock(), "standard input")
}

/// The first line, without its end.
pub(crate) fn read_line(from: impl io::Read, name: &str) -> Result<Secret, Failure> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(format!("{name}: {error}")))?;
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let line = bytes.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
    // The rest is as secret as the line.
    drop(Secret::new(bytes));
    if u64::try_from(line.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(Failure::new(format!("{name}: longer than {MAX_BYTES} bytes")));
    }
    not_empty(Secret::new(line), name)
}

fn not_empty(secret: Secret, name: &str) -> Result<Secret, Failure> {
    if secret.expose().is_empty() {
        return Err(Failure::new(format!("{name} is empty")));
    }
    Ok(secret)
}

fn prompt(text: &str, instead: &str) -> Result<Secret, Failure> {
    let silence = Silence::begin();
    let asked = rpassword::prompt_password(text);
    drop(silence);
    let answer = asked.map_err(|error| {
        let what = text.trim_end_matches([':', ' ']);
        Failure::new(format!("there is no terminal at which to ask for the {what} ({error})"))
            .help(format!("give it by {instead}"))
    })?;
    not_empty(Secret::from(answer), "the answer")
}

/// The terminal does not show what is typed, from before the prompt stands there until this is dropped. Asking
/// alone would show what somebody types in the instant after the prompt.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Silence {
    /// `None` if there is no terminal; then there is nothing to show either.
    fn begin() -> Option<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let before = termios::tcgetattr(&terminal).ok()?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        silent.local_flags.insert(LocalFlags::ECHONL);
        termios::tcsetattr(&terminal, SetArg::TCSANOW, &silent).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}

fn prompt_twice(text: &str, instead: &str) -> Result<Secret, Failure> {
    let _silence = Silence::begin();
    let first = prompt(text, instead)?;
    let second = prompt("once more: ", instead)?;
    if first == second {
        Ok(first)
    } else {
        Err(Failure::new("the two are not the same; nothing was changed"))
    }
}

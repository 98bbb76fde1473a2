//! Private keys: what the broker can open, who else can, and whose they are.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use pkcs8::{EncryptedPrivateKeyInfoRef, pkcs5::EncryptionScheme};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

use super::{Code, Exam, Finding, authority, pem::Cert, reach};
use crate::{diag::shell_path, fs as files, mosquitto_conf::Directive, secret::Secret};

/// What a key file holds.
pub(super) enum KeyFile {
    /// No key.
    None,
    /// A key, and its SubjectPublicKeyInfo if its kind is known here.
    Plain(Option<Vec<u8>>),
    /// Opens with a passphrase only. What is weak about that, if anything is.
    Encrypted(Option<String>),
}

/// Fewer rounds than this are no hindrance.
const FEW_ROUNDS: u32 = 100_000;

pub(super) fn read(bytes: &Secret) -> KeyFile {
    let bytes = bytes.expose();
    let text = String::from_utf8_lossy(bytes);
    if let Some(start) = text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        let block = text.get(start..).unwrap_or_default();
        let der = der::pem::decode_vec(first_block(block).as_bytes()).map(|(_, der)| der).unwrap_or_default();
        return KeyFile::Encrypted(weakness(&der));
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        let weakness =
            "in the traditional format, where a single round of MD5 stands between a guess and the key";
        return KeyFile::Encrypted(Some(weakness.to_owned()));
    }
    match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(key) => {
            let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).ok();
            KeyFile::Plain(key.and_then(|key| key.public_key().map(|spki| spki.to_vec())))
        }
        Err(_) => KeyFile::None,
    }
}

/// Up to the end of the first PEM block.
fn first_block(text: &str) -> &str {
    let end = text.find("-----END ").and_then(|at| Some(at + text.get(at..)?.find('\n')?));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// des-EDE3-CBC in DER. SOURCE: RFC 8018 appendix B.2.2.
const TRIPLE_DES: &[u8] = b"\x06\x08\x2a\x86\x48\x86\xf7\x0d\x03\x07";

fn weakness(der: &[u8]) -> Option<String> {
    // The parser does not know it.
    if der.windows(TRIPLE_DES.len()).any(|window| window == TRIPLE_DES) {
        return Some("with DES".to_owned());
    }
    let sealed = EncryptedPrivateKeyInfoRef::try_from(der).ok()?;
    let EncryptionScheme::Pbes2(parameters) = &sealed.encryption_algorithm else {
        return Some("with PBES1, which is broken".to_owned());
    };
    let rounds = parameters.kdf.pbkdf2().map(|kdf| kdf.iteration_count)?;
    (rounds < FEW_ROUNDS).then(|| format!("with {rounds} rounds, which are quickly tried"))
}

impl Exam<'_> {
    /// The `keyfile` of a listener, and whether it is the key of that certificate.
    pub(super) fn key(&mut self, line: &Directive, leaf: Option<(&Cert, &Directive)>) {
        let path = Path::new(&line.value);
        let Some(bytes) = self.read(line, path).map(Secret::new) else { return };
        let place = self.setup.place(line);
        match read(&bytes) {
            KeyFile::None => {
                let found = Finding::error(
                    Code::NotAKey,
                    format!("the broker does not start: there is no private key in `{}`", path.display()),
                )
                .help(format!("`{}` names a file that begins with `-----BEGIN PRIVATE KEY-----`, or EC or RSA PRIVATE KEY", line.key));
                self.push(found.at(place));
            }
            KeyFile::Encrypted(_) => {
                let message = format!(
                    "`{}` opens only with a passphrase: Mosquitto asks for it at each start, and ends where nobody is there to type it",
                    path.display()
                );
                let shown = shell_path(path);
                let found = Finding::error(Code::KeyPassphrase, message)
                    .help(format!("take the passphrase off: `sudo openssl pkey -in {shown} -out {shown}.plain && sudo mv {shown}.plain {shown}`"))
                    .help(format!("then only root and the broker may read it: `sudo chgrp {0} {shown} && sudo chmod 640 {shown}`", self.setup.user.group()));
                self.push(found.at(place));
            }
            KeyFile::Plain(public) => {
                self.readers(line, path);
                let (Some(public), Some((leaf, certificate))) = (public, leaf) else { return };
                if leaf.public_key().is_some_and(|own| own != public) {
                    let message = format!(
                        "`{}` is not the key of the certificate in `{}`: no client gets through the handshake",
                        path.display(),
                        certificate.value.trim_end()
                    );
                    let found = Finding::error(Code::KeyMismatch, message).help(
                        match self.owner_of(path, leaf) {
                            Some(key) => format!("the key of that certificate is {key}: write `{} {key}`", line.key),
                            None => "put the two files there that were made together; `openssl x509 -noout -pubkey -in CERTIFICATE` and `openssl pkey -pubout -in KEY` print the same for a pair".to_owned(),
                        },
                    );
                    self.push(found.at(self.setup.place(line)));
                }
            }
        }
    }

    /// Who else can read a private key.
    pub(super) fn readers(&mut self, line: &Directive, path: &Path) {
        let Ok(found) = fs::metadata(path) else { return };
        if found.mode() & 0o004 == 0 {
            return;
        }
        let message = format!(
            "everybody on this machine can read the private key `{}` ({}) and pass for the broker",
            path.display(),
            reach::access(&found)
        );
        let found = self.let_in(Finding::error(Code::KeyReadable, message), path, 0o640);
        self.push(found.at(self.setup.place(line)));
    }

    /// The key beside `path` that fits a certificate.
    fn owner_of(&self, path: &Path, leaf: &Cert) -> Option<String> {
        let wanted = leaf.public_key()?;
        let folder = path.parent()?;
        super::folder::names(folder).into_iter().map(|name| folder.join(name)).find_map(|other| {
            let bytes = Secret::new(files::read_bytes(&other, authority::KEY_BYTES).ok()?);
            matches!(read(&bytes), KeyFile::Plain(Some(public)) if public == wanted)
                .then(|| other.display().to_string())
        })
    }
}

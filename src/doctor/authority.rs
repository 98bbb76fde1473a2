//! The authorities in a `cafile`, and what of theirs has no business on a broker.

use std::path::{Path, PathBuf};

use super::{
    Code, Exam, Finding, certificate, folder,
    key::{self, KeyFile},
    pem::Cert,
    setup::is_made_by_us,
};
use crate::{diag::shell_path, fs as files, mosquitto_conf::Directive, secret::Secret};

/// Larger than any key.
pub(super) const KEY_BYTES: u64 = 64 * 1024;

/// For an authority that was taken over.
const NEXT_ONE: &str = "it was taken over as it is; the next one has no such fault, and is made beside it: sudo citronella ca rollover";

impl Exam<'_> {
    /// What is wrong with the authorities that a listener believes.
    pub(super) fn authorities(&mut self, line: &Directive, authorities: &[Cert]) {
        let place = self.setup.place(line);
        let path = Path::new(&line.value);
        if authorities.iter().all(|cert| !cert.is_authority()) {
            let name = authorities.first().map_or("nobody", |cert| cert.name());
            let message = format!(
                "`{}` holds the certificate of `{name}`, which is no authority: every client is refused",
                path.display()
            );
            let found = Finding::error(Code::NotAnAuthority, message)
                .help("`cafile` is the certificate of the authority that signed the devices' certificates");
            self.push(found.at(place));
            return;
        }
        for cert in authorities.iter().filter(|cert| cert.is_authority()) {
            let what = format!("the authority `{}`", cert.name());
            let own = is_made_by_us(line);
            let anew = if own { "ca rollover" } else { "init" };
            let help = [format!(
                "make a new one and give the devices certificates of it, before the old one ends: sudo citronella {anew}"
            )];
            self.validity(line, cert, (Code::CaExpired, &what, &help));
            self.authority_name(line, cert);
            if cert.view.version == 3 && cert.view.key_usage.is_empty() {
                let message = format!(
                    "{what} does not say what its key is for, as `openssl req -x509` leaves it: strict clients refuse what it signs"
                );
                let found = Finding::warning(Code::CaWithoutKeyUsage, message);
                let found = if own {
                    found.help(NEXT_ONE)
                } else {
                    found.help("make one with `-addext keyUsage=critical,keyCertSign,cRLSign`, or with `sudo citronella init`")
                };
                self.push(found.at(self.setup.place(line)));
            }
            let root_is_here = authorities.iter().any(|other| other.is_named_by(cert));
            if !cert.view.self_issued && !root_is_here {
                let message = format!(
                    "{what} stands here without `{}`, which signed it: the broker refuses every client",
                    cert.view.issuer
                );
                let found = Finding::error(Code::CaIncomplete, message).help(format!(
                    "append the certificate of the one above: `cat ROOT.crt | sudo tee -a {}`",
                    shell_path(path)
                ));
                self.push(found.at(self.setup.place(line)));
            }
        }
        self.left_behind(line, path, authorities);
    }

    fn authority_name(&mut self, line: &Directive, cert: &Cert) {
        let name = cert.name();
        let host = name.contains('.') && !name.contains([' ', '/']) || name == "localhost";
        if host {
            let message = format!(
                "the authority is called `{name}`, like a host: its certificate and that of the host are easily taken for each other"
            );
            let found = Finding::warning(Code::CaNamedLikeHost, message);
            let found = if is_made_by_us(line) {
                found.help(NEXT_ONE)
            } else {
                found.help(
                    "call an authority after the house or the firm: sudo citronella init --authority 'Rossi'",
                )
            };
            self.push(found.at(self.setup.place(line)));
        }
        if cert.view.subject.contains("emailAddress=") || cert.view.subject.contains("Email=") {
            let message = format!(
                "the authority shows an e-mail address to everybody who connects: `{}`",
                cert.view.subject
            );
            let found = Finding::warning(Code::EmailInName, message);
            let found = if is_made_by_us(line) {
                found.help(NEXT_ONE)
            } else {
                found.help("leave it empty the next time you make an authority; `sudo citronella init` asks for none")
            };
            self.push(found.at(self.setup.place(line)));
        }
    }

    /// An authority's key beside its certificate, and the file in which `openssl -CAcreateserial` counts.
    fn left_behind(&mut self, line: &Directive, path: &Path, authorities: &[Cert]) {
        let Some(folder) = path.parent() else { return };
        for name in folder::names(folder).iter().filter(|name| name.ends_with(".srl")) {
            let file = folder.join(name);
            let message = format!(
                "`{}` is all that is known of what this authority has signed: nobody can say which certificates are out, or take one back",
                file.display()
            );
            let found = Finding::warning(Code::SerialFile, message)
                .help("`sudo citronella init` makes an authority that keeps a record, and `citronella cert revoke` takes one back")
                .help(format!("once no device shows a certificate of the old one: sudo rm {}", shell_path(&file)));
            self.push(found.at(self.setup.place(line)));
        }
        for (file, weakness) in keys_beside(path, authorities) {
            let open = weakness.is_none();
            let message = format!(
                "the authority's key lies on the broker, `{}`{}: whoever gets into this machine can make himself any device",
                file.display(),
                if open { ", and without a passphrase" } else { "" }
            );
            let found = if open {
                Finding::error(Code::CaKeyOnBroker, message)
            } else {
                Finding::warning(Code::CaKeyOnBroker, message)
            };
            let found = found
                .help(format!("the broker never needs it: move it to where you make certificates, or to a stick, `sudo mv {} /media/STICK/`", shell_path(&file)));
            self.push(found.at(self.setup.place(line)));
            if let Some(Some(weakness)) = weakness {
                let message = format!("the authority's key `{}` is encrypted {weakness}", file.display());
                let shown = shell_path(&file);
                let found = Finding::warning(Code::WeakKeyEncryption, message)
                    .help(format!("sudo openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000 -in {shown} -out {shown}.new && sudo mv {shown}.new {shown}"));
                self.push(found.at(self.setup.place(line)));
            }
        }
    }
}

/// Keys of these authorities that lie beside their certificate: `None` for one that is open, else what is weak about its
/// encryption, if anything is. Of an encrypted one only the name tells whose it is.
pub(super) fn keys_beside(path: &Path, authorities: &[Cert]) -> Vec<(PathBuf, Option<Option<String>>)> {
    let Some(folder) = path.parent() else { return Vec::new() };
    let public: Vec<Vec<u8>> =
        authorities.iter().filter(|cert| cert.is_authority()).filter_map(Cert::public_key).collect();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut keys = Vec::new();
    for name in folder::names(folder) {
        let file = folder.join(&name);
        if !name.ends_with(".key") && !name.ends_with(".pem") {
            continue;
        }
        let Ok(bytes) = files::read_bytes(&file, KEY_BYTES) else { continue };
        match key::read(&Secret::new(bytes)) {
            KeyFile::Plain(Some(own)) if public.contains(&own) => keys.push((file, None)),
            KeyFile::Encrypted(weakness) if name.ends_with(".key") && name.starts_with(&*stem) => {
                keys.push((file, Some(weakness)));
            }
            _ => {}
        }
    }
    keys
}

/// For [`super::crl`]: whether an authority signs devices itself: none that signed another one here does.
pub(super) fn issues_devices(authorities: &[Cert]) -> impl Iterator<Item = &Cert> {
    authorities.iter().filter(move |cert| {
        let signs_another = authorities
            .iter()
            .any(|other| other.is_authority() && !other.view.self_issued && cert.is_named_by(other));
        cert.is_authority() && !signs_another
    })
}

pub(super) use certificate::{day, days, is_ending};

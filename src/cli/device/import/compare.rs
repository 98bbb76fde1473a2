//! Whether a device that is registered is what its row says.

use std::collections::BTreeSet;

use citronella::{
    pki::{Authority, Kind},
    registry::{Certificates, Device},
    snapshot::Snapshot,
};
use jiff::Timestamp;

use crate::{
    device::{
        sheet::{Certificate, Row},
        view::roles,
    },
    shell,
};

/// How a registered device stands to its row.
pub(super) enum Standing {
    /// It is as the row says.
    There,
    /// It is, but for everything to connect with.
    Bare,
}

/// How a registered device stands to its row; if it is something else, in which way and what to do about it.
pub(super) fn compare(
    (snapshot, authority): (&Snapshot, Option<&Authority>),
    row: &Row,
    device: &Device,
) -> Result<Standing, (String, String)> {
    let name = device.name();
    let word = shell::name(name.as_str());
    if *name != row.name {
        let help = "names that differ in capital letters only are the same name".to_owned();
        return Err((format!("`{}` is registered as `{name}`", row.name), help));
    }
    let set = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    let own = set(roles(snapshot, device));
    let wanted = set(row.device.roles.iter().map(String::as_str).collect());
    let pairs = device.attributes().iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    let attributes: BTreeSet<(String, String)> = pairs.collect();
    let different = [
        ("roles", own != wanted),
        ("attributes", attributes != row.device.attributes.iter().cloned().collect()),
        ("`auth`", device.auth() != row.device.auth),
        ("state", device.state() != row.device.state),
    ];
    let different: Vec<&str> = different.iter().filter(|(_, found)| *found).map(|(what, _)| *what).collect();
    if !different.is_empty() {
        return Err((
            format!("`{name}` is registered already, with other {}", different.join(" and other ")),
            format!("`citronella device set {word}` changes it, `citronella device show {word}` shows it"),
        ));
    }
    let has = match device.certificates() {
        Certificates::Listed(listed) => {
            listed.iter().any(|certificate| !device.revoked().contains(&certificate.sha256))
        }
        // By the settings' default; only the ledger knows whether there is one.
        Certificates::Any => authority.is_some_and(|authority| {
            authority.valid(Kind::Device, name.as_str(), Timestamp::now()).next().is_some()
        }),
    };
    let lacks_certificate = match row.credentials.certificate {
        Certificate::None => false,
        Certificate::Own => !has,
        Certificate::Any => *device.certificates() != Certificates::Any,
    };
    let lacks_password = row.credentials.password && device.password().is_none();
    match (lacks_certificate, lacks_password) {
        (false, false) => Ok(Standing::There),
        _ if !has && device.password().is_none() && row.credentials.certificate != Certificate::Any => {
            Ok(Standing::Bare)
        }
        (true, _) => Err((
            format!("`{name}` is registered already, without such a certificate"),
            format!("`citronella cert issue {word}` makes one"),
        )),
        (false, true) => Err((
            format!("`{name}` is registered already, without a password"),
            format!("`citronella password generate {word}` makes one"),
        )),
    }
}

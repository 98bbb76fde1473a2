//! The authority and the broker's certificate, made or opened.

use std::{fs, path::Path};

use citronella::{
    doctor,
    pki::{self, Authority, BrokerName, BrokerRequest, Issued, Issuer, NewAuthority, Wildcards},
};
use jiff::Timestamp;

use super::Arguments;
use crate::{files::Wrote, output::Failure, passphrase::CaPassphrase, world::World};

/// The authority, with its key open only if it had to be.
pub(super) enum Opened {
    Locked(Authority, CaPassphrase),
    Unlocked(Issuer),
}

impl Opened {
    pub(super) fn of(world: &World, arguments: &Arguments) -> Result<(Self, Wrote), Failure> {
        let directory = world.pki();
        if directory.join("ca.crt").exists() {
            return Ok((
                Self::Locked(Authority::open(&directory)?, arguments.passphrase.clone()),
                Wrote::Kept,
            ));
        }
        let passphrase = arguments.passphrase.choose()?;
        let new = NewAuthority {
            subject: arguments.subject.clone().unwrap_or_default(),
            key: arguments.key,
            ..NewAuthority::new(&arguments.authority)
        };
        Ok((Self::Unlocked(Authority::init(&directory, &new, &passphrase, Timestamp::now())?), Wrote::New))
    }

    pub(super) fn get(&self) -> &Authority {
        match self {
            Self::Locked(authority, _) => authority,
            Self::Unlocked(issuer) => issuer.authority(),
        }
    }

    fn unlock(self) -> Result<Issuer, Failure> {
        match self {
            Self::Locked(authority, passphrase) => passphrase.unlock(authority),
            Self::Unlocked(issuer) => Ok(issuer),
        }
    }
}

pub(super) fn issue(
    authority: Opened,
    names: Vec<BrokerName>,
    arguments: &Arguments,
) -> Result<(Issued, Issuer), Failure> {
    let mut issuer = authority.unlock()?;
    let mut names = if names.is_empty() { pki::suggested() } else { names };
    names.extend(listened(arguments));
    let request =
        BrokerRequest { key: arguments.key, subject: arguments.subject.clone(), ..BrokerRequest::new(names) };
    let issued = issuer.issue_broker(&request, Timestamp::now())?;
    Ok((issued, issuer))
}

/// The names that were asked for; none if this machine's own are to be taken.
pub(super) fn wanted_names(arguments: &Arguments) -> Result<Vec<BrokerName>, Failure> {
    let mut names = Vec::new();
    for name in &arguments.names {
        names.push(BrokerName::parse(name, Wildcards::Refuse)?);
    }
    names.extend(arguments.addresses.iter().map(|address| BrokerName::Address(address.to_canonical())));
    Ok(names)
}

/// The address that the broker listens on, if clients can call it by that one only.
pub(super) fn listened(arguments: &Arguments) -> Option<BrokerName> {
    let address = arguments.listen.filter(|address| !address.is_unspecified())?;
    Some(BrokerName::Address(address.to_canonical()))
}

/// The names in the broker's certificate.
pub(super) fn broker_names(certificate: &Path) -> Result<Vec<String>, Failure> {
    let bytes = fs::read(certificate).map_err(|error| Failure::file(certificate, &error))?;
    let views = pki::inspect::certificates(&bytes)?;
    let names = views.first().map(|view| view.alternative_names.clone()).unwrap_or_default();
    Ok(names.iter().map(|name| name.split_once(':').map_or(&**name, |(_, name)| name).to_owned()).collect())
}

/// The broker's own certificate, DER.
pub(super) fn leaf(certificate: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = fs::read(certificate).map_err(|error| Failure::file(certificate, &error))?;
    let leaf = doctor::certificates(&bytes).into_iter().next();
    let none = || Failure::new(format!("{}: no certificate", certificate.display()));
    leaf.map(|leaf| leaf.der().to_vec()).ok_or_else(none)
}

//! Who may connect: the table of design section 4 as one pure function, and the shorter one for sessions that
//! were admitted before.
#![forbid(unsafe_code)]

use thiserror::Error;

use crate::{
    certificate::{Certificate, CertificateError},
    clock::UnixSeconds,
    config::{ClientIds, OnExpiry},
    diag::Quoted,
    ident::ANONYMOUS,
    password::{PasswordHash, VerifyError},
    registry::{Auth, Certificates, Device, Fingerprint, State},
    snapshot::Snapshot,
};

/// The certificate that came with the TLS connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presented<'a> {
    /// None: no TLS, not asked for, or the session is offline.
    None,
    /// One that the broker's TLS library accepted.
    Der(&'a [u8]),
    /// There is one, but it could not be had.
    Unreadable,
}

/// A certificate as it was read, or why it names nobody.
pub type Read = Result<Option<Certificate>, CertificateError>;

impl Presented<'_> {
    /// Reads it by these settings: most of what a log-in with a certificate costs, so once for each.
    ///
    /// # Errors
    ///
    /// It cannot be had, is malformed, or has no single valid name where the settings look for one.
    pub fn read(self, snapshot: &Snapshot) -> Read {
        match self {
            Presented::None => Ok(None),
            Presented::Unreadable => Err(CertificateError::Unreadable),
            Presented::Der(der) => Certificate::parse(der, &snapshot.settings().certificate).map(Some),
        }
    }
}

/// What a client shows.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The client identifier.
    pub client_id: &'a str,
    /// As sent; for a session that was admitted before, the name it was given.
    pub username: Option<&'a str>,
    /// Bytes.
    pub password: Option<&'a [u8]>,
    /// Of the TLS connection.
    pub certificate: Presented<'a>,
    /// The name that the session of this client id was given, if there is one.
    pub session_of: Option<&'a str>,
    /// The time.
    pub now: UnixSeconds,
}

/// Why a client is refused. `{}` is for the log; the client is told nothing of it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Refused<'s> {
    /// No certificate, no user name, and no `[anonymous]` block.
    #[error("neither a certificate nor a user name, and the configuration has no [anonymous]")]
    Anonymous,
    /// A password for nobody.
    #[error("a password without a user name")]
    PasswordWithoutName,
    /// The certificate names nobody, or not in a way that is taken.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate is one device's, the user name another's.
    #[error("the certificate names {}, the user name says otherwise", Quoted(.certificate))]
    OtherName {
        /// The name in the certificate.
        certificate: String,
    },
    /// Nobody of that name is registered.
    #[error("no device is called {}", Quoted(.name))]
    Unknown {
        /// As sent, or as in the certificate.
        name: String,
    },
    /// The device is switched off.
    #[error("the device is {0}")]
    State(State),
    /// Not among the device's certificates.
    #[error("certificate {fingerprint} is not one of the device's")]
    NotListed {
        /// Of the leaf.
        fingerprint: Fingerprint,
    },
    /// Revoked in the registry.
    #[error("certificate {fingerprint} is revoked")]
    Revoked {
        /// Of the leaf.
        fingerprint: Fingerprint,
    },
    /// Before its time, or the clock is wrong.
    #[error("the certificate is not valid yet; is this machine's clock right?")]
    NotYetValid,
    /// After its time.
    #[error("the certificate has expired")]
    Expired,
    /// `auth = "certificate"` or `"both"`.
    #[error("the device must show a certificate")]
    CertificateMissing,
    /// `auth = "password"` or `"both"`, or a user name alone.
    #[error("the device must give a password")]
    PasswordMissing,
    /// A password was given and there is nothing to compare it with.
    #[error("the device has no password")]
    NoPassword,
    /// Another password.
    #[error("wrong password")]
    WrongPassword,
    /// The hash could not be computed.
    #[error("the password could not be checked: {0}")]
    Unverifiable(VerifyError),
    /// The client id is reserved (design section 6).
    #[error("the client id belongs to device `{owner}`")]
    ClientId {
        /// The longest registered name that the id begins with.
        owner: &'s str,
    },
    /// Whoever uses a client id takes over its session.
    #[error("the session of this client id belongs to {}", Quoted(.owner))]
    SessionOf {
        /// The name that the session was given.
        owner: String,
    },
    /// `client_id = "device"`: the id must begin with the device's own name.
    #[error("the client id must be the device's name, or begin with it and one of `: - _ . /`")]
    ForeignClientId,
    /// The files changed while the client was being judged.
    #[error("what it showed has been withdrawn just now")]
    Changed,
    /// The broker lost the name that it was given.
    #[error("the session has no user name")]
    NoName,
}

/// What is still open about a client, when all but its password was judged.
#[derive(Clone, Copy)]
pub enum Judged<'s> {
    /// Nothing: it is known by this name from now on, a device's or [`ANONYMOUS`].
    Admit(&'s str),
    /// Its password has to fit this hash of this device.
    Verify(&'s Device, &'s PasswordHash),
}

/// Whether a new client may connect, but for the password, which takes time to compare.
///
/// # Errors
///
/// Why not. Whoever gave a password should not learn that by the clock: see [`Snapshot::costliest_hash`].
pub fn judge<'s>(snapshot: &'s Snapshot, login: &Login<'_>) -> Result<Judged<'s>, Refused<'s>> {
    judge_read(snapshot, login, &login.certificate.read(snapshot))
}

/// The same for whoever needs the certificate afterwards, too: `read` is that of `login`.
///
/// # Errors
///
/// As [`judge`].
pub fn judge_read<'s>(
    snapshot: &'s Snapshot,
    login: &Login<'_>,
    read: &Read,
) -> Result<Judged<'s>, Refused<'s>> {
    let device = identify(snapshot, login, read.as_ref().map_err(Clone::clone)?.as_ref())?;
    check_client_id(snapshot, login.client_id, device)?;
    let judged = match (device, login.password) {
        (None, _) => Judged::Admit(ANONYMOUS),
        (Some(device), None) => Judged::Admit(device.name().as_str()),
        (Some(device), Some(_)) => device_password(device)?,
    };
    check_session(snapshot, login, device)?;
    Ok(judged)
}

fn device_password(device: &Device) -> Result<Judged<'_>, Refused<'_>> {
    device.password().map(|hash| Judged::Verify(device, hash)).ok_or(Refused::NoPassword)
}

/// Everything but the password itself: which device this is, `None` for anonymous.
fn identify<'s>(
    snapshot: &'s Snapshot,
    login: &Login<'_>,
    certificate: Option<&Certificate>,
) -> Result<Option<&'s Device>, Refused<'s>> {
    let Some(certificate) = certificate else {
        let Some(name) = login.username else {
            return match (login.password, snapshot.admits_anonymous()) {
                (Some(_), _) => Err(Refused::PasswordWithoutName),
                (None, true) => Ok(None),
                (None, false) => Err(Refused::Anonymous),
            };
        };
        let device = usable(snapshot, name)?;
        return match (device.auth(), login.password) {
            (Auth::Certificate | Auth::Both, _) => Err(Refused::CertificateMissing),
            (Auth::Any | Auth::Password, None) => Err(Refused::PasswordMissing),
            (Auth::Any | Auth::Password, Some(_)) => Ok(Some(device)),
        };
    };
    if login.username.is_some_and(|name| name != certificate.name) {
        return Err(Refused::OtherName { certificate: certificate.name.clone() });
    }
    let device = usable(snapshot, &certificate.name)?;
    check_certificate(device, certificate, login.now)?;
    match (device.auth(), login.password) {
        (Auth::Password | Auth::Both, None) => Err(Refused::PasswordMissing),
        _ => Ok(Some(device)),
    }
}

/// Whether a session that was admitted before may stay. It is asked again after each SIGHUP, offline sessions
/// included: those have no certificate, and after a restart of the broker no password either. What is there
/// is judged, and the device must still be wanted.
///
/// # Errors
///
/// Why it must go.
pub fn still_welcome<'s>(snapshot: &'s Snapshot, login: &Login<'_>) -> Result<Judged<'s>, Refused<'s>> {
    let name = login.username.ok_or(Refused::NoName)?;
    if name == ANONYMOUS {
        check_client_id(snapshot, login.client_id, None)?;
        return if snapshot.admits_anonymous() {
            Ok(Judged::Admit(ANONYMOUS))
        } else {
            Err(Refused::Anonymous)
        };
    }
    let device = usable(snapshot, name)?;
    if let Some(certificate) = login.certificate.read(snapshot)? {
        if certificate.name != name {
            return Err(Refused::OtherName { certificate: certificate.name });
        }
        match check_certificate(device, &certificate, login.now) {
            // It was good when the session began.
            Err(Refused::Expired) if snapshot.settings().on_expiry == OnExpiry::Keep => {}
            checked => checked?,
        }
    }
    check_client_id(snapshot, login.client_id, Some(device))?;
    match login.password {
        None => Ok(Judged::Admit(device.name().as_str())),
        Some(_) => device_password(device),
    }
}

/// What a client showed when it was admitted, as far as it can lose its worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shown {
    /// Of the certificate, and when that ends.
    pub certificate: Option<(Fingerprint, UnixSeconds)>,
    /// Stands for the hash that its password fitted.
    pub password: Option<u64>,
}

/// Whether who was admitted under this name would be admitted with the same now. `mark` tells what stands for a hash.
#[must_use]
pub fn still_holds(
    snapshot: &Snapshot,
    (name, shown): (&str, &Shown),
    now: UnixSeconds,
    mark: impl Fn(&PasswordHash) -> u64,
) -> bool {
    if name == ANONYMOUS {
        return snapshot.admits_anonymous();
    }
    let Ok(device) = usable(snapshot, name) else { return false };
    let certificate =
        shown.certificate.is_none_or(|(fingerprint, _)| registered(device, fingerprint).is_ok());
    let expired = expiry(snapshot, (name, shown)).is_some_and(|last| now > last);
    let password = shown.password.is_none_or(|known| device.password().map(mark) == Some(known));
    let enough = match device.auth() {
        Auth::Any => true,
        Auth::Certificate => shown.certificate.is_some(),
        Auth::Password => shown.password.is_some(),
        Auth::Both => shown.certificate.is_some() && shown.password.is_some(),
    };
    certificate && !expired && password && enough
}

/// The last second of what was shown; nothing if it never ends, or may be outlived.
#[must_use]
pub fn expiry(snapshot: &Snapshot, (name, shown): (&str, &Shown)) -> Option<UnixSeconds> {
    if snapshot.settings().on_expiry == OnExpiry::Keep {
        return None;
    }
    let (fingerprint, last) = shown.certificate?;
    let device = snapshot.device(name)?;
    let registered_until = registered(device, fingerprint).ok().flatten();
    Some(registered_until.map_or(last, |until| until.min(last)))
}

/// The device of that name, if it may connect at all.
fn usable<'s>(snapshot: &'s Snapshot, name: &str) -> Result<&'s Device, Refused<'s>> {
    let device = snapshot.device(name).ok_or_else(|| Refused::Unknown { name: name.to_owned() })?;
    match device.state() {
        State::Active | State::Quarantined => Ok(device),
        State::Disabled | State::Retired => Err(Refused::State(device.state())),
    }
}

/// Until when the device's entry lets it show this certificate; `None` for as long as the certificate lasts.
fn registered(device: &Device, fingerprint: Fingerprint) -> Result<Option<UnixSeconds>, Refused<'static>> {
    if device.revoked().contains(&fingerprint) {
        return Err(Refused::Revoked { fingerprint });
    }
    match device.certificates() {
        Certificates::Any => Ok(None),
        Certificates::Listed(listed) => {
            let found = listed.iter().find(|listed| listed.sha256 == fingerprint);
            Ok(found.ok_or(Refused::NotListed { fingerprint })?.not_after)
        }
    }
}

fn check_certificate(
    device: &Device,
    certificate: &Certificate,
    now: UnixSeconds,
) -> Result<(), Refused<'static>> {
    let registered_until = registered(device, certificate.fingerprint)?;
    // The broker judges dates at the handshake only, and 2.1 can be told not to.
    if now < certificate.not_before {
        return Err(Refused::NotYetValid);
    }
    if now > certificate.not_after || registered_until.is_some_and(|last| now > last) {
        return Err(Refused::Expired);
    }
    Ok(())
}

/// Whether this device, or nobody in particular, may use this client id.
fn check_client_id<'s>(
    snapshot: &'s Snapshot,
    client_id: &str,
    device: Option<&Device>,
) -> Result<(), Refused<'s>> {
    let rule = snapshot.settings().client_ids;
    if rule == ClientIds::Any {
        return Ok(());
    }
    match (snapshot.owner_of_client_id(client_id), device) {
        (Some(owner), Some(device)) if owner.name() == device.name() => Ok(()),
        (Some(owner), _) => Err(Refused::ClientId { owner: owner.name().as_str() }),
        (None, Some(_)) if rule == ClientIds::Device => Err(Refused::ForeignClientId),
        (None, _) => Ok(()),
    }
}

/// Whether this device, or nobody in particular, may take over the session that is there under this client id.
///
/// Who was never admitted, is registered no longer or was anonymous holds no session against a device.
fn check_session(
    snapshot: &Snapshot,
    login: &Login<'_>,
    device: Option<&Device>,
) -> Result<(), Refused<'static>> {
    let Some(owner) = login.session_of.filter(|_| snapshot.settings().client_ids != ClientIds::Any) else {
        return Ok(());
    };
    if device.is_some_and(|device| device.name().as_str() == owner) || snapshot.device(owner).is_none() {
        return Ok(());
    }
    Err(Refused::SessionOf { owner: owner.to_owned() })
}

//! A password that waits to be compared, with all that is needed to judge its client once more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::super::{
    counters::Shown,
    event::{Peer, Presented},
    records::Comer,
};
use crate::{clock::UnixSeconds, login::Login, password::PasswordHash, secret::Secret};

/// What the answer is for.
pub(super) enum Purpose {
    /// If the password is right, this device is let in.
    Device(Box<str>),
    /// Nothing: the client is refused whatever the answer, which must take its time.
    Refuse {
        /// What it calls itself.
        name: Box<str>,
        /// Why.
        reason: String,
    },
}

/// Whose password it is, for those who are told of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Applicant {
    /// As the client gave it.
    given_id: Box<str>,
    /// As the client gave it.
    pub(super) username: Option<Box<str>>,
    pub(super) peer: Peer,
    certificate: Shown,
}

impl Applicant {
    /// What is told of the client.
    pub(super) fn comer(&self) -> Comer<'_> {
        Comer {
            username: self.username.as_deref(),
            client_id: &self.given_id,
            peer: self.peer,
            certificate: self.certificate,
            password: Shown::Yes,
        }
    }
}

/// A client's credentials, copied: the broker's own do not outlive the event.
pub(super) struct Question {
    /// Which of the questions with this client id it is; `None` if nobody waits for the answer.
    pub(super) ticket: Option<u64>,
    /// Under which the client waits.
    pub(super) client_id: Box<str>,
    pub(super) applicant: Applicant,
    pub(super) password: Secret,
    pub(super) certificate: Option<Box<[u8]>>,
    pub(super) purpose: Purpose,
    /// What the password is compared with.
    pub(super) hash: PasswordHash,
    /// What is computed after a wrong password, so that it takes as long as with the costliest hash.
    pub(super) decoy: Option<PasswordHash>,
    /// Of credentials that nobody waits with: the same ones are asked about once at a time.
    pub(super) mark: Option<u64>,
    /// Set when nobody waits for the answer any more.
    pub(super) cancel: Arc<AtomicBool>,
}

impl Question {
    /// Copies what the client showed.
    pub(super) fn new(
        login: &Login<'_>,
        peer: Peer,
        purpose: Purpose,
        (hash, decoy): (PasswordHash, Option<PasswordHash>),
    ) -> Self {
        Self {
            ticket: None,
            client_id: login.client_id.into(),
            applicant: Applicant {
                given_id: login.client_id.into(),
                username: login.username.map(Into::into),
                peer,
                certificate: login.certificate.into(),
            },
            password: Secret::new(login.password.unwrap_or_default().to_vec()),
            certificate: match login.certificate {
                Presented::Der(der) => Some(der.into()),
                // Who shows one that cannot be read is refused.
                Presented::None | Presented::Unreadable => None,
            },
            purpose,
            hash,
            decoy,
            mark: None,
            cancel: Arc::default(),
        }
    }

    /// The client as it was, to be judged now.
    pub(super) fn login<'q>(&'q self, session_of: Option<&'q str>) -> Login<'q> {
        Login {
            client_id: &self.client_id,
            username: self.applicant.username.as_deref(),
            password: Some(self.password()),
            certificate: self.certificate.as_deref().map_or(Presented::None, Presented::Der),
            session_of,
            now: UnixSeconds::now(),
        }
    }

    /// What is told of the client.
    pub(super) fn comer(&self) -> Comer<'_> {
        self.applicant.comer()
    }

    /// Where the client is.
    pub(super) fn peer(&self) -> Peer {
        self.applicant.peer
    }

    pub(super) fn password(&self) -> &[u8] {
        self.password.expose()
    }

    /// What it holds of the client's making, with what is kept of it among those who wait and for the refusal.
    pub(super) fn bytes(&self) -> usize {
        self.password().len()
            + 2 * (self.client_id.len() + self.applicant.given_id.len())
            + 4 * self.applicant.username.as_ref().map_or(0, |name| name.len())
            + self.certificate.as_ref().map_or(0, |der| der.len())
    }

    /// Whether nobody waits for the answer.
    pub(super) fn is_void(&self) -> bool {
        self.cancel.load(Ordering::Acquire)
    }

    /// One that is answered with no.
    #[cfg(test)]
    pub(super) fn of_test(address: std::net::Ipv4Addr) -> Self {
        let login = Login {
            client_id: "c",
            username: Some("d"),
            password: Some(b"wrong"),
            certificate: Presented::None,
            session_of: None,
            now: UnixSeconds::now(),
        };
        let hash = PasswordHash::decoy(crate::password::Kind::Sha512);
        let purpose = Purpose::Device("d".into());
        Self::new(&login, Peer::Address(address.into()), purpose, (hash, None))
    }
}

//! The authority: certificates for brokers and devices, and the record of them.
//!
//! One tier by default: a root whose encrypted key signs brokers and devices itself. Issuing goes
//! lock → reserve the serial in the ledger → sign → keep the certificate → ledger line → hand out, so a kill
//! between any two leaves something [`State`] has a word for, and doing it again completes it.
//!
//! ```text
//! Authority::open ──▶ list, revoke, find            no passphrase
//!      │ unlock(passphrase)
//!      ▼
//!   Issuer ──▶ issue_device, issue_broker ──▶ Issued ───────┬──▶ bundle::write
//!      └─────▶ certify_device(SigningRequest) ──▶ Certified ─┘
//! ```
//!
//! Knows devices' names, not policy. `x509-cert` builds; its own serials, dates and authority key ids are
//! not used (the last are wrong for an intermediate).

mod adopt;
mod anchor;
mod authority;
mod backup;
pub mod bundle;
mod certify;
mod create;
pub mod crl;
mod folder;
pub mod inspect;
mod issue;
mod key;
pub mod kit;
mod ledger;
mod life;
mod names;
mod profile;
mod public;
mod reason;
mod request;
mod rollover;
pub mod show;
mod sign;
mod store;
mod subject;
mod tasmota;
pub mod verify;
pub(crate) mod when;

pub use adopt::Adoption;
pub use authority::{Authority, AuthorityError, Revocation};
pub use create::NewAuthority;
pub use crl::{Crl, CrlError, CrlLife};
pub use issue::{BrokerRequest, Certified, DeviceRequest, IssueError, Issued, Issuer};
pub use key::{KeyError, KeyKind, PBKDF2_ITERATIONS, PrivateKey};
pub use ledger::{Entry, LedgerError, Recorded, Revoked, State};
pub use names::{BrokerName, BrokerNameError, DnsName, Wildcards, suggested};
pub use profile::{
    BROKER_DAYS, DEVICE_DAYS, ISSUING_DAYS, Kind, LONG_DAYS, LONG_ROOT_DAYS, Period, ROOT_DAYS,
};
pub use public::{PublicKeyError, PublicKind, SignatureError};
pub use reason::{Reason, UnknownReason};
pub use request::{MAX_REQUEST_BYTES, RequestError, SigningRequest};
pub use store::{DEFAULT_DIRECTORY, FileError};
pub use subject::{Subject, SubjectError, device_uri, fleet_domain};

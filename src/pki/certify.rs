//! From the ledger to the certificate and back, for one or many: serials reserved, signed, kept, recorded.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use der::Encode;

use super::{
    issue::{Certified, IssueError, Issuer, Job},
    ledger::Event,
    profile::{Kind, Period, Template},
    sign::{Ground, certificate_pem, fingerprint, fresh_serial, hex, sign},
    when,
};

/// What is signed, and what the ledger says of it.
struct Draft<'a> {
    template: Template,
    public: &'a [u8],
    serial: Vec<u8>,
    period: Period,
    shortened: bool,
    kind: Kind,
    name: String,
    at: jiff::Timestamp,
}

impl Issuer {
    /// `public` is the DER of a SubjectPublicKeyInfo.
    pub(super) fn certify(&mut self, job: Job<'_>, public: &[u8]) -> Result<Certified, IssueError> {
        self.certify_all([(job, public)])?.pop().ok_or(IssueError::Random)
    }

    /// The same for many, in their order. The ledger and the kept copies are on disk when this returns, flushed as
    /// often as for one.
    pub(super) fn certify_all<'a>(
        &mut self,
        jobs: impl IntoIterator<Item = (Job<'a>, &'a [u8])>,
    ) -> Result<Vec<Certified>, IssueError> {
        let jobs = jobs.into_iter().map(|(job, public)| self.draft(job, public));
        let mut drafts = jobs.collect::<Result<Vec<_>, _>>()?;
        let (store, ledger) = self.authority_mut().parts();
        let lock = store.lock()?;
        ledger.refresh()?;
        let mut reserved = HashSet::with_capacity(drafts.len());
        for draft in &mut drafts {
            let serial = fresh_serial(|serial| ledger.knows(serial) || reserved.contains(serial))?;
            reserved.insert(hex(&serial));
            draft.serial = serial.to_vec();
        }
        ledger.append_all(drafts.iter().map(Draft::reserved).collect(), &lock)?;

        let mut made = Vec::with_capacity(drafts.len());
        for draft in drafts {
            made.push(self.sign(draft)?);
        }
        let (store, ledger) = self.authority_mut().parts();
        let copies: Vec<(&str, &str)> =
            made.iter().map(|made| (made.serial.as_str(), made.leaf.as_str())).collect();
        store.keep(&copies, &lock)?;
        ledger.append_all(made.iter().map(Made::issued).collect(), &lock)?;
        let tail = self.authority().chain_tail();
        made.into_iter().map(|made| self.certified(made, tail)).collect()
    }

    fn draft<'a>(&self, job: Job<'_>, public: &'a [u8]) -> Result<Draft<'a>, IssueError> {
        let authority = self.authority();
        let (asked, period) = authority.period_for(job.days, job.now)?;
        let subject = authority.subject_for(job.subject, &job.common_name)?;
        let issuer_key_id = Some(authority.key_id().to_vec());
        let issuer = authority.subject().clone();
        Ok(Draft {
            template: Template { profile: job.profile, subject, issuer, issuer_key_id },
            public,
            serial: Vec::new(),
            period,
            shortened: period.not_after < asked.not_after,
            kind: job.kind,
            name: job.common_name,
            at: when::whole(job.now),
        })
    }

    fn sign(&self, draft: Draft<'_>) -> Result<Made, IssueError> {
        let Draft { template, public, serial, period, shortened, kind, name, at } = draft;
        let ground = Ground { serial: &serial, period, public };
        let certificate = sign(template, ground, self.key())?.to_der()?;
        let leaf = certificate_pem(&certificate)?;
        Ok(Made { serial: hex(&serial), certificate, leaf, period, shortened, kind, name, at })
    }

    fn certified(&self, made: Made, tail: &str) -> Result<Certified, IssueError> {
        let entry = self.authority().find(&made.serial).cloned().ok_or(IssueError::Random)?;
        let Made { certificate, mut leaf, period, shortened, .. } = made;
        leaf.push_str(tail);
        Ok(Certified { entry, certificate, period, shortened, pem: leaf })
    }
}

impl Draft<'_> {
    fn reserved(&self) -> Event {
        let (at, kind, name) = (self.at, self.kind, self.name.clone());
        Event::Reserved { at, serial: hex(&self.serial), kind, name }
    }
}

/// A certificate that is not on record yet.
struct Made {
    serial: String,
    certificate: Vec<u8>,
    leaf: String,
    period: Period,
    shortened: bool,
    kind: Kind,
    name: String,
    at: jiff::Timestamp,
}

impl Made {
    fn issued(&self) -> Event {
        let Period { not_before, not_after } = self.period;
        Event::Issued {
            at: self.at,
            serial: self.serial.clone(),
            sha256: fingerprint(&self.certificate),
            kind: self.kind,
            name: self.name.clone(),
            not_before,
            not_after,
        }
    }
}

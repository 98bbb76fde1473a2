//! Whether a certificate would be accepted, and if not, why.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use citronella::pki::{
    BrokerName, Wildcards,
    verify::{self, Fault, Purpose, Question},
};
use jiff::Timestamp;
use serde::Serialize;

use super::revoke::date;
use crate::{
    Answer,
    output::{Failure, Outcome, Output},
    world::World,
};

/// Which certificate, and what is asked of it.
#[derive(clap::Args)]
pub(crate) struct Verify {
    /// The certificate, PEM or DER; in PEM those between it and the root may follow
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What is trusted [default: the authority here]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// What it is for: broker or device
    #[arg(long, value_name = "PURPOSE", value_parser = purpose)]
    purpose: Option<Purpose>,
    /// A name or address by which devices call the broker
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The revocation list to go by
    #[arg(long, value_name = "FILE")]
    crl: Option<PathBuf>,
    /// A day (UTC) or time to judge for [default: now]
    #[arg(long, value_name = "DATE", value_parser = date)]
    at: Option<Timestamp>,
}

fn purpose(text: &str) -> Result<Purpose, String> {
    match text {
        "broker" => Ok(Purpose::Broker),
        "device" => Ok(Purpose::Device),
        _ => Err("it is broker or device".to_owned()),
    }
}

#[derive(Serialize)]
struct Verdict {
    accepted: bool,
    faults: Vec<Fault>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{}\n  = help: {} ({})", fault.message, fault.help, fault.code)?;
        }
        f.write_str(if self.accepted { "accepted" } else { "refused" })
    }
}

pub(super) fn verify(world: &World, output: &Output, asked: &Verify) -> Answer {
    let read = |path: &Path| fs::read(path).map_err(|error| Failure::file(path, &error));
    let certificates = |path: &Path| -> Result<Vec<Vec<u8>>, Failure> {
        verify::read(&read(path)?).ok_or_else(|| {
            Failure::new(format!("{}: this is no certificate, or a damaged one", path.display()))
        })
    };
    let chain = certificates(&asked.file)?;
    let trust = match &asked.ca {
        Some(path) => certificates(path)?,
        None => {
            let authority =
                world.authority().map_err(|failure| failure.help("or say what is trusted with --ca"))?;
            verify::read(authority.trust_pem().as_bytes()).unwrap_or_default()
        }
    };
    let name = asked.name.as_ref().map(|name| BrokerName::parse(name, Wildcards::Refuse)).transpose()?;
    let crl = asked.crl.as_deref().map(read).transpose()?;
    let question = Question {
        // Who asks for a name means a broker.
        purpose: asked.purpose.or(name.as_ref().map(|_| Purpose::Broker)),
        name: name.as_ref(),
        crl: crl.as_deref(),
        at: asked.at.unwrap_or_else(Timestamp::now),
    };
    let faults = verify::faults(&chain, &trust, &question);
    let verdict = Verdict { accepted: faults.is_empty(), faults };
    let outcome = if verdict.accepted { Outcome::Yes } else { Outcome::No };
    output.verdict(outcome, &verdict, &verdict)?;
    Ok(outcome)
}

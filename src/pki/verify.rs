//! Whether a certificate would be accepted, and if not, why in words and what to do about it.
//!
//! Says what brokers and clients say, and is stricter where the newer of them are: no name in the common name, no
//! version 1, no SHA-1.
#![forbid(unsafe_code)]

mod constraints;
mod purpose;
mod revocation;

use der::Decode as _;
use jiff::Timestamp;
use serde::Serialize;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate, pem::Pem};

use super::{
    inspect,
    names::BrokerName,
    public::{self, SignatureError},
};

/// Most certificates from a leaf to its root.
const MAX_DEPTH: usize = 8;
const UNKNOWN_ISSUER: &str = "unknown-issuer";
const SELF_SIGNED: &str = "self-signed";

/// What a certificate is to be used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// A broker shows it to devices.
    Broker,
    /// A device shows it to a broker.
    Device,
}

/// What is asked of a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What it is for; `None` asks nothing of its usages.
    pub purpose: Option<Purpose>,
    /// How clients call the broker.
    pub name: Option<&'a BrokerName>,
    /// PEM; `None` asks nobody about revocation.
    pub crl: Option<&'a [u8]>,
    /// When.
    pub at: Timestamp,
}

/// Something for which it would be refused.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Fault {
    /// Stable, for scripts: `expired`, `unknown-issuer`, …
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

fn fault(code: &'static str, message: impl Into<String>, help: &'static str) -> Fault {
    Fault { code, message: message.into(), help }
}

/// The DER of the certificates of a PEM text, or of the one that the DER is; `None` if there are none, or a damaged one.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let found: Vec<Vec<u8>> = if inspect::is_pem(bytes) {
        let blocks = Pem::iter_from_buffer(bytes).collect::<Result<Vec<_>, _>>().ok()?;
        blocks.into_iter().filter(|block| block.label == "CERTIFICATE").map(|block| block.contents).collect()
    } else {
        vec![bytes.to_vec()]
    };
    let sound = found.iter().all(|der| parse_x509_certificate(der).is_ok_and(|(rest, _)| rest.is_empty()));
    (sound && !found.is_empty()).then_some(found)
}

/// Everything for which the first certificate of `chain` would be refused by whoever trusts `trust`; both DER.
#[must_use]
pub fn faults(chain: &[Vec<u8>], trust: &[Vec<u8>], question: &Question<'_>) -> Vec<Fault> {
    // The reader takes some tags for others; what is signed is the same then, and yet strict readers refuse it.
    let strict = chain.iter().all(|der| x509_cert::Certificate::from_der(der).is_ok());
    let chain: Vec<X509Certificate<'_>> = parsed(chain);
    let trust: Vec<X509Certificate<'_>> = parsed(trust);
    let strict = strict && chain.iter().all(|found| found.signature_value.unused_bits == 0);
    let Some((leaf, between)) = chain.split_first() else {
        return vec![fault("damaged", "there is no certificate", "give the file that has it")];
    };
    let mut faults = Vec::new();
    if !strict {
        faults.push(fault("encoding", "it is not encoded as certificates must be", "have it issued anew"));
    }
    of_leaf(leaf, question, &mut faults);
    let mut below = leaf;
    let mut path = vec![leaf];
    let mut anchor = None;
    for depth in 0..=MAX_DEPTH {
        of_each(below, question.at, &mut faults);
        let trusted =
            trust.iter().any(|root| root.tbs_certificate.as_ref() == below.tbs_certificate.as_ref());
        if trusted {
            if constraints::is_self_issued(below) {
                return faults;
            }
            anchor = anchor.or(Some(below));
        }
        let (issuer, is_root) = match issuer_of(below, between, &trust) {
            Ok(found) => found,
            Err(found) => {
                let without_root = matches!(found.code, UNKNOWN_ISSUER | SELF_SIGNED);
                faults.push(anchor.filter(|_| without_root).map_or(found, partial_chain));
                return faults;
            }
        };
        // One that took over from itself does not count.
        let counted = path.iter().skip(1).filter(|found| !constraints::is_self_issued(found)).count();
        of_issuer(issuer, counted, &mut faults);
        if let Some(purpose) = question.purpose {
            purpose::of_issuer(issuer, purpose, &mut faults);
        }
        constraints::of_names(issuer, &path, &mut faults);
        if depth == 0
            && let Some(crl) = question.crl
        {
            revocation::of_leaf(leaf, issuer, (crl, question.at), &mut faults);
        }
        if is_root && issuer.subject().as_raw() == issuer.issuer().as_raw() {
            of_each(issuer, question.at, &mut faults);
            return faults;
        }
        below = issuer;
        path.push(issuer);
    }
    faults.push(fault(
        "too-long",
        "its chain does not end",
        "leave certificates out that do not belong to it",
    ));
    faults
}

fn parsed(list: &[Vec<u8>]) -> Vec<X509Certificate<'_>> {
    list.iter().filter_map(|der| parse_x509_certificate(der).ok()).map(|(_, found)| found).collect()
}

/// The issuer, and whether it is trusted by itself.
fn issuer_of<'a, 'der>(
    below: &X509Certificate<'_>,
    between: &'a [X509Certificate<'der>],
    trust: &'a [X509Certificate<'der>],
) -> Result<(&'a X509Certificate<'der>, bool), Fault> {
    let name = below.issuer();
    let named = |found: &&X509Certificate<'_>| found.subject().as_raw() == name.as_raw();
    let mut seen = None;
    for (candidate, trusted) in trust
        .iter()
        .filter(named)
        .map(|root| (root, true))
        .chain(between.iter().filter(named).map(|one| (one, false)))
    {
        let bits = &below.signature_value.data;
        let checked = public::check_signature(
            candidate.public_key(),
            &below.signature_algorithm,
            below.tbs_certificate.as_ref(),
            bits,
        );
        match checked {
            // A leaf that names itself leads nowhere.
            Ok(()) if trusted || candidate.tbs_certificate.as_ref() != below.tbs_certificate.as_ref() => {
                return Ok((candidate, trusted));
            }
            Ok(()) => {}
            Err(error) => seen = Some(error),
        }
    }
    let subject = below.subject();
    Err(match seen {
        Some(SignatureError::Algorithm(algorithm)) => fault(
            "weak-signature",
            format!("`{subject}` is signed with {algorithm}, which is not taken"),
            "have it issued anew",
        ),
        Some(SignatureError::Wrong) => fault(
            "bad-signature",
            format!(
                "`{subject}` is not signed by the `{name}` that is trusted, but by another one of that name"
            ),
            "the authority was made anew: trust its new certificate, or have this one issued anew",
        ),
        None if subject.as_raw() == name.as_raw() => fault(
            SELF_SIGNED,
            format!("`{subject}` is signed by itself, or has the authority's own subject"),
            "issue it by an authority, under another name than the authority's",
        ),
        None => fault(
            UNKNOWN_ISSUER,
            format!("`{subject}` was issued by `{name}`, which is not trusted and does not come with it"),
            "trust that authority's certificate, or send the certificates between them along",
        ),
    })
}

/// What is trusted does not reach up to a root.
fn partial_chain(trusted: &X509Certificate<'_>) -> Fault {
    let message = format!(
        "`{}` is trusted, but not the `{}` that issued it: clients that take a partial chain accept it, Mosquitto and \
         OpenSSL refuse it",
        trusted.subject(),
        trusted.issuer()
    );
    fault("partial-chain", message, "trust the root as well: put its certificate into the same file")
}

fn of_each(found: &X509Certificate<'_>, at: Timestamp, faults: &mut Vec<Fault>) {
    constraints::of_extensions(found, faults);
    let subject = found.subject();
    let second = at.as_second();
    if found.version().0 != 2 {
        let message =
            format!("`{subject}` is X.509 version {}, which many clients refuse", found.version().0 + 1);
        faults.push(fault("version", message, "issue it with extensions, as `citronella` does"));
    }
    if found.validity().not_after.timestamp() < second {
        let end = Timestamp::from_second(found.validity().not_after.timestamp()).unwrap_or_default();
        faults.push(fault(
            "expired",
            format!("`{subject}` expired on {end}"),
            "renew it; or is the clock right?",
        ));
    }
    if found.validity().not_before.timestamp() > second {
        let begin = Timestamp::from_second(found.validity().not_before.timestamp()).unwrap_or_default();
        let message = format!("`{subject}` is not valid before {begin}");
        faults.push(fault("not-yet-valid", message, "is the clock right?"));
    }
    if let Err(error) = public::judge(found.public_key()) {
        faults.push(fault(
            "weak-key",
            format!("`{subject}` is refused: {error}"),
            "issue it for a better key",
        ));
    }
}

fn of_issuer(found: &X509Certificate<'_>, below: usize, faults: &mut Vec<Fault>) {
    let subject = found.subject();
    let constraints = found.basic_constraints().ok().flatten();
    if !constraints.as_ref().is_some_and(|constraints| constraints.value.ca) {
        let message = format!("`{subject}` may not issue certificates (no CA:TRUE)");
        faults.push(fault("no-authority", message, "have it issued by an authority"));
    }
    let limit = constraints.and_then(|constraints| constraints.value.path_len_constraint);
    if limit.is_some_and(|limit| usize::try_from(limit).unwrap_or(usize::MAX) < below) {
        let message = format!("`{subject}` allows fewer authorities below it than there are (pathlen)");
        faults.push(fault("path-length", message, "issue it by an authority that is allowed there"));
    }
    if let Ok(Some(usage)) = found.key_usage()
        && !usage.value.key_cert_sign()
    {
        let message = format!("`{subject}` may not issue certificates (keyUsage without keyCertSign)");
        faults.push(fault("no-cert-sign", message, "make the authority anew"));
    }
}

fn of_leaf(leaf: &X509Certificate<'_>, question: &Question<'_>, faults: &mut Vec<Fault>) {
    if let Some(purpose) = question.purpose {
        purpose::of_leaf(leaf, purpose, faults);
    }
    let Some(name) = question.name else { return };
    let names: Vec<&GeneralName<'_>> = match leaf.subject_alternative_name() {
        Ok(Some(found)) => found.value.general_names.iter().collect(),
        _ => Vec::new(),
    };
    if names.is_empty() {
        let message = format!("it has no names that clients compare, so it is not good for `{name}`");
        faults.push(fault("no-names", message, "issue it with names: citronella broker issue --name …"));
    } else if !names.iter().any(|found| is_name(found, name)) {
        let all: Vec<String> = names.iter().map(|found| inspect::general_name(found)).collect();
        let message = format!("it is not good for `{name}`, but for {}", all.join(", "));
        faults.push(fault("name", message, "call the broker by one of these, or issue it for that name too"));
    }
}

fn is_name(found: &GeneralName<'_>, wanted: &BrokerName) -> bool {
    match (found, wanted) {
        (GeneralName::IPAddress(bytes), BrokerName::Address(std::net::IpAddr::V4(address))) => {
            *bytes == address.octets()
        }
        (GeneralName::IPAddress(bytes), BrokerName::Address(std::net::IpAddr::V6(address))) => {
            *bytes == address.octets()
        }
        (GeneralName::DNSName(text), BrokerName::Dns(name)) => {
            let (text, name) = (text.to_ascii_lowercase(), name.as_str());
            let under = text.strip_prefix("*").zip(name.find('.').and_then(|dot| name.get(dot..)));
            text == name || under.is_some_and(|(text, name)| text == name && text.matches('.').count() > 1)
        }
        _ => false,
    }
}

//! `citronella probe`: a conversation with the broker as a device has it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use citronella::{
    clock::UnixSeconds,
    diag::Visible,
    doctor::certificates,
    mqtt::Version,
    pki::inspect::CertificateView,
    probe::{Answer, Identity, IdentityError, Question, Reply, Target, probe},
    secret::Secret,
};
use serde::Serialize;

use super::{
    Answer as Outcomes,
    output::{Failure, Outcome, Output},
    passphrase,
    world::World,
};

const TIMEOUT_S: u64 = 10;

/// Talk to a broker as a device does: what TLS was agreed on, what the broker shows, whether it lets the client in, and
/// where it fails the cause
///
/// With a device's certificate (--from FOLDER, as `device add` writes it) or a password, or without. Without --cafile the
/// authority of this machine is used, if there is one. Nothing is changed; --publish sends an empty message that is not
/// kept.
///
/// Exits 0 when everything that was asked was allowed, 1 when not, 2 when it could not be tried.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  citronella probe mqtts://broker.lan --from thunder10\n  citronella probe mqtts://broker.lan --from thunder10 \\\n    --publish sensors/thunder10/x --subscribe 'cmd/thunder10/#'\n  citronella probe mqtts://broker.lan:8884 --cafile ca.crt \\\n    --username phone --password-file phone.txt\n  citronella probe wss://broker.lan:9001 --from thunder10"
)]
pub(crate) struct Arguments {
    /// The broker: mqtts://HOST[:PORT] or mqtt://HOST[:PORT]; over websockets wss://HOST[:PORT][/PATH] or ws://…
    #[arg(value_name = "URL")]
    url: Target,

    /// The folder of a device, with its certificate, its key and ca.crt
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["cert", "key"])]
    from: Option<PathBuf>,
    /// A device's certificate, with what stands between it and the authority
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The authority's certificate [default: of the folder, or of this machine]
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// File with the key's passphrase in its first line [env: CITRONELLA_KEY_PASSPHRASE has the passphrase itself]
    #[arg(long, value_name = "FILE")]
    key_passphrase_file: Option<PathBuf>,

    /// A user name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// File with its password in the first line
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// The client id [default: the device's name and `-probe`, which takes over nobody's session]
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,

    /// Publish an empty message to this topic
    #[arg(long, value_name = "TOPIC")]
    publish: Option<String>,
    /// Subscribe to this filter
    #[arg(long, value_name = "FILTER")]
    subscribe: Option<String>,

    /// How long each step may take
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT_S, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

pub(crate) fn run(world: &World, output: &Output, arguments: Arguments) -> Outcomes {
    let files = Files::of(world, &arguments)?;
    let password = arguments.password_file.as_deref().map(secret_line).transpose()?;
    if password.is_some() && !arguments.url.tls {
        output.warn("without TLS a password is sent to this machine only");
    }
    let trust = match &files.authority {
        Some(path) => {
            let trust = certificates(&read(path)?);
            if trust.is_empty() {
                return Err(Failure::new(format!("there is no certificate in {}", path.display())));
            }
            trust
        }
        None => Vec::new(),
    };
    let identity = match &files.pair {
        Some((certificate, key)) => Some(identity(certificate, key, &arguments)?),
        None => None,
    };
    let name = identity.as_ref().and_then(Identity::name).or(arguments.username.as_deref());
    let client_id = arguments.client_id.clone().or_else(|| name.map(|name| format!("{name}-probe")));
    let question = Question {
        target: arguments.url,
        trust,
        identity,
        username: arguments.username,
        password,
        client_id: client_id.unwrap_or_default(),
        publish: arguments.publish,
        subscribe: arguments.subscribe,
        timeout: Duration::from_secs(arguments.timeout),
        now: UnixSeconds::now(),
    };
    let answer = probe(&question);
    let outcome = if answer.cause.is_none() { Outcome::Yes } else { Outcome::No };
    output.result(&Shown { question: &question, answer: &answer }, &Json::of(&question, &answer))?;
    Ok(outcome)
}

/// Where the certificates are.
struct Files {
    authority: Option<PathBuf>,
    pair: Option<(PathBuf, PathBuf)>,
}

impl Files {
    fn of(world: &World, arguments: &Arguments) -> Result<Self, Failure> {
        let own = world.folder().join("tls/ca.crt");
        let mut files = Self { authority: own.is_file().then_some(own), pair: None };
        if let Some(folder) = &arguments.from {
            let ca = folder.join("ca.crt");
            files.authority = if ca.is_file() { Some(ca) } else { files.authority };
            files.pair = Some(pair(folder)?);
        }
        if let (Some(cert), Some(key)) = (&arguments.cert, &arguments.key) {
            files.pair = Some((cert.clone(), key.clone()));
        }
        if let Some(cafile) = &arguments.cafile {
            files.authority = Some(cafile.clone());
        }
        Ok(files)
    }
}

/// What `--from` takes.
const FROM: &str = "--from takes the folder that `citronella device add` wrote, with NAME.crt and NAME.key; --cert and --key name single files";

/// The one certificate and key in a device's folder.
fn pair(folder: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    let entries = fs::read_dir(folder).map_err(|error| Failure::file(folder, &error).help(FROM))?;
    let keys = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "key"));
    let mut keys: Vec<PathBuf> = keys.collect();
    keys.sort();
    match &*keys {
        [key] => Ok((key.with_extension("crt"), key.clone())),
        [] => Err(Failure::new(format!("there is no key in {}", folder.display())).help(FROM)),
        _ => Err(Failure::new(format!("there are several keys in {}", folder.display()))
            .help("name one with --cert and --key")),
    }
}

fn identity(certificate: &Path, key: &Path, arguments: &Arguments) -> Result<Identity, Failure> {
    let chain = read(certificate)?;
    let sealed = Secret::new(read(key)?);
    let passphrase = match &arguments.key_passphrase_file {
        Some(path) => Some(secret_line(path)?),
        None => {
            std::env::var_os("CITRONELLA_KEY_PASSPHRASE").map(|value| Secret::new(value.into_encoded_bytes()))
        }
    };
    let found = match Identity::from_pem(&chain, &sealed, passphrase.as_ref()) {
        Err(IdentityError::Encrypted) => {
            let asked = passphrase::of_key(&key.display().to_string())?;
            Identity::from_pem(&chain, &sealed, Some(&asked))
        }
        found => found,
    };
    found.map_err(|error| {
        let failure = Failure::new(format!("{} and {}: {error}", certificate.display(), key.display()));
        match error {
            IdentityError::Mismatch => failure.help(
                "put the two together that were made together; `openssl x509 -noout -pubkey -in CERTIFICATE` and `openssl pkey -pubout -in KEY` print the same for a pair",
            ),
            IdentityError::WrongPassphrase => {
                failure.help(passphrase::origin_of_key(arguments.key_passphrase_file.as_deref()))
            }
            IdentityError::NoKey => failure.help("a key begins with `-----BEGIN PRIVATE KEY-----`, or EC or RSA PRIVATE KEY"),
            _ => failure,
        }
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::file(path, &error))
}

fn secret_line(path: &Path) -> Result<Secret, Failure> {
    let file = fs::File::open(path).map_err(|error| Failure::file(path, &error))?;
    passphrase::read_line(file, &path.display().to_string())
}

struct Shown<'a> {
    question: &'a Question,
    answer: &'a Answer,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { question, answer } = self;
        write!(f, "{}", question.target)?;
        if let Some(address) = answer.address.filter(|_| !question.target.is_address()) {
            write!(f, " at {}", address.ip())?;
        }
        writeln!(f)?;
        if let Some(tls) = &answer.tls {
            write!(f, "  {:<12} {}, {}, in {:.1} ms", "TLS", tls.version, tls.suite, ms(tls.full))?;
            match tls.resumed {
                Some(resumed) => writeln!(f, ", resumed in {:.1} ms", ms(resumed))?,
                None => writeln!(f)?,
            }
        }
        for (at, view) in answer.chain.iter().enumerate() {
            writeln!(
                f,
                "  {:<12} {}",
                if at == 0 { "certificate" } else { "signed by" },
                Visible(&view.subject)
            )?;
            if at == 0 && !view.alternative_names.is_empty() {
                let names: Vec<&str> = view
                    .alternative_names
                    .iter()
                    .map(|name| name.split_once(':').map_or(&**name, |(_, name)| name))
                    .collect();
                writeln!(f, "  {:<12} {}", "good for", Visible(names.join(", ")))?;
            }
            writeln!(f, "  {:<12} {}, {}", "", until(view, question.now), Visible(&view.key))?;
        }
        if let Some(view) = answer.chain.last().filter(|view| !view.self_issued) {
            writeln!(f, "  {:<12} {}", "signed by", Visible(&view.issuer))?;
        }
        if answer.tls.is_some() {
            let name = question.identity.as_ref().and_then(Identity::name).unwrap_or("its own");
            let shown = match (answer.certificate_asked, answer.certificate_shown) {
                (false, _) if question.identity.is_some() => {
                    format!("not asked for, so that of {name} was not shown")
                }
                (false, _) => "not asked for".to_owned(),
                (true, false) if question.identity.is_some() => {
                    format!("asked for; that of {name} was not shown, because this broker is not believed")
                }
                (true, false) => "asked for, and none was given (--from, or --cert and --key)".to_owned(),
                (true, true) => format!("asked for, shown: {name}"),
            };
            writeln!(f, "  {:<12} {}", "client's", Visible(shown))?;
        }
        for (what, topic, reply) in [
            ("log-in", None, answer.login),
            ("subscribe", question.subscribe.as_deref(), answer.subscribe),
            ("publish", question.publish.as_deref(), answer.publish),
        ] {
            let Some(reply) = reply else { continue };
            let topic = topic.map(|topic| format!("{topic}: ")).unwrap_or_default();
            writeln!(f, "  {what:<12} {}{}", Visible(topic), word(reply))?;
        }
        match &answer.cause {
            Some(cause) => write!(f, "{cause}"),
            None => f.write_str("ok"),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn until(view: &CertificateView, now: UnixSeconds) -> String {
    let day = view.not_after.to_string();
    let day = day.split('T').next().unwrap_or_default();
    let days = (view.not_after.as_second() - now.0) / 86_400;
    if days < 0 { format!("until {day}, which has passed") } else { format!("until {day}, {days} days") }
}

fn word(reply: Reply) -> String {
    if reply.is_yes() { "yes".to_owned() } else { format!("no (code {:#04x})", reply.code) }
}

#[derive(Serialize)]
struct Json<'a> {
    url: String,
    address: Option<String>,
    tls: Option<JsonTls>,
    chain: &'a [CertificateView],
    certificate_asked: bool,
    certificate_shown: bool,
    mqtt: Option<&'static str>,
    login: Option<u8>,
    subscribe: Option<u8>,
    publish: Option<u8>,
    cause: Option<JsonCause<'a>>,
}

#[derive(Serialize)]
struct JsonTls {
    version: &'static str,
    suite: String,
    full_ms: f64,
    resumed_ms: Option<f64>,
}

#[derive(Serialize)]
struct JsonCause<'a> {
    code: &'static str,
    message: &'a str,
    observed: &'a str,
    help: &'a [String],
}

impl<'a> Json<'a> {
    fn of(question: &Question, answer: &'a Answer) -> Self {
        let code = |reply: Option<Reply>| reply.map(|reply| reply.code);
        Self {
            url: question.target.to_string(),
            address: answer.address.map(|address| address.to_string()),
            tls: answer.tls.as_ref().map(|tls| JsonTls {
                version: tls.version,
                suite: tls.suite.clone(),
                full_ms: ms(tls.full),
                resumed_ms: tls.resumed.map(ms),
            }),
            chain: &answer.chain,
            certificate_asked: answer.certificate_asked,
            certificate_shown: answer.certificate_shown,
            mqtt: answer.login.map(|reply| if reply.version == Version::V5 { "5.0" } else { "3.1.1" }),
            login: code(answer.login),
            subscribe: code(answer.subscribe),
            publish: code(answer.publish),
            cause: answer.cause.as_ref().map(|cause| JsonCause {
                code: cause.code,
                message: &cause.message,
                observed: &cause.observed,
                help: &cause.help,
            }),
        }
    }
}

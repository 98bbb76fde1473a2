//! What is to be said about single devices: whether they can connect, and how safely.

use citronella::{
    clock::UnixSeconds,
    config::ClientIds,
    diag::Code,
    ident::MAX_COMMON_NAME_CHARS,
    password::Kind,
    registry::{Auth, Certificates, Device, State},
    snapshot::Snapshot,
};

use super::super::cited::{Cited, Warning};
use crate::{lack::Lack, shell};

/// A certificate that ends in so many days is to be renewed.
const RENEWAL_DAYS: i64 = 30;
const SECONDS_PER_DAY: i64 = 86_400;

/// Fewer iterations of `$7$` are weak. SOURCE: OWASP Password Storage Cheat Sheet, PBKDF2-HMAC-SHA512.
const LEAST_ITERATIONS: u32 = 210_000;

/// Memory in KiB and passes; argon2id with less than all of them is weak. SOURCE: as above, argon2id.
const LEAST_ARGON2: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

/// What software calls a client that nobody gave an id, up to the first `:`, `-`, `_`, `.` or `/`.
/// SOURCE: mosquitto_pub and the broker itself (`mosq-…`, `auto-…`), MQTT.js, MQTTX, MQTT.fx, Paho, Tasmota, and the
/// examples of PubSubClient and ESP-IDF.
const COMMON_CLIENT_IDS: [&str; 21] = [
    "mosq",
    "mosqpub",
    "mosqsub",
    "auto",
    "paho",
    "mqttjs",
    "mqttx",
    "MQTT",
    "mqtt",
    "esp32",
    "ESP32",
    "esp8266",
    "ESP8266",
    "ESP8266Client",
    "ESP32Client",
    "arduino",
    "arduinoClient",
    "DVES",
    "client",
    "python",
    "nodered",
];

/// All of it, in the order of the registry.
pub(super) fn warnings(snapshot: &Snapshot, devices: &[&Device], cited: &mut Cited) -> Vec<Warning> {
    let mut found = Vec::new();
    let now = UnixSeconds::now();
    for device in devices {
        if snapshot.settings().client_ids != ClientIds::Any {
            found.extend(swallows(device, cited));
        }
        if !matches!(device.state(), State::Active | State::Quarantined) {
            continue;
        }
        found.extend(trouble(device, cited));
        found.extend(weak_hash(device, cited));
        found.extend(ends(device, now, cited));
    }
    found
}

/// Why the device can never connect, and what to do about it.
fn trouble(device: &Device, cited: &mut Cited) -> Option<Warning> {
    let name = device.name().as_str();
    let lack = Lack::of(device);
    let too_long = name.chars().count() > MAX_COMMON_NAME_CHARS;
    let shows_certificate = match device.auth() {
        // Who lacks both can be given a password.
        Auth::Any => lack.is_none() && device.password().is_none(),
        Auth::Certificate | Auth::Both => true,
        Auth::Password => false,
    };
    if too_long && shows_certificate {
        let message = format!(
            "`{name}` has more than {MAX_COMMON_NAME_CHARS} characters, which no certificate can carry as its common name"
        );
        let warning = cited.device(Code::LongName, device, message);
        return Some(warning.help("give it a shorter name, or a password"));
    }
    let lack = lack?;
    let mended_by = if too_long { Lack::Password } else { lack };
    let help = mended_by.remedy("citronella", name);
    Some(cited.device(Code::NoCredentials, device, lack.sentence(name)).help(help))
}

/// A hash that whoever has a copy of the file tries out quickly.
fn weak_hash(device: &Device, cited: &mut Cited) -> Option<Warning> {
    let kind = device.password().filter(|_| !device.has_generated_password())?.kind();
    let why = match kind {
        Kind::Sha512 => {
            "`$6$`, one round of SHA-512: a copy of the file is enough to try billions".to_owned()
        }
        Kind::Pbkdf2 { iterations } if iterations < LEAST_ITERATIONS => {
            format!("`$7$` with {iterations} iterations, where {LEAST_ITERATIONS} are the least today")
        }
        Kind::Argon2id { memory_kib, passes, .. }
            if !LEAST_ARGON2.iter().any(|(kib, least)| memory_kib >= *kib && passes >= *least) =>
        {
            format!(
                "argon2id with {memory_kib} KiB and {passes} passes, where 19456 KiB and 2 passes are the least today"
            )
        }
        Kind::Pbkdf2 { .. } | Kind::Argon2id { .. } => return None,
    };
    let name = device.name();
    let message = format!("the hash of `{name}`'s password is {why}");
    let warning = match cited.user(name.as_str()) {
        Some(place) => cited.line(Code::WeakHash, (&place, name.as_str()), message),
        None => cited.key(Code::WeakHash, (device, "password"), message),
    };
    let word = shell::name(name.as_str());
    Some(warning.help(format!(
        "`citronella password set {word}` hashes it anew; `citronella password generate {word}` makes one that cannot be guessed"
    )))
}

/// A name that owns the client ids which software makes up for others.
fn swallows(device: &Device, cited: &mut Cited) -> Option<Warning> {
    let name = device.name();
    COMMON_CLIENT_IDS.contains(&name.as_str()).then(|| {
        let message = format!(
            "the name `{name}` owns every client id that begins with `{name}-`, as software makes them up for other devices"
        );
        cited
            .device(Code::CommonClientId, device, message)
            .help("give it a name that no software chooses by itself, as in `esp32-kitchen`")
    })
}

/// The last of its listed certificates has ended or soon will.
fn ends(device: &Device, now: UnixSeconds, cited: &mut Cited) -> Option<Warning> {
    let Certificates::Listed(listed) = device.certificates() else { return None };
    let good = listed.iter().filter(|listed| !device.revoked().contains(&listed.sha256));
    // One without a date may be good for ever.
    let ends = good.map(|listed| listed.not_after.ok_or(())).collect::<Result<Vec<_>, ()>>().ok()?;
    let last = ends.into_iter().max()?;
    let name = device.name();
    let (code, message) = if last < now {
        (Code::CertificateExpired, format!("the certificate of `{name}` expired at {last}"))
    } else if last.0 - now.0 < RENEWAL_DAYS * SECONDS_PER_DAY {
        let days = (last.0 - now.0) / SECONDS_PER_DAY;
        (Code::CertificateExpiring, format!("the certificate of `{name}` expires at {last}, in {days} days"))
    } else {
        return None;
    };
    let word = shell::name(name.as_str());
    let help =
        format!("`citronella cert issue {word}` issues the next; the old one stays good until it ends");
    Some(cited.key(code, (device, "certificates"), message).help(help))
}

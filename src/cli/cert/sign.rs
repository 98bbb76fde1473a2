//! Certifying a key that was made on the device.

use std::{fs::File, io::Read as _, path::PathBuf};

use citronella::{
    ident::DeviceName,
    pki::{MAX_REQUEST_BYTES, SigningRequest},
};

use super::{
    options::HandOver,
    order::{self, KeySource, Order},
};
use crate::{
    Answer,
    output::{Failure, Output},
    registry, shell,
    world::World,
};

/// A signing request, and whose it is.
#[derive(clap::Args)]
pub(crate) struct Sign {
    /// The signing request (PKCS#10), PEM or DER; - is standard input
    #[arg(value_name = "CSR")]
    request: PathBuf,
    /// The device [default: the request's common name]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    #[command(flatten)]
    hand_over: HandOver,
}

pub(super) fn sign(world: &World, output: &Output, sign: &Sign) -> Answer {
    let signing = read(&sign.request)?;
    let name = whose(world, &signing, sign.device.as_deref())?;
    for asked in signing.ignored() {
        output.say(&format_args!("not taken from the request: {asked}"));
    }
    order::hand_over((world, output), &name, &sign.hand_over.wait, |name| {
        Order::plan((world, output), name, &sign.hand_over, KeySource::Request(&signing))
    })
}

/// A request from a file or standard input, judged.
pub(super) fn read(path: &PathBuf) -> Result<SigningRequest, Failure> {
    let stdin = path.as_os_str() == "-";
    let mut bytes = Vec::new();
    // One more than is taken, so that too much is known as such.
    let limit = u64::try_from(MAX_REQUEST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let read = if stdin {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::file(path, &error))?;
    let shown = if stdin { "standard input".to_owned() } else { path.display().to_string() };
    SigningRequest::read(&bytes).map_err(|error| {
        Failure::new(format!("{shown}: {error}"))
            .help("on the device: openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout NAME.key -out NAME.csr -subj /CN=NAME")
    })
}

/// The registered device that the request is for.
fn whose(world: &World, signing: &SigningRequest, device: Option<&str>) -> Result<DeviceName, Failure> {
    match (device, signing.common_name()) {
        (None, None) => {
            Err(Failure::new("the signing request has no common name, so it does not say whose it is")
                .help("say it with --device NAME"))
        }
        (Some(device), Some(name)) if device != name => Err(Failure::new(format!(
            "the signing request is for `{name}`, not for `{device}`"
        ))
        .help(format!("sign it for the device that made it, or have `{device}` make its own request"))),
        (Some(name), _) | (None, Some(name)) => registry::existing(world, name).map_err(|failure| {
            failure.help(format!(
                "to register a device that makes its own key: {} device add --no-certificate {}",
                world.command(),
                shell::name(name)
            ))
        }),
    }
}

//! What a device would have to have before it can connect.

use citronella::registry::{Auth, Certificates, Device, State};

use super::{output::Output, shell, world::World};

/// What its `auth` asks for, and it has not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lack {
    /// A certificate or a password: either would do.
    Either,
    Certificate,
    Password,
}

impl Lack {
    /// Nothing if the device can connect, as far as that depends on what it shows.
    pub(crate) fn of(device: &Device) -> Option<Self> {
        let certificate = match device.certificates() {
            Certificates::Any => true,
            Certificates::Listed(listed) => !listed.is_empty(),
        };
        let password = device.password().is_some();
        match device.auth() {
            Auth::Any if !certificate && !password => Some(Self::Either),
            Auth::Certificate | Auth::Both if !certificate => Some(Self::Certificate),
            Auth::Password | Auth::Both if !password => Some(Self::Password),
            Auth::Any | Auth::Certificate | Auth::Password | Auth::Both => None,
        }
    }

    /// The trouble in one sentence, about a device that is or is to be called `name`.
    pub(crate) fn sentence(self, name: &str) -> String {
        let missing = match self {
            Self::Either => "neither a certificate nor a password",
            Self::Certificate => "no certificate, which its `auth` asks for",
            Self::Password => "no password, which its `auth` asks for",
        };
        format!("`{name}` cannot connect: it has {missing}")
    }

    /// What mends it; `command` is how Citronella is called here.
    pub(crate) fn remedy(self, command: &str, name: &str) -> String {
        let name = shell::name(name);
        let (certificate, password) =
            (format!("`{command} cert issue {name}`"), format!("`{command} password generate {name}`"));
        match self {
            Self::Either => format!("{certificate} or {password} gives it one"),
            Self::Certificate => format!("{certificate} gives it one"),
            Self::Password => format!("{password} gives it one"),
        }
    }
}

/// Warns of a device that would be let in if it had something to show.
pub(crate) fn warn(world: &World, output: &Output, device: Option<&Device>) {
    if let Some(device) = device
        && matches!(device.state(), State::Active | State::Quarantined)
        && let Some(lack) = Lack::of(device)
    {
        let name = device.name().as_str();
        output.warn(&format!("{}; {}", lack.sentence(name), lack.remedy(&world.command(), name)));
    }
}

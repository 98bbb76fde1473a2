//! A device, or a list of them, as people and scripts read it.

use std::{collections::BTreeMap, fmt};

use citronella::{
    registry::{Certificates, Device},
    snapshot::Snapshot,
};
use serde::Serialize;

use crate::{output::Failure, registry};

/// A device for people and for scripts.
#[derive(Serialize)]
pub(super) struct View<'a> {
    pub(super) name: &'a str,
    state: String,
    roles: Vec<&'a str>,
    attributes: BTreeMap<&'a str, &'a str>,
    auth: String,
    /// Those that are listed; none if any is accepted.
    certificates: Vec<ViewCertificate>,
    any_certificate: bool,
    revoked: Vec<String>,
    password: Option<&'static str>,
    place: String,
}

#[derive(Serialize)]
struct ViewCertificate {
    sha256: String,
    serial: Option<String>,
    not_after: Option<String>,
}

/// What the snapshot knows of the device; an error if there is none.
pub(super) fn view<'a>(snapshot: &'a Snapshot, name: &str) -> Result<View<'a>, Failure> {
    let device = snapshot.device(name).ok_or_else(|| registry::unknown(snapshot, name))?;
    let (any_certificate, listed) = match device.certificates() {
        Certificates::Any => (true, [].as_slice()),
        Certificates::Listed(listed) => (false, &**listed),
    };
    let password =
        device.password().map(|_| if device.has_generated_password() { "generated" } else { "chosen" });
    Ok(View {
        name: device.name().as_str(),
        state: device.state().to_string(),
        roles: roles(snapshot, device),
        attributes: device.attributes().iter().collect(),
        auth: device.auth().to_string(),
        certificates: listed
            .iter()
            .map(|certificate| ViewCertificate {
                sha256: certificate.sha256.to_string(),
                serial: certificate.serial.as_deref().map(str::to_owned),
                not_after: certificate.not_after.map(|time| time.to_string()),
            })
            .collect(),
        any_certificate,
        revoked: device.revoked().iter().map(ToString::to_string).collect(),
        password,
        place: device.place().to_string(),
    })
}

/// The names of its roles.
pub(super) fn roles<'a>(snapshot: &'a Snapshot, device: &Device) -> Vec<&'a str> {
    device.roles().iter().map(|role| snapshot.roles().name(*role)).collect()
}

impl fmt::Display for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  ({})", self.name, self.place)?;
        writeln!(f, "  state         {}", self.state)?;
        writeln!(f, "  roles         {}", or_none(&self.roles.join(", ")))?;
        for (name, value) in &self.attributes {
            writeln!(f, "  attr.{name:<8} {value}")?;
        }
        let shows = if self.auth == "any" { "a certificate or a password" } else { &self.auth };
        writeln!(f, "  must show     {shows}")?;
        if self.any_certificate {
            writeln!(f, "  certificates  any that the authority signed for this name")?;
        } else if self.certificates.is_empty() {
            writeln!(f, "  certificates  none")?;
        }
        for certificate in &self.certificates {
            let until =
                certificate.not_after.as_deref().map(|time| format!(", until {time}")).unwrap_or_default();
            writeln!(
                f,
                "  certificate   {}{until}",
                certificate.serial.as_deref().unwrap_or(&certificate.sha256)
            )?;
        }
        for revoked in &self.revoked {
            writeln!(f, "  revoked       {revoked}")?;
        }
        write!(f, "  password      {}", self.password.unwrap_or("none"))
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// Several, one in each line.
pub(super) struct Table<'a>(pub(super) &'a [View<'a>]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no devices");
        }
        let width = self.0.iter().map(|view| view.name.chars().count()).max().unwrap_or_default().max(4);
        write!(f, "{:<width$}  {:<11}  {:<24}  CREDENTIALS", "NAME", "STATE", "ROLES")?;
        for view in self.0 {
            let certificates = match (view.any_certificate, view.certificates.len()) {
                (true, _) => "any certificate".to_owned(),
                (false, 0) => String::new(),
                (false, 1) => "1 certificate".to_owned(),
                (false, count) => format!("{count} certificates"),
            };
            let password = view.password.map(|_| "password").unwrap_or_default();
            let both = [&*certificates, password]
                .iter()
                .filter(|text| !text.is_empty())
                .copied()
                .collect::<Vec<_>>();
            let (roles, credentials) = (view.roles.join(","), both.join(" and "));
            write!(f, "\n{:<width$}  {:<11}  {roles:<24}  {}", view.name, view.state, or_none(&credentials))?;
        }
        Ok(())
    }
}

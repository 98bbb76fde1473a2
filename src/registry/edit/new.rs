//! Devices that are not there yet: one, or thousands in one step.

use std::{collections::HashSet, path::Path};

use toml_edit::{DocumentMut, InlineTable, Item, Table};

use super::{
    EditError, Editor,
    certificates::list,
    set_password_of, set_roles_of,
    toml_text::{LineEnds, one_line},
};
use crate::{
    clock::UnixSeconds,
    diag::Report,
    fs::{self, Locked},
    ident::DeviceName,
    registry::{Auth, Fingerprint, Password, State},
};

/// A device that is not there yet.
#[derive(Clone, Debug, Default)]
pub struct NewDevice {
    /// Names of roles.
    pub roles: Vec<String>,
    /// Names and values.
    pub attributes: Vec<(String, String)>,
    /// Written only if it is not the default.
    pub auth: Auth,
    /// Written only if it is not the default.
    pub state: State,
    /// What it may show.
    pub certificates: NewCertificates,
    /// What its password is verified against.
    pub password: Option<Password>,
}

/// The certificates of a device that is not there yet.
#[derive(Clone, Debug, Default)]
pub enum NewCertificates {
    /// Nothing is written: none, or what the settings say.
    #[default]
    Unwritten,
    /// All that the listener's CA signed for its name.
    Any,
    /// This one.
    Listed(NewCertificate),
}

/// A certificate that was issued.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// Of its DER.
    pub sha256: Fingerprint,
    /// In hexadecimal digits.
    pub serial: String,
    /// The last second in which it is valid.
    pub not_after: UnixSeconds,
}

impl NewDevice {
    /// Its table as it stands in the file, with an empty line before it.
    ///
    /// # Errors
    ///
    /// None in practice; a date that cannot be written.
    pub fn to_toml(&self, name: &DeviceName) -> Result<String, EditError> {
        let mut table = Table::new();
        set_roles_of(&mut table, &self.roles);
        if !self.attributes.is_empty() {
            let attributes: InlineTable =
                self.attributes.iter().map(|(key, value)| (key, one_line(value))).collect();
            table.insert("attr", attributes.into());
        }
        if self.auth != Auth::default() {
            table.insert("auth", self.auth.to_string().into());
        }
        if self.state != State::default() {
            table.insert("state", self.state.to_string().into());
        }
        match &self.certificates {
            NewCertificates::Unwritten => {}
            NewCertificates::Any => {
                table.insert("certificates", "any".into());
            }
            NewCertificates::Listed(certificate) => list(&mut table, certificate)?,
        }
        if let Some(password) = &self.password {
            set_password_of(&mut table, &password.hash, password.generated);
        }
        // Rendered by itself, because at its end the document may hold comments that belong to nobody.
        let mut rendered = DocumentMut::new();
        rendered.insert(name.as_str(), Item::Table(table));
        Ok(format!("\n{rendered}"))
    }
}

/// Adds devices at the end of the registry file at `path` if `check` finds no error in the whole text, in one step.
/// What stands there is not read as TOML here, which takes much memory for a large fleet: it is `check` that finds a
/// name that is taken.
///
/// # Errors
///
/// The file cannot be read, the check found an error, or the file cannot be replaced; then it is as it was.
pub fn append<'a>(
    path: &Path,
    devices: impl IntoIterator<Item = (&'a DeviceName, &'a NewDevice)>,
    check: impl FnOnce(&str) -> Report,
) -> Result<(), EditError> {
    let locked = Locked::new(path)?;
    let mut text = fs::read(locked.path(), fs::MAX_FILE_BYTES)?.text;
    let lines = LineEnds::of(&text);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(&lines.restore("\n"));
    }
    for (name, device) in devices {
        text.push_str(&lines.restore(&device.to_toml(name)?));
    }
    let report = check(&text);
    if report.has_errors() {
        return Err(EditError::Refused(report));
    }
    Ok(locked.replace(text.as_bytes())?)
}

impl Editor {
    /// Adds a device at the end of the file.
    ///
    /// # Errors
    ///
    /// A device of this name is there, small and capital letters being alike.
    pub fn add(&mut self, name: &DeviceName, device: &NewDevice) -> Result<(), EditError> {
        self.add_all([(name, device)])
    }

    /// Adds devices at the end of the file, in their order. It takes as long as reading the file once, however many
    /// they are.
    ///
    /// # Errors
    ///
    /// A device of one of the names is there or stands among them twice, small and capital letters being alike; then
    /// none is added.
    pub fn add_all<'a>(
        &mut self,
        devices: impl IntoIterator<Item = (&'a DeviceName, &'a NewDevice)>,
    ) -> Result<(), EditError> {
        self.settle()?;
        let mut taken: HashSet<String> =
            self.document.iter().map(|(known, _)| known.to_ascii_lowercase()).collect();
        let mut added = String::new();
        for (name, device) in devices {
            let folded = name.as_str().to_ascii_lowercase();
            if !taken.insert(folded.clone()) {
                let known = self.document.iter().map(|(known, _)| known);
                let known = known.into_iter().find(|known| known.eq_ignore_ascii_case(&folded));
                return Err(EditError::Exists(known.unwrap_or(name.as_str()).into()));
            }
            added.push_str(&device.to_toml(name)?);
        }
        self.added = added;
        Ok(())
    }
}

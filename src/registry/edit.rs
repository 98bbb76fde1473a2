//! Changes to `devices.toml` that leave everything else in it as somebody wrote it: comments, order, blanks.
//!
//! ```text
//! open: lock, read ─▶ change, change, … ─▶ save: check the whole, replace in one step
//! ```

mod certificates;
mod new;
mod toml_text;

use std::path::Path;

use thiserror::Error;
use toml_edit::{Array, DocumentMut, InlineTable, Item, TableLike, Value};

use super::{Auth, State};
use crate::{
    diag::Report,
    fs::{self, Locked, ReadError, ReplaceError},
    password::PasswordHash,
};
pub use new::{NewCertificate, NewCertificates, NewDevice, append};
use toml_text::{LineEnds, one_line, remove_key, set, space};

/// A registry file that is being changed. Nobody else of ours changes it until this value is dropped; nothing
/// is written before [`Editor::save`].
pub struct Editor {
    locked: Locked,
    document: DocumentMut,
    lines: LineEnds,
    /// Tables of new devices, to stand at the end of the file.
    added: String,
}

/// Why a registry file was not changed.
#[derive(Debug, Error)]
pub enum EditError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be locked or written.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// It is no TOML; `check` says where.
    #[error("the registry has mistakes of syntax; `citronella check` shows them")]
    Syntax,
    /// Writing it back would change lines that nobody asked to change.
    #[error("the registry mixes line ends; write all of them as `\\n`")]
    LineEnds,
    /// There is no such device.
    #[error("no device is called `{0}`")]
    Unknown(Box<str>),
    /// There is such a device.
    #[error("a device called `{0}` is there already")]
    Exists(Box<str>),
    /// The entry is not written as a table, or a part of it is not what it must be.
    #[error("`{0}` in the registry is not written as it must be; `citronella check` says how")]
    Shape(Box<str>),
    /// The result would not load.
    #[error("with this change the registry could not be loaded")]
    Refused(Report),
}

impl Editor {
    /// Locks and reads the file at `path`.
    ///
    /// # Errors
    ///
    /// It is not there, not readable, or no TOML.
    pub fn open(path: &Path) -> Result<Self, EditError> {
        let locked = Locked::new(path)?;
        let text = fs::read(locked.path(), fs::LARGEST_FILE_BYTES)?.text;
        let document: DocumentMut = text.parse().map_err(|_| EditError::Syntax)?;
        let lines = LineEnds::of(&text);
        // A last line without an end gets one.
        let same = lines.restore(&document.to_string());
        if same.trim_end_matches(['\r', '\n']) != text.trim_end_matches(['\r', '\n']) {
            return Err(EditError::LineEnds);
        }
        Ok(Self { locked, document, lines, added: String::new() })
    }

    /// The text as it would be written.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.document.to_string();
        if !self.added.is_empty() && !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&self.added);
        self.lines.restore(&text)
    }

    /// Writes the changes if `check` finds no error in the whole text, and returns what it found.
    ///
    /// # Errors
    ///
    /// The check found an error, or the file cannot be replaced; either way it is as it was.
    pub fn save(self, check: impl FnOnce(&str) -> Report) -> Result<Report, EditError> {
        let text = self.text();
        let report = check(&text);
        if report.has_errors() {
            return Err(EditError::Refused(report));
        }
        self.locked.replace(text.as_bytes())?;
        Ok(report)
    }

    /// Makes the added text part of the document.
    fn settle(&mut self) -> Result<(), EditError> {
        if !self.added.is_empty() {
            let text = self.text();
            self.added.clear();
            self.document = text.replace("\r\n", "\n").parse().map_err(|_| EditError::Syntax)?;
        }
        Ok(())
    }

    /// Sets whether the device may connect.
    ///
    /// # Errors
    ///
    /// No such device, or it is not written as a table.
    pub fn set_state(&mut self, name: &str, state: State) -> Result<(), EditError> {
        set(self.device(name)?, "state", state.to_string().into());
        Ok(())
    }

    /// Sets what the device must show.
    ///
    /// # Errors
    ///
    /// No such device, or it is not written as a table.
    pub fn set_auth(&mut self, name: &str, auth: Auth) -> Result<(), EditError> {
        set(self.device(name)?, "auth", auth.to_string().into());
        Ok(())
    }

    /// Replaces the device's roles; none takes them away.
    ///
    /// # Errors
    ///
    /// No such device, or it is not written as a table.
    pub fn set_roles(&mut self, name: &str, roles: &[String]) -> Result<(), EditError> {
        set_roles_of(self.device(name)?, roles);
        Ok(())
    }

    /// Sets an attribute of the device, or takes it away.
    ///
    /// # Errors
    ///
    /// No such device, or its attributes are no table.
    pub fn set_attribute(&mut self, name: &str, key: &str, value: Option<&str>) -> Result<(), EditError> {
        let device = self.device(name)?;
        if !device.contains_key("attr") {
            if value.is_none() {
                return Ok(());
            }
            device.insert("attr", InlineTable::new().into());
        }
        let item = device.get_mut("attr");
        let attributes =
            item.and_then(Item::as_table_like_mut).ok_or_else(|| EditError::Shape("attr".into()))?;
        match value {
            Some(value) => set(attributes, key, one_line(value)),
            None => remove_key(attributes, key),
        }
        if let Some(attributes) = device.get_mut("attr").and_then(Item::as_inline_table_mut) {
            space(attributes);
        }
        Ok(())
    }

    /// Sets the hash of the device's password; `generated` says that we made the password.
    ///
    /// # Errors
    ///
    /// No such device, or it is not written as a table.
    pub fn set_password(
        &mut self,
        name: &str,
        hash: &PasswordHash,
        generated: bool,
    ) -> Result<(), EditError> {
        set_password_of(self.device(name)?, hash, generated);
        Ok(())
    }

    /// Takes the device's hash away; that it has none is fine.
    ///
    /// # Errors
    ///
    /// No such device, or it is not written as a table.
    pub fn remove_password(&mut self, name: &str) -> Result<(), EditError> {
        remove_key(self.device(name)?, "password");
        Ok(())
    }

    fn device(&mut self, name: &str) -> Result<&mut dyn TableLike, EditError> {
        self.settle()?;
        if name == "version" || !self.document.contains_key(name) {
            return Err(EditError::Unknown(name.into()));
        }
        self.document
            .get_mut(name)
            .and_then(Item::as_table_like_mut)
            .ok_or_else(|| EditError::Shape(name.into()))
    }
}

/// A password that we made says so beside its hash.
fn set_password_of(device: &mut dyn TableLike, hash: &PasswordHash, generated: bool) {
    let text = hash.to_text();
    if !generated {
        set(device, "password", text.into());
        return;
    }
    let mut table = InlineTable::new();
    table.insert("hash", text.into());
    table.insert("generated", true.into());
    set(device, "password", table.into());
}

/// One role stands in `role`, unless there is a list already; several stand in `roles`.
fn set_roles_of(device: &mut dyn TableLike, roles: &[String]) {
    let (key, other, value): (_, _, Value) = match roles {
        [] => {
            remove_key(device, "role");
            remove_key(device, "roles");
            return;
        }
        [one] if !device.contains_key("roles") => ("role", "roles", one.as_str().into()),
        several => ("roles", "role", several.iter().map(String::as_str).collect::<Array>().into()),
    };
    remove_key(device, other);
    set(device, key, value);
}

#[cfg(test)]
mod tests;

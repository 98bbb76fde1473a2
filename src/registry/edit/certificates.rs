//! Certificates in the registry: listed, ended, refused for ever.

use toml_edit::{Array, ArrayOfTables, InlineTable, Item, TableLike, Value};

use super::{
    EditError, Editor, NewCertificate,
    toml_text::{push, remove_at, set},
};
use crate::{clock::UnixSeconds, registry::Fingerprint};

impl Editor {
    /// Lists a certificate for the device, which may then show it. Where all certificates are accepted, or this
    /// one is listed, there is nothing to do.
    ///
    /// # Errors
    ///
    /// No such device, or its certificates are no array.
    pub fn add_certificate(&mut self, name: &str, certificate: &NewCertificate) -> Result<(), EditError> {
        list(self.device(name)?, certificate)
    }

    /// Sets the last second in which a listed certificate is accepted; nothing where it is not listed.
    ///
    /// # Errors
    ///
    /// No such device, or its certificates are no array.
    pub fn end_certificate(
        &mut self,
        name: &str,
        fingerprint: Fingerprint,
        not_after: UnixSeconds,
    ) -> Result<(), EditError> {
        let end = datetime(not_after)?;
        match self.device(name)?.get_mut("certificates") {
            Some(Item::Value(Value::Array(listed))) => {
                for entry in listed.iter_mut().filter_map(Value::as_inline_table_mut) {
                    if is_fingerprint(entry, fingerprint) {
                        set(entry, "not_after", end.into());
                    }
                }
            }
            Some(Item::ArrayOfTables(listed)) => {
                for entry in listed.iter_mut() {
                    if is_fingerprint(entry, fingerprint) {
                        set(entry, "not_after", end.into());
                    }
                }
            }
            Some(Item::Value(Value::String(_)) | Item::None) | None => {}
            Some(_) => return Err(EditError::Shape("certificates".into())),
        }
        Ok(())
    }

    /// Refuses a certificate for ever: it goes from `certificates`, if it is there, to `revoked`.
    ///
    /// # Errors
    ///
    /// No such device, or `certificates` or `revoked` is no array.
    pub fn revoke(&mut self, name: &str, fingerprint: Fingerprint) -> Result<(), EditError> {
        let device = self.device(name)?;
        match device.get_mut("certificates") {
            Some(Item::Value(Value::Array(listed))) => {
                let found = listed.iter().position(|item| {
                    item.as_inline_table().is_some_and(|item| is_fingerprint(item, fingerprint))
                });
                if let Some(index) = found {
                    remove_at(listed, index);
                }
            }
            Some(Item::ArrayOfTables(listed)) => unlist(listed, fingerprint),
            Some(Item::Value(Value::String(_)) | Item::None) | None => {}
            Some(_) => return Err(EditError::Shape("certificates".into())),
        }
        if matches!(device.get("certificates"), Some(Item::ArrayOfTables(listed)) if listed.is_empty()) {
            // Without the key the device could fall back to a default that accepts all.
            device.insert("certificates", Array::new().into());
        }
        match device.get_mut("revoked") {
            None => {
                device.insert("revoked", Array::from_iter([fingerprint.to_string()]).into());
            }
            Some(Item::Value(Value::Array(revoked))) => {
                let known =
                    |item: &Value| item.as_str().and_then(|text| text.parse().ok()) == Some(fingerprint);
                if !revoked.iter().any(known) {
                    push(revoked, fingerprint.to_string().into());
                }
            }
            Some(_) => return Err(EditError::Shape("revoked".into())),
        }
        Ok(())
    }
}

/// Lists a certificate for a device, unless it is listed or all are accepted.
pub(super) fn list(device: &mut dyn TableLike, certificate: &NewCertificate) -> Result<(), EditError> {
    let mut entry = InlineTable::new();
    entry.insert("sha256", certificate.sha256.to_string().into());
    entry.insert("serial", certificate.serial.as_str().into());
    entry.insert("not_after", datetime(certificate.not_after)?.into());
    match device.get_mut("certificates") {
        None => {
            device.insert("certificates", Array::from_iter([entry]).into());
        }
        Some(Item::Value(Value::String(any))) if any.value() == "any" => {}
        Some(Item::Value(Value::Array(listed))) => {
            let known = |item: &Value| {
                item.as_inline_table().is_some_and(|item| is_fingerprint(item, certificate.sha256))
            };
            if !listed.iter().any(known) {
                push(listed, entry.into());
            }
        }
        Some(Item::ArrayOfTables(listed)) => {
            if !listed.iter().any(|item| is_fingerprint(item, certificate.sha256)) {
                listed.push(entry.into_table());
            }
        }
        Some(_) => return Err(EditError::Shape("certificates".into())),
    }
    Ok(())
}

/// As the file writes it.
fn datetime(time: UnixSeconds) -> Result<toml_edit::Datetime, EditError> {
    time.to_string().parse().map_err(|_| EditError::Shape("not_after".into()))
}

fn is_fingerprint(certificate: &dyn TableLike, wanted: Fingerprint) -> bool {
    let text = certificate.get("sha256").and_then(Item::as_str);
    text.and_then(|text| text.parse().ok()) == Some(wanted)
}

fn unlist(listed: &mut ArrayOfTables, fingerprint: Fingerprint) {
    let found = listed.iter().position(|item| is_fingerprint(item, fingerprint));
    if let Some(index) = found {
        listed.remove(index);
    }
}

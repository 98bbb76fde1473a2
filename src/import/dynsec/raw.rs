//! The JSON's objects as they are written; what they name is looked at in place, for its line.

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawFile<'t> {
    #[serde(borrow, default, rename = "defaultACLAccess")]
    pub(super) defaults: Option<&'t RawValue>,
    #[serde(borrow, default)]
    pub(super) clients: Vec<&'t RawValue>,
    #[serde(borrow, default)]
    pub(super) groups: Vec<&'t RawValue>,
    #[serde(borrow, default)]
    pub(super) roles: Vec<&'t RawValue>,
    #[serde(borrow, default)]
    pub(super) anonymous_group: Option<&'t RawValue>,
    #[serde(default)]
    pub(super) change_index: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClient<'t> {
    pub(super) username: String,
    #[serde(default)]
    pub(super) textname: Option<String>,
    #[serde(default)]
    pub(super) textdescription: Option<String>,
    #[serde(default)]
    pub(super) clientid: Option<String>,
    #[serde(default)]
    pub(super) disabled: bool,
    #[serde(default)]
    pub(super) password: Option<String>,
    #[serde(default)]
    pub(super) salt: Option<String>,
    #[serde(default)]
    pub(super) iterations: Option<i64>,
    #[serde(default)]
    pub(super) encoded_password: Option<String>,
    #[serde(borrow, default)]
    pub(super) roles: Vec<&'t RawValue>,
    #[serde(borrow, default)]
    pub(super) groups: Vec<&'t RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGroup<'t> {
    pub(super) groupname: String,
    #[serde(default)]
    #[expect(dead_code, reason = "known, and said nowhere")]
    pub(super) textname: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "known, and said nowhere")]
    pub(super) textdescription: Option<String>,
    #[serde(borrow, default)]
    pub(super) roles: Vec<&'t RawValue>,
    #[serde(borrow, default)]
    pub(super) clients: Vec<&'t RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRole<'t> {
    pub(super) rolename: String,
    #[serde(default)]
    pub(super) textname: Option<String>,
    #[serde(default)]
    pub(super) textdescription: Option<String>,
    #[serde(default)]
    pub(super) allowwildcardsubs: Option<bool>,
    #[serde(borrow, default)]
    pub(super) acls: Vec<&'t RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAcl {
    pub(super) acltype: String,
    pub(super) topic: String,
    #[serde(default)]
    pub(super) priority: i64,
    #[serde(default)]
    pub(super) allow: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNamed {
    #[serde(alias = "username", alias = "groupname", alias = "rolename")]
    pub(super) name: String,
    #[serde(default = "no_priority")]
    pub(super) priority: i64,
}

/// SOURCE: what the plugin takes where none is written.
fn no_priority() -> i64 {
    -1
}

//! What each kind of warning means: `citronella check --explain CODE`.

use citronella::diag::Code;

use super::super::codes::{Kind, Text};

impl Kind for Code {
    const VERB: &str = "check";
    const WHAT: &str = "warning";

    fn all() -> &'static [Self] {
        &Self::ALL
    }

    fn name(self) -> &'static str {
        self.as_str()
    }

    fn text(self) -> Text {
        text(self)
    }

    fn more(self) -> Option<String> {
        if matches!(self, Self::ReadableKey | Self::UnreadableFile | Self::UnwritableState) {
            return None;
        }
        Some(format!(
            "If it is as it should be, say so in citronella.toml:\n  [check]\n  allow = [{{ code = \"{self}\", at = \"NAME\", reason = \"…\" }}]"
        ))
    }
}

fn text(code: Code) -> Text {
    match code {
        Code::AllowControl => Text {
            title: "a rule allows topics by which the broker is configured",
            meaning: "Plugins of the broker take their orders on `$CONTROL/…`. Who may publish there may give itself every right.",
            example: "[roles.service]\npublish = [\"$CONTROL/#\"]",
            fix: "take the rule out, or keep it to the one device from which you administer the broker.",
        },
        Code::AllowEverything => Text {
            title: "a rule allows every topic",
            meaning: "`#` matches every topic that does not begin with `$`, those included that will be invented later. One device that \
                      falls into wrong hands then reads or writes everything.",
            example: "[roles.viewer]\nsubscribe = [\"#\"]",
            fix: "name the topics that are needed, as in `sensors/#`.",
        },
        Code::AllowSys => Text {
            title: "a rule allows all of the broker's own topics",
            meaning: "`$SYS/#` holds counters and, with some settings, log lines with clients' names and addresses.",
            example: "[roles.monitor]\nsubscribe = [\"$SYS/#\"]",
            fix: "name the part that is needed, as in `$SYS/broker/uptime` or `$SYS/broker/load/#`.",
        },
        Code::CertificateExpired => Text {
            title: "the last certificate of a device has expired",
            meaning: "All certificates that the device may show have a date, and the last of these dates has passed. The device is \
                      refused. Old certificates beside a good one are no trouble and are not told.",
            example: "[lamp]\ncertificates = [{ sha256 = \"…\", not_after = 2020-01-01T00:00:00Z }]",
            fix: "`citronella cert issue NAME` issues the next one; carry it to the device.",
        },
        Code::CertificateExpiring => Text {
            title: "the last certificate of a device expires within 30 days",
            meaning: "On that day the device is refused, and whoever has to repair it will be somewhere else.",
            example: "[lamp]\ncertificates = [{ sha256 = \"…\", not_after = … }]   # in three weeks",
            fix: "`citronella cert issue NAME` issues the next one. Both are good until the old one ends.",
        },
        Code::ClientIdRule => Text {
            title: "a rule trusts the client id",
            meaning: "A client chooses its id. Unless `client_id = \"device\"` holds ids to the devices' names, a device comes by the \
                      topics of every id that no other device owns.",
            example: "[roles.sensor]\npublish = [\"sensors/{clientid}/#\"]",
            fix: "write `{device}`, which is proven, or set `client_id = \"device\"` in `[identity]`.",
        },
        Code::CommonClientId => Text {
            title: "a device's name owns client ids that software makes up",
            meaning: "A client id that begins with a device's name and `-`, `_`, `.`, `:` or `/` belongs to that device, and nobody \
                      else may use it. Libraries make up ids such as `mosq-4Yx…` or `auto-6A2…`; a device called `mosq` or `auto` \
                      locks all clients with such ids out.",
            example: "[esp32]                # owns esp32-1, esp32_A0B1…\nrole = \"sensor\"",
            fix: "give the device a name that no software chooses by itself, as in `esp32-kitchen`.",
        },
        Code::DenyMeetsSubscription => Text {
            title: "a denial refuses a subscription that the rules name",
            meaning: "A subscription is accepted if every topic of its filter is allowed and none is denied. A device that asks for the \
                      very filter that its rules allow is refused if a denial meets that filter, and stays silent.",
            example: "[roles.viewer]\nsubscribe = [\"sensors/#\"]\ndeny      = [\"sensors/secret\"]",
            fix: "write `hide` instead of `deny` or `deny_subscribe`: the subscription stands, and the hidden messages are not \
                  delivered. Or allow narrower filters and ask for those.",
        },
        Code::DenyMissesDollar => Text {
            title: "a denial passes over topics that begin with `$`",
            meaning: "A filter with a wildcard in its first level never matches a topic that begins with `$`, in denials too. So `#` \
                      denies less than it seems to.",
            example: "[roles.monitor]\nsubscribe = [\"$SYS/#\"]\n[roles.locked]\ninclude = [\"monitor\"]\ndeny = [\"#\"]             # leaves $SYS/# allowed",
            fix: "deny the topics with `$` by their first level, or take the rule out that allows them.",
        },
        Code::LimitWithoutPublish => Text {
            title: "a limit has nothing to limit",
            meaning: "`max_qos`, `retain` and `max_payload` hold for the `publish` and `pubsub` rules of their own table. Without such a \
                      rule they do nothing, in particular not for the rules of other roles.",
            example: "[roles.small]\nmax_payload = 64",
            fix: "write the limit into the table whose rules it is to limit.",
        },
        Code::LongName => Text {
            title: "a name is too long for a certificate",
            meaning: "The common name of a certificate holds 64 characters. A device with a longer name cannot be named by one, and \
                      this one has no password either, or has to show a certificate.",
            example: "[a-name-of-more-than-64-characters-…]\ncertificates = \"any\"",
            fix: "give the device a shorter name, or a password.",
        },
        Code::NeverApplies => Text {
            title: "a rule gives nothing, for a denial takes all of it away",
            meaning: "Deny beats allow wherever either stands, so an allow rule that lies wholly inside a denial of everybody who has it \
                      could as well not be there. Mostly one of the two was meant otherwise.",
            example: "[roles.sensor]\npublish = [\"sensors/{device}/debug\"]\n[everyone]\ndeny    = [\"sensors/+/debug\"]",
            fix: "narrow the denial, or take the allow rule out. No order of the lines changes it.",
        },
        Code::NeverFilled => Text {
            title: "a rule gives nothing, for nobody has its attribute",
            meaning: "A rule with `{attr.NAME}` gives nothing to a device that lacks the attribute, or whose value cannot stand in a \
                      topic: an empty one, one that begins with `$`, or one with `+`, `#`, `/` or control characters. Here that is so \
                      for every device that has the rule.",
            example: "[roles.lamp]\npublish = [\"home/{attr.room}/light\"]\n[lamp-1]                  # has no attr.room\nrole = \"lamp\"",
            fix: "`citronella device set NAME --attr room=kitchen`, or take the rule out.",
        },
        Code::NoCredentials => Text {
            title: "a device has not what it must show",
            meaning: "Nobody can connect as this device: it has neither certificate nor password, or not the one that its `auth` asks for.",
            example: "[lamp]\nrole = \"sensor\"",
            fix: "`citronella cert issue NAME` or `citronella password generate NAME`; or set its state to `disabled` until it is needed.",
        },
        Code::SkippedLine => Text {
            title: "a line of the password file says nothing",
            meaning: "A line of the password file is `USER:HASH`. One without `:` is skipped, as Mosquitto skips it; whoever it was to let \
                      in is refused.",
            example: "alice $7$101$…",
            fix: "write `USER:HASH`, put `#` before a comment, or take the line out.",
        },
        Code::StrictRefuses => Text {
            title: "without `wide_subscribe = \"filter\"` a subscription would be refused",
            meaning: "`citronella check --strict-subscribe` looks at a policy whose `[compat] wide_subscribe = \"filter\"` accepts \
                      subscriptions that denials meet. Each filter that the rules allow is asked for as if that line were not there.",
            example: "[compat]\nwide_subscribe = \"filter\"\n[roles.viewer]\nsubscribe = [\"sensors/#\"]\ndeny      = [\"sensors/secret\"]",
            fix: "turn such denials into `hide`, or let the devices ask for narrower filters; when nothing is left, take the line out.",
        },
        Code::SysPublish => Text {
            title: "a rule allows a publish that the broker itself refuses",
            meaning: "Mosquitto refuses every publish below `$SYS` by clients, but for the state of bridges, before any plugin is asked.",
            example: "[roles.monitor]\npublish = [\"$SYS/monitor/alive\"]",
            fix: "take the rule out, and publish to a topic without `$`.",
        },
        Code::UnlistedUser => Text {
            title: "a user of the password file is no device",
            meaning: "A password alone admits nobody: who is not in devices.toml is refused. Some names can be no device's at all.",
            example: "alice:$7$101$…             # and no [alice] in devices.toml",
            fix: "`citronella device add NAME --no-certificate` registers it; or take the line out of the password file.",
        },
        Code::UnusedAllowance => Text {
            title: "an allowance allows nothing",
            meaning: "The warning that an item of `[check] allow` was written for is no longer given. Left standing, it would hide the next \
                      one of its kind.",
            example: "[check]\nallow = [{ code = \"allow-everything\", at = \"viewer\", reason = \"…\" }]   # viewer has no `#` any more",
            fix: "take the item out.",
        },
        Code::UnusedRole => Text {
            title: "nobody has a role",
            meaning: "No device that is not retired has this role, itself or by another that includes it. It may be a slip, as when a role was \
                      renamed, or left over. `quarantine` and the roles that `init` wrote are not told.",
            example: "[roles.sensors]\npublish = [\"sensors/#\"]  # devices have the role `sensor`",
            fix: "give it to a device, or take it out.",
        },
        Code::WeakHash => Text {
            title: "a password's hash is quickly tried out",
            meaning: "Whoever comes by a copy of the file tries passwords until one fits. `$6$` lets a graphics card try billions a second, \
                      and Mosquitto's `$7$` with 101 iterations is not much better. Told are `$6$`, `$7$` below 210,000 iterations, and \
                      argon2id below what OWASP asks for. Generated passwords need no slow hash and are not told.",
            example: "[phone]\npassword = \"$6$…\"",
            fix: "`citronella password set NAME` hashes a password anew; `citronella password generate NAME` makes one that cannot be guessed.",
        },
        Code::ReadableKey => Text {
            title: "others than those who need it can read a private key",
            meaning: "Who has the key of the broker can pass for the broker, and who has that of the authority and its passphrase can \
                      make devices. The broker needs its own key and no other. Told by `citronella check --installed`.",
            example: "-rw-r--r-- root mosquitto /etc/citronella/tls/broker.key",
            fix: "the line after the finding; if a stranger may have read it, make a new one (`citronella broker renew`).",
        },
        Code::UnreadableFile => Text {
            title: "the broker's user cannot read a file that the plugin needs",
            meaning: "Mosquitto gives up root's rights before it loads plugins. With a file that it cannot read or get to it does not \
                      start, and when files are read anew it keeps what it has. Told by `citronella check --installed`.",
            example: "-rw------- root root /etc/citronella/devices.toml",
            fix: "the line after the finding gives the broker's group the right to read, and nobody else.",
        },
        Code::UnwritableState => Text {
            title: "the broker's user cannot write in the state directory",
            meaning: "The plugin writes there what is in force, and the audit and the numbers if they are asked for. Without it \
                      `citronella status` knows nothing. Told by `citronella check --installed`.",
            example: "drwxr-xr-x root root /var/lib/citronella",
            fix: "the line after the finding gives the folder to the broker's user.",
        },
        Code::WorldReadable => Text {
            title: "everybody on the machine can read hashes",
            meaning: "A file with password hashes is readable by every user of the machine, who can try out passwords at leisure.",
            example: "-rw-r--r-- root mosquitto /etc/citronella/devices.toml",
            fix: "`chmod o-rwx FILE`; the broker reads it through its group.",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn every_warning_is_explained_with_an_example_and_a_way_out() {
        codes::assert_explained::<Code>();
        for code in Code::ALL {
            assert!(!text(code).example.is_empty(), "{code}");
        }
    }
}

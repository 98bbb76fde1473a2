//! Names under which clients reach a broker, as they may stand in its certificate.
#![forbid(unsafe_code)]

use std::{fmt, net::IpAddr, process::Command, str::FromStr};

use thiserror::Error;

/// Longest DNS name in its text form (RFC 1035 §2.3.4, without the root's dot).
const MAX_DNS_BYTES: usize = 253;
/// Longest label of one (RFC 1035 §2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// A DNS name in lower case, or an address. An address never stands as a DNS name, nor the reverse.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum BrokerName {
    /// Lower case, without the final dot, ASCII.
    Dns(DnsName),
    /// Goes into iPAddress.
    Address(IpAddr),
}

/// A checked DNS name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DnsName(Box<str>);

impl DnsName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it begins with `*.`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }
}

/// Whether `*.` names are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wildcards {
    /// One stolen key would be every broker's.
    Refuse,
    /// They were asked for.
    Allow,
}

/// Why a text cannot be a broker's name.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum BrokerNameError {
    /// Nothing at all.
    #[error("a broker's name has at least one character")]
    Empty,
    /// Clients look for the encoded form.
    #[error("`{0}` is not ASCII; write its encoded form, which begins with xn--")]
    NotAscii(String),
    /// Longer than DNS takes.
    #[error("`{0}` is too long for a DNS name")]
    TooLong(String),
    /// A label that is empty, too long, begins or ends with a dash, or has other characters.
    #[error("`{0}` is neither a DNS name nor an address")]
    Malformed(String),
    /// Only digits and dots, but no address.
    #[error("`{0}` looks like an address but is none")]
    NoAddress(String),
    /// See [`Wildcards`].
    #[error("`{0}` is a wildcard, which is taken only when asked for")]
    Wildcard(String),
    /// `*`, `*.com`, `a.*.b`: clients refuse them.
    #[error("`{0}` is a wildcard that clients refuse; the star stands alone in front of two labels or more")]
    BadWildcard(String),
}

impl BrokerName {
    /// Reads a name as people write it: any case, a final dot, an IPv6 address in brackets.
    ///
    /// # Errors
    ///
    /// See [`BrokerNameError`].
    pub fn parse(text: &str, wildcards: Wildcards) -> Result<Self, BrokerNameError> {
        let text = text.trim();
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        if !text.is_ascii() {
            return Err(BrokerNameError::NotAscii(text.to_owned()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() {
            return Err(BrokerNameError::Empty);
        }
        if name.len() > MAX_DNS_BYTES {
            return Err(BrokerNameError::TooLong(name));
        }
        let rest = name.strip_prefix("*.");
        let labels: Vec<&str> = rest.unwrap_or(&name).split('.').collect();
        if name.contains('*') {
            if rest.is_none() || labels.len() < 2 || labels.concat().contains('*') {
                return Err(BrokerNameError::BadWildcard(name));
            }
            if wildcards == Wildcards::Refuse {
                return Err(BrokerNameError::Wildcard(name));
            }
        }
        if !labels.iter().all(|label| is_label(label)) {
            return Err(BrokerNameError::Malformed(name));
        }
        // A last label of digits makes URL parsers read the whole as an address.
        if labels.last().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(BrokerNameError::NoAddress(name));
        }
        Ok(Self::Dns(DnsName(name.into())))
    }
}

impl FromStr for BrokerName {
    type Err = BrokerNameError;

    /// Refuses wildcards.
    fn from_str(text: &str) -> Result<Self, BrokerNameError> {
        Self::parse(text, Wildcards::Refuse)
    }
}

impl fmt::Display for BrokerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(&name.0),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Letters, digits, dashes inside; `_` too, because hosts in home networks have it.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= MAX_LABEL_BYTES
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The names under which this machine is likely to be reached, best first: full name, host name, `HOST.local`,
/// addresses of the local network (no bridges of containers, no link-local ones), `localhost` and the loopback addresses.
///
/// Empty parts are left out; never fails, because it is only a suggestion.
#[must_use]
pub fn suggested() -> Vec<BrokerName> {
    let host = host_name();
    let mut texts = Vec::new();
    texts.extend(full_name(&host));
    texts.push(host.clone());
    if !host.is_empty() && !host.contains('.') && host != "localhost" {
        texts.push(format!("{host}.local"));
    }
    texts.extend(lan_addresses());
    texts.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let mut names: Vec<BrokerName> = Vec::new();
    for name in texts.iter().filter_map(|text| text.parse().ok()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What the kernel calls this machine.
fn host_name() -> String {
    let read = |path| std::fs::read_to_string(path).ok();
    read("/proc/sys/kernel/hostname")
        .or_else(|| read("/etc/hostname"))
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty() && text != "(none)")
        .unwrap_or_default()
}

/// The first name with a dot that /etc/hosts gives for this host, which is what `hostname -f` prints on Debian.
fn full_name(host: &str) -> Option<String> {
    if host.contains('.') {
        return None;
    }
    let hosts = std::fs::read_to_string("/etc/hosts").ok()?;
    full_name_in(&hosts, host)
}

fn full_name_in(hosts: &str, host: &str) -> Option<String> {
    hosts.lines().find_map(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace().skip(1);
        let first = words.next()?;
        let named = first.split('.').next() == Some(host) || words.any(|word| word == host);
        (named && first.contains('.')).then(|| first.to_owned())
    })
}

/// Addresses of interfaces that are up, as `ip` of iproute2 lists them; none if it is not there.
fn lan_addresses() -> Vec<String> {
    // Not with our environment, which may have the authority's passphrase.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let arguments = ["-o", "addr", "show", "up", "scope", "global"];
    let listed = Command::new("ip").args(arguments).env_clear().env("PATH", path).output();
    listed.map_or_else(|_| Vec::new(), |out| addresses_in(&String::from_utf8_lossy(&out.stdout)))
}

/// Lines are `2: eth0    inet 192.168.1.7/24 brd …`.
fn addresses_in(listing: &str) -> Vec<String> {
    const BRIDGES: [&str; 8] = ["docker", "br-", "veth", "virbr", "lxc", "lxd", "podman", "cni"];
    listing
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let interface = words.next()?;
            let family = words.next()?;
            let address = words.next()?.split('/').next()?;
            // Temporary IPv6 addresses change within days.
            let lasts = !line.contains(" temporary") && !line.contains(" deprecated");
            let ours = !BRIDGES.iter().any(|bridge| interface.starts_with(bridge));
            (ours && lasts && matches!(family, "inet" | "inet6")).then(|| address.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_brought_to_the_form_that_clients_compare() {
        for (text, expected) in [
            ("IoTgateway1", "iotgateway1"),
            ("Broker.Example.ORG.", "broker.example.org"),
            ("raspberrypi.local", "raspberrypi.local"),
            ("192.168.1.7", "192.168.1.7"),
            ("[::1]", "::1"),
            ("2001:DB8::0:1", "2001:db8::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("my_host", "my_host"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(text.parse::<BrokerName>().unwrap().to_string(), expected);
        }
        assert!(matches!("10.0.0.1".parse(), Ok(BrokerName::Address(_))));
    }

    #[test]
    fn what_clients_would_refuse_is_refused() {
        for text in
            ["", ".", "bücher.example", "a..b", "-a", "a-", "a b", "http://a", "a:8883", "1.2.3", "256.1.1.1"]
        {
            assert!(text.parse::<BrokerName>().is_err(), "{text}");
        }
        assert!(format!("{}.org", "a".repeat(64)).parse::<BrokerName>().is_err());
    }

    #[test]
    fn wildcards_are_taken_only_when_asked_for_and_never_wide() {
        let parse = |text| BrokerName::parse(text, Wildcards::Allow);
        assert!(matches!("*.lan.example".parse::<BrokerName>(), Err(BrokerNameError::Wildcard(_))));
        assert!(parse("*.lan.example").is_ok());
        for text in ["*", "*.com", "a.*.example.org", "f*.example.org", "*.*.example.org"] {
            assert!(matches!(parse(text), Err(BrokerNameError::BadWildcard(_))), "{text}");
        }
    }

    #[test]
    fn the_full_name_is_the_one_in_hosts() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1\tgw.example.org gw # us\n";
        assert_eq!(full_name_in(hosts, "gw").as_deref(), Some("gw.example.org"));
        assert_eq!(full_name_in(hosts, "other"), None);
    }

    #[test]
    fn addresses_of_container_bridges_are_not_suggested() {
        let listing = "2: eth0    inet 192.168.1.7/24 brd 192.168.1.255 scope global eth0\\ valid_lft forever\n\
                       2: eth0    inet6 fd00::7/64 scope global temporary dynamic \\ valid_lft 9sec\n\
                       3: docker0    inet 172.17.0.1/16 scope global docker0\\ valid_lft forever\n";
        assert_eq!(addresses_in(listing), ["192.168.1.7"]);
    }

    #[test]
    fn this_machine_is_suggested_without_repeats() {
        let names = suggested();
        assert!(names.contains(&"localhost".parse().unwrap()));
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
}

//! Where a broker is, as people write it.

use std::{fmt, net::IpAddr, str::FromStr};

use thiserror::Error;

/// A broker's place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// 8883 or 1883 unless it says otherwise; for websockets 443 or 80.
    pub port: u16,
    /// For MQTT over websockets, which part of the server is asked: begins with `/`.
    pub path: Option<String>,
}

/// Why a text is no place of a broker.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum TargetError {
    /// Another scheme.
    #[error(
        "`{0}` is none of mqtts, mqtt, wss and ws; write it as mqtts://broker.lan or mqtts://192.168.1.5:8883"
    )]
    Scheme(String),
    /// Nothing where the name should be.
    #[error("there is no host in it; write it as mqtts://broker.lan")]
    NoHost,
    /// Not a number from 1 to 65535.
    #[error("`{0}` is no port")]
    Port(String),
}

impl FromStr for Target {
    type Err = TargetError;

    /// `mqtts://HOST[:PORT]`, `mqtt://…`, `wss://HOST[:PORT][/PATH]`, `ws://…`, or a host alone, which is taken for TLS.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtts", text));
        let (tls, websocket) = match scheme.to_ascii_lowercase().as_str() {
            "mqtts" | "ssl" | "tls" => (true, false),
            "mqtt" | "tcp" => (false, false),
            "wss" => (true, true),
            "ws" => (false, true),
            other => return Err(TargetError::Scheme(other.to_owned())),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = websocket.then(|| format!("/{path}"));
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            // More than one colon is an address of IPv6 without brackets.
            None if authority.matches(':').count() > 1 => (authority, None),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err(TargetError::NoHost);
        }
        let port = match port {
            None | Some("") => match (websocket, tls) {
                (false, true) => 8883,
                (false, false) => 1883,
                (true, true) => 443,
                (true, false) => 80,
            },
            Some(text) => text
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| TargetError::Port(text.to_owned()))?,
        };
        Ok(Self { tls, host: host.to_owned(), port, path })
    }
}

impl Target {
    /// The same place with TLS or without.
    #[must_use]
    pub fn with_tls(&self, tls: bool) -> Self {
        Self { tls, ..self.clone() }
    }

    /// Whether it is an address and no name.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (&self.path, self.tls) {
            (None, true) => "mqtts",
            (None, false) => "mqtt",
            (Some(_), true) => "wss",
            (Some(_), false) => "ws",
        };
        let path = self.path.as_deref().unwrap_or_default();
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}{path}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}{path}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        for (text, shown) in [
            ("mqtts://broker.lan", "mqtts://broker.lan:8883"),
            ("mqtt://broker.lan/", "mqtt://broker.lan:1883"),
            ("broker.lan:8884", "mqtts://broker.lan:8884"),
            ("MQTTS://me@192.168.1.5:1", "mqtts://192.168.1.5:1"),
            ("mqtts://[fe80::1]:8883", "mqtts://[fe80::1]:8883"),
            ("fe80::1", "mqtts://[fe80::1]:8883"),
            ("wss://broker.lan", "wss://broker.lan:443/"),
            ("ws://[fe80::1]:9001/mqtt?a=b", "ws://[fe80::1]:9001/mqtt?a=b"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), shown, "{text}");
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        for (text, error) in [
            ("http://a", TargetError::Scheme("http".to_owned())),
            ("mqtts://:8883", TargetError::NoHost),
            ("mqtts://a:0", TargetError::Port("0".to_owned())),
            ("mqtts://a:x", TargetError::Port("x".to_owned())),
        ] {
            assert_eq!(text.parse::<Target>(), Err(error), "{text}");
        }
    }
}

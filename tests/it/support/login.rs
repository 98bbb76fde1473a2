//! What a client says first.

use super::packet::{kind, packet, push_data, push_varint};

/// The protocol level of a CONNECT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    /// 3.1, where even the protocol has another name.
    V31 = 3,
    V311 = 4,
    V5 = 5,
}

/// The message that the broker sends when this client is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// Seconds (MQTT 5).
    pub(crate) delay_s: u32,
}

impl Will {
    pub(crate) fn to(topic: &str, payload: &str) -> Self {
        Self { topic: topic.to_owned(), payload: payload.into(), ..Self::default() }
    }
}

/// What a CONNECT says.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) version: Version,
    pub(crate) id: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) clean: bool,
    /// Seconds that the session outlives the connection (MQTT 5); `u32::MAX` for ever.
    pub(crate) expiry_s: u32,
    pub(crate) keepalive_s: u16,
    pub(crate) will: Option<Will>,
    pub(crate) auth_method: Option<String>,
    /// Says that it is a bridge, as other brokers do: the highest bit of the protocol level.
    pub(crate) bridge: bool,
}

impl Login {
    /// MQTT 5, a clean start, no credentials.
    pub(crate) fn new(id: &str) -> Self {
        Self {
            version: Version::V5,
            id: id.to_owned(),
            username: None,
            password: None,
            clean: true,
            expiry_s: 0,
            keepalive_s: 60,
            will: None,
            auth_method: None,
            bridge: false,
        }
    }

    /// This device of [`super::Fleet::with_passwords`], with a client id that belongs to it.
    pub(crate) fn of(name: &str) -> Self {
        Self::new(name).user(name).password("right")
    }

    pub(crate) fn version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    pub(crate) fn v311(self) -> Self {
        self.version(Version::V311)
    }

    pub(crate) fn user(self, name: &str) -> Self {
        Self { username: Some(name.to_owned()), ..self }
    }

    pub(crate) fn password(self, password: impl Into<Vec<u8>>) -> Self {
        Self { password: Some(password.into()), ..self }
    }

    /// A session that is resumed and outlives the connection.
    pub(crate) fn persistent(self) -> Self {
        Self { clean: false, expiry_s: 3600, ..self }
    }

    pub(crate) fn will(self, will: Will) -> Self {
        Self { will: Some(will), ..self }
    }

    pub(crate) fn auth_method(self, method: &str) -> Self {
        Self { auth_method: Some(method.to_owned()), ..self }
    }

    /// The CONNECT packet (MQTT 5.0 §3.1).
    pub(crate) fn packet(&self) -> Vec<u8> {
        let v5 = self.version == Version::V5;
        let mut flags = u8::from(self.clean) << 1;
        if let Some(will) = &self.will {
            flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
        }
        flags |= u8::from(self.password.is_some()) << 6 | u8::from(self.username.is_some()) << 7;
        let mut body = Vec::new();
        push_data(&mut body, if self.version == Version::V31 { "MQIsdp" } else { "MQTT" });
        body.extend([self.version as u8 | u8::from(self.bridge) << 7, flags]);
        body.extend(self.keepalive_s.to_be_bytes());
        if v5 {
            let mut properties = Vec::new();
            if self.expiry_s > 0 {
                properties.push(0x11);
                properties.extend(self.expiry_s.to_be_bytes());
            }
            if let Some(method) = &self.auth_method {
                properties.push(0x15);
                push_data(&mut properties, method);
            }
            push_varint(&mut body, properties.len());
            body.extend(properties);
        }
        push_data(&mut body, &self.id);
        if let Some(will) = &self.will {
            if v5 {
                body.push(if will.delay_s > 0 { 5 } else { 0 });
                if will.delay_s > 0 {
                    body.push(0x18);
                    body.extend(will.delay_s.to_be_bytes());
                }
            }
            push_data(&mut body, &will.topic);
            push_data(&mut body, &will.payload);
        }
        for field in
            [self.username.as_deref().map(str::as_bytes), self.password.as_deref()].into_iter().flatten()
        {
            push_data(&mut body, field);
        }
        packet(kind::CONNECT << 4, &body)
    }
}

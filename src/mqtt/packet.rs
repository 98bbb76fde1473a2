//! Packets as bytes. SOURCE: MQTT 3.1.1 and MQTT 5.0, sections 2 and 3; the sections named below are those of 5.0.

use super::{MAX_PACKET_BYTES, MqttError, Version};

/// What a client says first. It asks for a clean start, without a will.
#[derive(Clone, Copy)]
pub struct Connect<'a> {
    /// Which MQTT is spoken from here on.
    pub version: Version,
    /// May be empty; the broker then chooses one.
    pub client_id: &'a str,
    /// Who it says it is.
    pub username: Option<&'a str>,
    /// Bytes; without a user name only MQTT 5.0 has a place for it.
    pub password: Option<&'a [u8]>,
    /// Seconds between packets after which the broker may give up; 0 for never.
    pub keep_alive_s: u16,
}

/// A message that was published.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// Topic name; empty where MQTT 5.0 sent an alias, which this client never allows.
    pub topic: String,
    /// Content.
    pub payload: Vec<u8>,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The retain flag.
    pub retain: bool,
    /// Packet identifier; 0 at QoS 0.
    pub id: u16,
}

/// What a broker sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packet {
    /// The answer to CONNECT.
    ConnAck {
        /// Whether the broker had a session of this client id.
        session_present: bool,
        /// 0 is welcome; else a return code (3.1.1) or a reason code (5.0).
        code: u8,
    },
    /// A message.
    Publish(Message),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack {
        /// Packet type: 4 to 7.
        kind: u8,
        /// Packet identifier.
        id: u16,
        /// Reason code; always 0 in MQTT 3.1.1.
        code: u8,
    },
    /// The answer to SUBSCRIBE.
    SubAck {
        /// Packet identifier.
        id: u16,
        /// One for each filter: the QoS granted, or 0x80 and above for a refusal.
        codes: Vec<u8>,
    },
    /// The answer to UNSUBSCRIBE.
    UnsubAck {
        /// Packet identifier.
        id: u16,
        /// One for each filter; none in MQTT 3.1.1.
        codes: Vec<u8>,
    },
    /// The answer to PINGREQ.
    PingResp,
    /// The broker ends the session (MQTT 5.0), with this reason code.
    Disconnect(u8),
}

impl Packet {
    /// Takes the first whole packet out of `bytes`; `None` while it is not whole.
    ///
    /// # Errors
    ///
    /// It is longer than [`MAX_PACKET_BYTES`], or not what a broker may send; `bytes` are of no use then.
    pub fn take(bytes: &mut Vec<u8>, version: Version) -> Result<Option<Self>, MqttError> {
        if let Some(first) = bytes.first() {
            judge(*first)?;
        }
        let Some((length, used)) = remaining_length(bytes.get(1..).unwrap_or_default())? else {
            return Ok(None);
        };
        let (start, end) = (1 + used, 1 + used + length);
        let (Some(first), Some(body)) = (bytes.first().copied(), bytes.get(start..end)) else {
            return Ok(None);
        };
        let packet = Self::read(first, &mut Body { bytes: body, version });
        bytes.drain(..end);
        packet.map(Some)
    }

    fn read(first: u8, body: &mut Body<'_>) -> Result<Self, MqttError> {
        let kind = first >> 4;
        Ok(match kind {
            2 => Self::ConnAck { session_present: body.byte()? & 1 == 1, code: body.byte()? },
            3 => {
                let (qos, retain) = (first >> 1 & 3, first & 1 == 1);
                if qos == 3 {
                    return Err(MqttError::Malformed("a message with QoS 3"));
                }
                let topic = body.text()?;
                let id = if qos > 0 { body.id()? } else { 0 };
                body.skip_properties()?;
                Self::Publish(Message { topic, payload: body.bytes.to_vec(), qos, retain, id })
            }
            4..=7 => Self::Ack { kind, id: body.id()?, code: body.byte().unwrap_or(0) },
            9 | 11 => {
                let id = body.id()?;
                body.skip_properties()?;
                let codes = body.bytes.to_vec();
                if kind == 9 { Self::SubAck { id, codes } } else { Self::UnsubAck { id, codes } }
            }
            13 => Self::PingResp,
            14 => Self::Disconnect(body.byte().unwrap_or(0)),
            _ => return Err(MqttError::Malformed("a packet that no broker sends")),
        })
    }
}

/// Whether a broker's packet can begin so: what speaks another protocol shows it by its first byte (sections 2.1.2, 2.1.3).
fn judge(first: u8) -> Result<(), MqttError> {
    let flags = first & 0xf;
    let fits = match first >> 4 {
        3 => true,
        6 => flags == 2,
        2 | 4 | 5 | 7 | 9 | 11 | 13 | 14 => flags == 0,
        _ => false,
    };
    if fits { Ok(()) } else { Err(MqttError::Malformed("a packet that no broker sends")) }
}

/// What is left of a packet after its length.
struct Body<'b> {
    bytes: &'b [u8],
    version: Version,
}

impl Body<'_> {
    fn byte(&mut self) -> Result<u8, MqttError> {
        let (first, rest) = self.bytes.split_first().ok_or(SHORT)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn id(&mut self) -> Result<u16, MqttError> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    fn text(&mut self) -> Result<String, MqttError> {
        let length = usize::from(self.id()?);
        let (text, rest) = self.bytes.split_at_checked(length).ok_or(SHORT)?;
        self.bytes = rest;
        String::from_utf8(text.to_vec()).map_err(|_| MqttError::Malformed("a topic that is no UTF-8"))
    }

    /// MQTT 5.0 only; none of them matter to a client that asked for nothing special.
    fn skip_properties(&mut self) -> Result<(), MqttError> {
        if self.version == Version::V5 {
            let (length, used) = remaining_length(self.bytes)?.ok_or(SHORT)?;
            self.bytes = self.bytes.get(used + length..).ok_or(SHORT)?;
        }
        Ok(())
    }
}

const SHORT: MqttError = MqttError::Malformed("a packet that ends too early");

/// A variable byte integer (section 1.5.5) and how many bytes it took; `None` while it is not whole.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, MqttError> {
    let mut number = 0_usize;
    for (index, byte) in bytes.iter().enumerate() {
        if index == 4 {
            return Err(MqttError::Malformed("a length of more than four bytes"));
        }
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return if number > MAX_PACKET_BYTES {
                Err(MqttError::TooLong)
            } else {
                Ok(Some((number, index + 1)))
            };
        }
    }
    if bytes.len() >= 4 { Err(MqttError::Malformed("a length of more than four bytes")) } else { Ok(None) }
}

/// CONNECT (section 3.1).
pub(super) fn connect(connect: &Connect<'_>) -> Result<Vec<u8>, MqttError> {
    let mut body = Vec::new();
    push_data(&mut body, b"MQTT")?;
    body.push(if connect.version == Version::V5 { 5 } else { 4 });
    let clean_start = 0x02;
    let username = if connect.username.is_some() { 0x80 } else { 0 };
    let password = if connect.password.is_some() { 0x40 } else { 0 };
    body.push(clean_start | username | password);
    body.extend(connect.keep_alive_s.to_be_bytes());
    push_no_properties(&mut body, connect.version);
    push_data(&mut body, connect.client_id.as_bytes())?;
    for data in [connect.username.map(str::as_bytes), connect.password].into_iter().flatten() {
        push_data(&mut body, data)?;
    }
    packet(0x10, &body)
}

/// PUBLISH (section 3.3); the identifier is written if the QoS is not 0.
pub(super) fn publish(message: &Message, version: Version) -> Result<Vec<u8>, MqttError> {
    let mut body = Vec::new();
    push_data(&mut body, message.topic.as_bytes())?;
    if message.qos > 0 {
        body.extend(message.id.to_be_bytes());
    }
    push_no_properties(&mut body, version);
    body.extend(&message.payload);
    packet(0x30 | (message.qos & 3) << 1 | u8::from(message.retain), &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP that says that all is well (sections 3.4 to 3.7).
pub(super) fn ack(kind: u8, id: u16) -> Result<Vec<u8>, MqttError> {
    let flags = if kind == 6 { 2 } else { 0 };
    packet(kind << 4 | flags, &id.to_be_bytes())
}

/// SUBSCRIBE with one QoS for all filters (section 3.8).
pub(super) fn subscribe(
    id: u16,
    filters: &[&str],
    (qos, version): (u8, Version),
) -> Result<Vec<u8>, MqttError> {
    let mut body = id.to_be_bytes().to_vec();
    push_no_properties(&mut body, version);
    for filter in filters {
        push_data(&mut body, filter.as_bytes())?;
        body.push(qos);
    }
    packet(0x82, &body)
}

/// UNSUBSCRIBE (section 3.10).
pub(super) fn unsubscribe(id: u16, filters: &[&str], version: Version) -> Result<Vec<u8>, MqttError> {
    let mut body = id.to_be_bytes().to_vec();
    push_no_properties(&mut body, version);
    for filter in filters {
        push_data(&mut body, filter.as_bytes())?;
    }
    packet(0xa2, &body)
}

/// PINGREQ (section 3.12).
pub(super) const PING: [u8; 2] = [0xc0, 0];

/// DISCONNECT (section 3.14).
pub(super) const DISCONNECT: [u8; 2] = [0xe0, 0];

fn push_no_properties(body: &mut Vec<u8>, version: Version) {
    if version == Version::V5 {
        body.push(0);
    }
}

/// Bytes with their length in two bytes before them.
fn push_data(body: &mut Vec<u8>, data: &[u8]) -> Result<(), MqttError> {
    body.extend(u16::try_from(data.len()).map_err(|_| MqttError::TooLong)?.to_be_bytes());
    body.extend(data);
    Ok(())
}

fn packet(first: u8, body: &[u8]) -> Result<Vec<u8>, MqttError> {
    if body.len() > MAX_PACKET_BYTES {
        return Err(MqttError::TooLong);
    }
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest % 128).unwrap_or_default();
        rest /= 128;
        bytes.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    bytes.extend(body);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bytes: &[u8], version: Version) -> Result<Option<Packet>, MqttError> {
        Packet::take(&mut bytes.to_vec(), version)
    }

    #[test]
    fn what_is_written_is_what_the_standard_shows() {
        let login = Connect {
            version: Version::V5,
            client_id: "c",
            username: Some("u"),
            password: Some(b"p"),
            keep_alive_s: 10,
        };
        assert_eq!(
            connect(&login).unwrap(),
            b"\x10\x14\x00\x04MQTT\x05\xc2\x00\x0a\x00\x00\x01c\x00\x01u\x00\x01p"
        );
        let older = Connect { version: Version::V311, username: None, password: None, ..login };
        assert_eq!(connect(&older).unwrap(), b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01c");
        assert_eq!(subscribe(7, &["a/#"], (1, Version::V5)).unwrap(), b"\x82\x09\x00\x07\x00\x00\x03a/#\x01");
        assert_eq!(unsubscribe(7, &["a"], Version::V311).unwrap(), b"\xa2\x05\x00\x07\x00\x01a");
        assert_eq!(ack(4, 258).unwrap(), b"\x40\x02\x01\x02");
    }

    #[test]
    fn a_message_comes_back_as_it_was_sent() {
        for version in [Version::V311, Version::V5] {
            for (qos, id) in [(0, 0), (1, 9), (2, 65_535)] {
                let message =
                    Message { topic: "a/é".into(), payload: vec![7; 300], qos, retain: qos == 1, id };
                let mut bytes = publish(&message, version).unwrap();
                let whole = bytes.clone();
                for end in 0..whole.len() {
                    assert_eq!(taken(&whole[..end], version).unwrap(), None, "{end}");
                }
                bytes.push(0xd0);
                assert_eq!(Packet::take(&mut bytes, version).unwrap(), Some(Packet::Publish(message)));
                assert_eq!(bytes, [0xd0], "what follows is left");
            }
        }
    }

    #[test]
    fn answers_are_read_in_both_versions() {
        for (bytes, version, packet) in [
            (
                &b"\x20\x03\x00\x87\x00"[..],
                Version::V5,
                Packet::ConnAck { session_present: false, code: 0x87 },
            ),
            (b"\x40\x02\x00\x01", Version::V5, Packet::Ack { kind: 4, id: 1, code: 0 }),
            (b"\x40\x03\x00\x01\x87", Version::V5, Packet::Ack { kind: 4, id: 1, code: 0x87 }),
            (b"\x90\x04\x00\x02\x00\x80", Version::V311, Packet::SubAck { id: 2, codes: vec![0, 0x80] }),
            (b"\x90\x05\x00\x02\x00\x01\x87", Version::V5, Packet::SubAck { id: 2, codes: vec![1, 0x87] }),
            (b"\xb0\x02\x00\x03", Version::V311, Packet::UnsubAck { id: 3, codes: vec![] }),
            (b"\xd0\x00", Version::V311, Packet::PingResp),
            (b"\xe0\x00", Version::V5, Packet::Disconnect(0)),
            (b"\xe0\x02\x98\x00", Version::V5, Packet::Disconnect(0x98)),
        ] {
            assert_eq!(taken(bytes, version).unwrap(), Some(packet), "{bytes:?}");
        }
    }

    #[test]
    fn hostile_bytes_are_an_error_and_cost_nothing() {
        for bytes in [
            &b"\x20\x00"[..],
            b"\x30\x02\x00\x05",
            b"\x36\x05\x00\x01a\x00\x01",
            b"\x30\x03\x00\x01\xff",
            b"\x10\x00",
            b"\x00\x00",
            b"\x30\xff\xff\xff\x7f",
            b"\x30\xff\xff\xff\xff",
            b"\x90\x03\x00\x01\xff",
        ] {
            assert!(taken(bytes, Version::V5).is_err(), "{bytes:?}");
        }
        assert!(push_data(&mut Vec::new(), &[0; 65_536]).is_err());
    }
}

//! MQTT packets as bytes: MQTT 3.1.1 §2 and MQTT 5.0 §2.

/// One packet as it came: the first byte, and what follows the length.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Packet {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

/// Types of packets (§2.1.2), in the high four bits of the first byte.
pub(crate) mod kind {
    pub(crate) const CONNECT: u8 = 1;
    pub(crate) const CONNACK: u8 = 2;
    pub(crate) const PUBLISH: u8 = 3;
    pub(crate) const PUBACK: u8 = 4;
    pub(crate) const PUBREC: u8 = 5;
    pub(crate) const PUBREL: u8 = 6;
    pub(crate) const PUBCOMP: u8 = 7;
    pub(crate) const SUBSCRIBE: u8 = 8;
    pub(crate) const SUBACK: u8 = 9;
    pub(crate) const UNSUBSCRIBE: u8 = 10;
    pub(crate) const UNSUBACK: u8 = 11;
    pub(crate) const PINGREQ: u8 = 12;
    pub(crate) const PINGRESP: u8 = 13;
    pub(crate) const DISCONNECT: u8 = 14;
}

impl Packet {
    pub(crate) const fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The packet identifier at the start of the body, or 0.
    pub(crate) fn id(&self) -> u16 {
        self.body.get(..2).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Takes the first whole packet out of these bytes.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let (length, used) = varint(bytes.get(1..)?)?;
        let body = bytes.get(1 + used..1 + used + length)?.to_vec();
        let first = bytes[0];
        bytes.drain(..1 + used + length);
        Some(Self { first, body })
    }
}

/// The bytes of a packet with this first byte and this body.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    push_varint(&mut bytes, body.len());
    bytes.extend(body);
    bytes
}

/// Bytes with their length in two bytes before them: strings and binary data.
pub(crate) fn push_data(bytes: &mut Vec<u8>, data: impl AsRef<[u8]>) {
    let data = data.as_ref();
    bytes.extend(u16::try_from(data.len()).expect("at most 65,535 bytes").to_be_bytes());
    bytes.extend(data);
}

/// A variable byte integer (§1.5.5).
pub(crate) fn push_varint(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number % 128) as u8;
        number /= 128;
        bytes.push(if number > 0 { low | 0x80 } else { low });
        if number == 0 {
            return;
        }
    }
}

/// A variable byte integer and how many bytes it took.
pub(crate) fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}

//! What a client does with packets it did not ask for, and what it reads in answers.

use super::{Client, Gone, Message, PATIENCE, Packet, Version, kind, packet, push_varint, varint};

impl Client {
    /// Takes a message in and acknowledges it; false if the packet belongs to no delivery.
    pub(super) fn digest(&mut self, incoming: &Packet) -> bool {
        match incoming.kind() {
            kind::PUBLISH => {
                let (message, id) = self.message(incoming);
                let answer = if message.qos == 2 { kind::PUBREC } else { kind::PUBACK };
                if message.qos > 0 {
                    let _ = self.send(&packet(answer << 4, &id));
                }
                self.messages.push_back(message);
                true
            }
            kind::PUBREL => {
                let _ = self.send(&packet(kind::PUBCOMP << 4, &incoming.id().to_be_bytes()));
                true
            }
            _ => false,
        }
    }

    /// MQTT 5.0 §3.3.  The packet identifier is empty at QoS 0.
    fn message(&self, incoming: &Packet) -> (Message, Vec<u8>) {
        let qos = incoming.first >> 1 & 3;
        let length = usize::from(incoming.id());
        let (topic, rest) = incoming.body[2..].split_at(length);
        let (id, mut rest) = rest.split_at(if qos > 0 { 2 } else { 0 });
        if self.version == Version::V5 {
            let (properties, used) = varint(rest).expect("a length of properties");
            rest = &rest[used + properties..];
        }
        let message = Message {
            topic: String::from_utf8(topic.to_vec()).expect("topics are UTF-8"),
            payload: rest.to_vec(),
            qos,
            retain: incoming.first & 1 == 1,
        };
        (message, id.to_vec())
    }

    /// A fresh packet identifier, and the start of a body with it and no properties.
    pub(super) fn numbered(&mut self) -> (u16, Vec<u8>) {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let mut body = self.last_id.to_be_bytes().to_vec();
        if self.version == Version::V5 {
            push_varint(&mut body, 0);
        }
        (self.last_id, body)
    }

    /// The codes of a SUBACK or UNSUBACK, one for each filter (none in an UNSUBACK of MQTT 3.1.1).
    pub(super) fn codes(&self, answer: &Packet) -> Vec<u8> {
        let rest = &answer.body[2..];
        if self.version != Version::V5 {
            return rest.to_vec();
        }
        let (properties, used) = varint(rest).expect("a length of properties");
        rest[used + properties..].to_vec()
    }

    pub(super) fn gone(&self, farewell: Option<&Packet>) -> Gone {
        Gone { reason: farewell.map(|packet| packet.body.first().copied().unwrap_or(0)) }
    }

    /// Nothing more can be sent; a DISCONNECT may still be there to be read.
    pub(super) fn last_words(&mut self, gone: Gone) -> Result<(), Gone> {
        while let Ok(Some(packet)) = self.read(PATIENCE) {
            if packet.kind() == kind::DISCONNECT {
                return Err(self.gone(Some(&packet)));
            }
            self.digest(&packet);
        }
        Err(gone)
    }
}

/// The reason in a PUBACK, PUBREC or PUBCOMP; left out, it is 0 (MQTT 5.0 §3.4.2.1).
pub(super) fn reason(answer: &Packet) -> u8 {
    answer.body.get(2).copied().unwrap_or(0)
}

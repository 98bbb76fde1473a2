//! An MQTT client for MQTT 3.1.1 and 5.0 that does as it is told, wise or not.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use super::{
    Door, Login, PATIENCE, Version, Wire,
    packet::{Packet, kind, packet, push_data, push_varint, varint},
};

mod incoming;

use incoming::reason;

/// Why there is no connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// The reason (MQTT 5) or return code (MQTT 3.1.1) of the CONNACK.
    Connack(u8),
    /// The broker closed without a CONNACK.
    Closed,
    /// No connection below MQTT: TLS, websocket; the text says what.
    Below(String),
}

/// The connection has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Gone {
    /// The reason of the broker's DISCONNECT (MQTT 5), if it sent one.
    pub(crate) reason: Option<u8>,
}

/// A message that the broker delivered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

/// A message to publish.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    topic: String,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
}

impl Publish {
    /// At QoS 1, with a short payload.
    pub(crate) fn to(topic: &str) -> Self {
        Self { topic: topic.to_owned(), payload: b"x".to_vec(), qos: 1, retain: false }
    }

    pub(crate) fn payload(self, payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..self }
    }

    pub(crate) fn qos(self, qos: u8) -> Self {
        Self { qos, ..self }
    }

    pub(crate) fn retained(self) -> Self {
        Self { retain: true, ..self }
    }
}

/// A connection that the broker has accepted.  Dropped, it is gone without a DISCONNECT.
pub(crate) struct Client {
    wire: Wire,
    version: Version,
    bytes: Vec<u8>,
    messages: VecDeque<Message>,
    last_id: u16,
    /// Did the broker keep a session for this client?
    pub(crate) session_present: bool,
}

impl Client {
    /// Connects, and says what the broker answered.
    pub(crate) fn open(door: &Door, login: &Login) -> Result<Self, Refused> {
        let wire = Wire::open(door).map_err(|e| Refused::Below(e.to_string()))?;
        let mut client = Self {
            wire,
            version: login.version,
            bytes: Vec::new(),
            messages: VecDeque::new(),
            last_id: 0,
            session_present: false,
        };
        let sent = client.wire.write(&login.packet());
        let answer = match (sent, client.read(PATIENCE)) {
            (_, Ok(Some(answer))) => answer,
            (Err(e), _) => return Err(Refused::Below(e.to_string())),
            (_, Ok(None)) => return Err(Refused::Closed),
            (_, Err(e)) => return Err(Refused::Below(e.to_string())),
        };
        assert_eq!(answer.kind(), kind::CONNACK, "no CONNACK: {answer:?}");
        client.session_present = answer.body[0] & 1 == 1;
        match answer.body[1] {
            0 => Ok(client),
            code => Err(Refused::Connack(code)),
        }
    }

    /// Connects; a refusal is a failure.
    #[track_caller]
    pub(crate) fn welcome(door: &Door, login: &Login) -> Self {
        Self::open(door, login).unwrap_or_else(|refused| panic!("{login:?} is refused: {refused:?}"))
    }

    /// Connects; to be accepted is a failure.
    #[track_caller]
    pub(crate) fn unwelcome(door: &Door, login: &Login) -> Refused {
        Self::open(door, login).err().unwrap_or_else(|| panic!("{login:?} is accepted"))
    }

    /// The broker's answer to this filter: the granted QoS, or a refusal (at least 0x80).
    #[track_caller]
    pub(crate) fn subscribe(&mut self, filter: &str) -> u8 {
        self.try_subscribe(&[(filter, 2)]).expect("the broker stays")[0]
    }

    /// The broker's answer to each of these filters with their QoS.
    pub(crate) fn try_subscribe(&mut self, filters: &[(&str, u8)]) -> Result<Vec<u8>, Gone> {
        let (id, mut body) = self.numbered();
        for (filter, qos) in filters {
            push_data(&mut body, filter);
            body.push(*qos);
        }
        self.ask(kind::SUBSCRIBE << 4 | 2, &body, (kind::SUBACK, id)).map(|answer| self.codes(&answer))
    }

    /// The broker's answer to an UNSUBSCRIBE: its reason (MQTT 5), or 0.
    #[track_caller]
    pub(crate) fn unsubscribe(&mut self, filter: &str) -> u8 {
        let (id, mut body) = self.numbered();
        push_data(&mut body, filter);
        let answer = self.ask(kind::UNSUBSCRIBE << 4 | 2, &body, (kind::UNSUBACK, id));
        self.codes(&answer.expect("the broker stays")).first().copied().unwrap_or(0)
    }

    /// Publishes, and what the broker answers; see [`Client::try_publish`].
    #[track_caller]
    pub(crate) fn publish(&mut self, message: &Publish) -> u8 {
        self.try_publish(message).expect("the broker stays")
    }

    /// The reason of the PUBACK, or of the PUBREC if that is a refusal, else of the PUBCOMP.  0 at QoS 0, and for
    /// MQTT 3.1.1, which has no reasons.
    pub(crate) fn try_publish(&mut self, message: &Publish) -> Result<u8, Gone> {
        let mut body = Vec::new();
        push_data(&mut body, &message.topic);
        let (id, rest) = if message.qos > 0 {
            self.numbered()
        } else {
            (0, if self.version == Version::V5 { vec![0] } else { Vec::new() })
        };
        body.extend(rest);
        body.extend(&message.payload);
        let first = kind::PUBLISH << 4 | message.qos << 1 | u8::from(message.retain);
        match message.qos {
            0 => self.send(&packet(first, &body)).map(|()| 0),
            1 => self.ask(first, &body, (kind::PUBACK, id)).map(|answer| reason(&answer)),
            _ => {
                let received = self.ask(first, &body, (kind::PUBREC, id))?;
                if reason(&received) >= 0x80 {
                    return Ok(reason(&received));
                }
                let done = self.ask(kind::PUBREL << 4 | 2, &id.to_be_bytes(), (kind::PUBCOMP, id))?;
                Ok(reason(&done))
            }
        }
    }

    /// The next message; none in time is a failure.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Message {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(message) = self.messages.pop_front() {
                return message;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.read(left) {
                Ok(Some(packet)) => assert!(self.digest(&packet), "instead of a message: {packet:?}"),
                Ok(None) => panic!("instead of a message, the connection ended"),
                Err(e) => panic!("no message: {e}"),
            }
        }
    }

    /// Everything that the broker had for this client when it answered a PINGREQ sent now.
    ///
    /// After another client's publish was acknowledged, what is not here was not delivered.
    #[track_caller]
    pub(crate) fn delivered(&mut self) -> Vec<Message> {
        self.ping().expect("the broker stays");
        self.messages.drain(..).collect()
    }

    /// Everything that had come when the broker answered a PINGREQ sent now, and whether it did: it may have ended the
    /// connection instead.
    pub(crate) fn so_far(&mut self) -> (Vec<Message>, bool) {
        let stays = self.ping().is_ok();
        (self.messages.drain(..).collect(), stays)
    }

    /// Whether the broker took up an earlier TLS session.
    pub(crate) fn has_resumed_tls(&self) -> bool {
        self.wire.has_resumed_tls()
    }

    /// The next packet has the same identifier as the last one.
    pub(crate) fn repeat_id(&mut self) {
        self.last_id -= 1;
    }

    /// PINGREQ and PINGRESP.
    pub(crate) fn ping(&mut self) -> Result<(), Gone> {
        self.ask(kind::PINGREQ << 4, &[], (kind::PINGRESP, 0)).map(drop)
    }

    /// Waits until the broker ends the connection, and says why if it did.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> Gone {
        loop {
            match self.read(PATIENCE) {
                Ok(Some(packet)) => {
                    if packet.kind() == kind::DISCONNECT {
                        return self.gone(Some(&packet));
                    }
                    self.digest(&packet);
                }
                Ok(None) => return Gone { reason: None },
                Err(e) => panic!("the broker does not end the connection: {e}"),
            }
        }
    }

    /// DISCONNECT, and until the broker has closed: no will is sent.
    pub(crate) fn disconnect(self) {
        self.leave(&packet(kind::DISCONNECT << 4, &[]));
    }

    /// DISCONNECT with will message (MQTT 5.0 §3.14.2.1, reason 4).
    pub(crate) fn disconnect_with_will(self) {
        self.leave(&packet(kind::DISCONNECT << 4, &[4]));
    }

    fn leave(mut self, farewell: &[u8]) {
        if self.wire.write(farewell).is_ok() {
            while let Ok(Some(_)) = self.read(PATIENCE) {}
        }
    }

    /// Any bytes at all.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.wire.write(bytes).map_err(|_| Gone { reason: None })
    }

    /// The next packet, whatever it is; `None` at the end of the connection.
    pub(crate) fn read(&mut self, patience: Duration) -> io::Result<Option<Packet>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(packet) = Packet::take(&mut self.bytes) {
                return Ok(Some(packet));
            }
            let bytes = self.wire.read(deadline)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.bytes.extend(bytes);
        }
    }

    /// Sends a packet and waits for its answer; messages that come in between are kept.  Identifier 0: any.
    fn ask(&mut self, first: u8, body: &[u8], (answer, id): (u8, u16)) -> Result<Packet, Gone> {
        self.send(&packet(first, body)).or_else(|gone| self.last_words(gone))?;
        loop {
            match self.read(PATIENCE) {
                Ok(Some(packet)) if packet.kind() == answer && (id == 0 || packet.id() == id) => {
                    return Ok(packet);
                }
                Ok(Some(packet)) if packet.kind() == kind::DISCONNECT => {
                    return Err(self.gone(Some(&packet)));
                }
                Ok(Some(packet)) => assert!(self.digest(&packet), "unexpected {packet:?}"),
                Ok(None) => return Err(self.gone(None)),
                Err(e) => panic!("no answer {answer} to {first:#x}: {e}"),
            }
        }
    }
}

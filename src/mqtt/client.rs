//! A client that asks one thing at a time and waits for the answer.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
};

use super::{
    MqttError, Version,
    packet::{self, Connect, Message, Packet},
};

/// A session with a broker. How long an answer may take is the stream's affair: without a read timeout it waits for
/// ever. Dropping it closes the stream without a good-bye.
pub struct Client<S> {
    stream: S,
    version: Version,
    /// Bytes that are no whole packet yet.
    unread: Vec<u8>,
    /// Messages that came while something else was waited for.
    messages: VecDeque<Message>,
    /// Whether such messages are kept.
    keeps: bool,
    last_id: u16,
}

/// What came of a CONNECT.
pub enum Connected<S> {
    /// A session.
    Yes(Client<S>),
    /// The broker refused, with this code of its CONNACK.
    No(u8),
}

impl<S: Read + Write> Client<S> {
    /// Says who it is over a stream that is open.
    ///
    /// # Errors
    ///
    /// The stream failed or was closed without an answer, or what came is no CONNACK.
    pub fn connect(stream: S, connect: &Connect<'_>) -> Result<Connected<S>, MqttError> {
        let mut client = Self {
            stream,
            version: connect.version,
            unread: Vec::new(),
            messages: VecDeque::new(),
            keeps: true,
            last_id: 0,
        };
        client.send(&packet::connect(connect)?)?;
        match client.read()? {
            Packet::ConnAck { code: 0, .. } => Ok(Connected::Yes(client)),
            Packet::ConnAck { code, .. } => Ok(Connected::No(code)),
            Packet::Disconnect(code) => Err(MqttError::Disconnected(code)),
            _ => Err(UNASKED),
        }
    }

    /// Lets go of messages that come while something else is waited for, however many there are.
    pub fn ignore_messages(&mut self) {
        self.keeps = false;
    }

    /// The stream, to change its timeouts.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Publishes with QoS 0; there is no answer.
    ///
    /// # Errors
    ///
    /// The stream failed.
    pub fn send_message(&mut self, topic: &str, payload: &[u8]) -> Result<(), MqttError> {
        let message = Message { topic: topic.to_owned(), payload: payload.to_vec(), ..Message::default() };
        self.send(&packet::publish(&message, self.version)?)
    }

    /// Publishes with QoS 1; the reason code of the answer, which only MQTT 5.0 has: below 0x80 for yes.
    ///
    /// # Errors
    ///
    /// The stream failed, or the broker ended the session.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<u8, MqttError> {
        let id = self.next_id();
        let message =
            Message { topic: topic.to_owned(), payload: payload.to_vec(), qos: 1, retain: false, id };
        self.send(&packet::publish(&message, self.version)?)?;
        self.wait(|packet| match packet {
            Packet::Ack { kind: 4, id: found, code } if *found == id => Some(*code),
            _ => None,
        })
    }

    /// Subscribes; a code for each filter: the QoS granted, or 0x80 and above for no.
    ///
    /// # Errors
    ///
    /// The stream failed, or the broker ended the session, as it does when a filter is malformed.
    pub fn subscribe(&mut self, filters: &[&str], qos: u8) -> Result<Vec<u8>, MqttError> {
        let id = self.next_id();
        self.send(&packet::subscribe(id, filters, (qos, self.version))?)?;
        self.wait(|packet| match packet {
            Packet::SubAck { id: found, codes } if *found == id => Some(codes.clone()),
            _ => None,
        })
    }

    /// Gives subscriptions up; a code for each filter in MQTT 5.0, none in 3.1.1.
    ///
    /// # Errors
    ///
    /// The stream failed, or the broker ended the session.
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Result<Vec<u8>, MqttError> {
        let id = self.next_id();
        self.send(&packet::unsubscribe(id, filters, self.version)?)?;
        self.wait(|packet| match packet {
            Packet::UnsubAck { id: found, codes } if *found == id => Some(codes.clone()),
            _ => None,
        })
    }

    /// Asks for a sign of life. What the broker sent before is then in [`Self::take_messages`].
    ///
    /// # Errors
    ///
    /// The stream failed, or the broker ended the session.
    pub fn ping(&mut self) -> Result<(), MqttError> {
        self.send(&packet::PING)?;
        self.wait(|packet| (*packet == Packet::PingResp).then_some(()))
    }

    /// The next message: the oldest that has come, else the one that is waited for.
    ///
    /// # Errors
    ///
    /// The stream failed, by its timeout for example, or the broker ended the session.
    pub fn message(&mut self) -> Result<Message, MqttError> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(message);
            }
            let packet = self.read()?;
            self.take_in(packet)?;
        }
    }

    /// All messages that have come while something else was waited for, oldest first.
    pub fn take_messages(&mut self) -> impl Iterator<Item = Message> + '_ {
        self.messages.drain(..)
    }

    /// Says good-bye and closes.
    ///
    /// # Errors
    ///
    /// The stream failed.
    pub fn disconnect(mut self) -> Result<(), MqttError> {
        self.send(&packet::DISCONNECT)
    }

    fn next_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), MqttError> {
        self.stream.write_all(bytes)?;
        Ok(self.stream.flush()?)
    }

    /// Reads until a packet is the answer; messages before it are kept.
    fn wait<T>(&mut self, answer: impl Fn(&Packet) -> Option<T>) -> Result<T, MqttError> {
        loop {
            let packet = self.read()?;
            if let Some(answer) = answer(&packet) {
                return Ok(answer);
            }
            self.take_in(packet)?;
        }
    }

    /// What comes without being asked for.
    fn take_in(&mut self, packet: Packet) -> Result<(), MqttError> {
        match packet {
            Packet::Publish(message) => {
                match message.qos {
                    0 => {}
                    1 => self.send(&packet::ack(4, message.id)?)?,
                    _ => self.send(&packet::ack(5, message.id)?)?,
                }
                if self.keeps {
                    self.messages.push_back(message);
                }
            }
            // A QoS 2 message is complete.
            Packet::Ack { kind: 6, id, .. } => self.send(&packet::ack(7, id)?)?,
            Packet::Disconnect(code) => return Err(MqttError::Disconnected(code)),
            _ => return Err(UNASKED),
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Packet, MqttError> {
        loop {
            if let Some(packet) = Packet::take(&mut self.unread, self.version)? {
                return Ok(packet);
            }
            let mut buffer = [0; 4096];
            let length = match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            match buffer.get(..length) {
                Some(bytes) if !bytes.is_empty() => self.unread.extend(bytes),
                _ => return Err(MqttError::Closed),
            }
        }
    }
}

const UNASKED: MqttError = MqttError::Malformed("an answer to what nobody asked");

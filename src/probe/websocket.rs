//! MQTT in the frames of a websocket (RFC 6455; MQTT 5.0 section 6).

use std::io::{self, Read, Write};

use tungstenite::{
    Error, Message, WebSocket,
    client::IntoClientRequest as _,
    handshake::HandshakeError,
    http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
};

use super::{Cause, Question, client_faults, server_faults};
use crate::mqtt::MqttError;

/// A stream whose bytes travel in binary frames.
pub(super) struct Frames<S> {
    socket: WebSocket<S>,
    /// Of the last frame, what was not read yet.
    unread: io::Cursor<Vec<u8>>,
}

/// Asks for a websocket on this stream.
pub(super) fn open<S: Read + Write>(question: &Question, stream: S) -> Result<Frames<S>, Cause> {
    let no = |observed: String| server_faults::no_websocket(question, observed);
    let mut request =
        question.target.to_string().into_client_request().map_err(|error| no(error.to_string()))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mqtt"));
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(Frames { socket, unread: io::Cursor::default() }),
        // As Mosquitto 2.0 answers on a port for MQTT alone. Over TLS it may be about the certificate.
        Err(HandshakeError::Failure(Error::Io(error)))
            if !question.target.tls && error.kind() == io::ErrorKind::ConnectionReset =>
        {
            Err(no(error.to_string()))
        }
        Err(HandshakeError::Failure(Error::Io(error))) => {
            Err(client_faults::closed(question, &MqttError::Io(error)))
        }
        Err(HandshakeError::Failure(error)) => Err(no(error.to_string())),
        Err(HandshakeError::Interrupted(_)) => {
            let late = io::Error::from(io::ErrorKind::TimedOut);
            Err(client_faults::closed(question, &MqttError::Io(late)))
        }
    }
}

impl<S: Read + Write> Read for Frames<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.unread.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.unread = io::Cursor::new(bytes.to_vec()),
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(0),
                Ok(Message::Text(_)) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a text frame"));
                }
                // Pings are answered by themselves.
                Ok(_) => {}
                Err(Error::Io(error)) => return Err(error),
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }
}

impl<S: Read + Write> Write for Frames<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.socket.send(Message::binary(bytes.to_vec()));
        sent.map(|()| bytes.len()).map_err(|error| match error {
            Error::Io(error) => error,
            error => io::Error::new(io::ErrorKind::BrokenPipe, error),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(|error| match error {
            Error::Io(error) => error,
            error => io::Error::new(io::ErrorKind::BrokenPipe, error),
        })
    }
}

//! How long a step may take, whatever the other side does meanwhile.

use std::{
    cell::Cell,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    rc::Rc,
    time::{Duration, Instant},
};

/// The end of the step that is under way, for all who wait for it.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    each: Duration,
    until: Rc<Cell<Instant>>,
}

impl Patience {
    /// The first step begins now.
    fn new(each: Duration) -> Self {
        Self { each, until: Rc::new(Cell::new(Instant::now() + each)) }
    }

    /// The next step begins now.
    pub(super) fn next_step(&self) {
        self.until.set(Instant::now() + self.each);
    }

    /// What is left of the step.
    ///
    /// # Errors
    ///
    /// `TimedOut`: nothing is.
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.get().saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// A connection on which a step ends in time also where the other side sends a byte now and then, or messages that
/// nobody asked for: the time limit of a socket is one for each read.
#[derive(Debug)]
pub(super) struct Patient {
    socket: TcpStream,
    patience: Patience,
}

impl Patient {
    /// Connects; the step goes on, so that what follows at once has what is left of `each`.
    ///
    /// # Errors
    ///
    /// There is no connection, or not in time.
    pub(super) fn connect(address: SocketAddr, each: Duration) -> io::Result<Self> {
        let patience = Patience::new(each);
        let socket = TcpStream::connect_timeout(&address, each)?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, patience })
    }

    /// To begin the next step with.
    pub(super) fn patience(&self) -> Patience {
        self.patience.clone()
    }
}

/// Whether an error means that the time of a step was over.
pub(super) fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.set_read_timeout(Some(self.patience.left()?))?;
            match self.socket.read(buffer) {
                // Linux ends a read that has a time limit when the process is continued after a stop (signal(7)).
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Write for Patient {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.patience.left()?))?;
        self.socket.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

//! The sockets that listen for longer than one run of a component: those that systemd hands over, and those that several
//! instances share. A component that binds the address of such a socket gets a clone of the socket, behind the same grants as
//! for a new one. Dropping the clone does not close the socket, so no connection is refused until the next bind.
//!
//! Every clone is in the poll of its own instance, and the system reports a new connection to all of them. The ones that have the
//! fewest sockets accept first ([`share`](super::share)). Each remembers until accept would block that it was told
//! ([`Listener`](super::listener::Listener)). So a connection waits only while all instances are full, and the first that has room
//! again accepts it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hello_failure::Failure;
use socket2::Socket;

use super::share::Counts;
use super::systemd;
use crate::grants::{Grants, is_same_place};

/// Sockets that listen, by address, for all instances of a component.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// If a socket that one instance binds is there for the next one: the number of sockets of each.
    counts: Option<Counts>,
    places: Mutex<Vec<Place>>,
}

/// A socket, and the address for which a component gets the socket.
#[derive(Debug)]
struct Place {
    /// The address that was asked for: its port may be 0.
    address: SocketAddr,
    /// `None`: no instance gets it any more.
    socket: Option<Socket>,
}

/// The use of a place by a socket of one instance, until the socket is dropped.
pub(super) type Loan = Arc<usize>;

/// The places that one instance uses: each once, so that a second bind of an address fails as it does without clones.
pub(super) type Loans = Vec<Weak<usize>>;

impl Listeners {
    /// Those that systemd hands over to this process. Call this before anything is opened: only then are the numbers of these
    /// descriptors certainly theirs.
    ///
    /// # Errors
    /// One of them cannot be used: its clients would wait for ever.
    pub(crate) fn from_system(shares: bool) -> Result<Self, Failure> {
        Ok(Listeners::new(shares, systemd::sockets()?))
    }

    pub(super) fn new(shares: bool, sockets: Vec<(SocketAddr, Socket)>) -> Self {
        let places = sockets.into_iter().map(|(address, socket)| Place { address, socket: Some(socket) });
        Listeners { counts: shares.then(Counts::default), places: Mutex::new(places.collect()) }
    }

    /// If several instances accept on each of them: the number of sockets of each.
    pub(super) fn counts(&self) -> Option<&Counts> {
        self.counts.as_ref()
    }

    /// Whether there are sockets from systemd.
    pub(crate) fn is_empty(&self) -> bool {
        self.places().is_empty()
    }

    /// # Errors
    /// `grants` lack the address and port of a socket from systemd, so the component never accepts its connections. A grant of
    /// port 0, any port, is not enough: a component that binds port 0 gets another one.
    pub(crate) fn check(&self, grants: &Grants) -> Result<(), Failure> {
        let places = self.places();
        match places.iter().find(|place| !grants.listen.iter().any(|&granted| place.is_at(granted))) {
            Some(place) => Err(systemd::not_granted(place.address)),
            None => Ok(()),
        }
    }

    /// Binds `socket`, or replaces it by a clone of the socket for this `address`, with the options of that one. An instance shares
    /// only what it `may_listen` on: other sockets may connect.
    ///
    /// # Errors
    /// Those of bind, or no descriptor is left.
    pub(super) fn bind(
        &self,
        socket: &mut Socket,
        address: SocketAddr,
        may_listen: bool,
        loans: &mut Loans,
    ) -> io::Result<Option<Loan>> {
        // The lock is held while the socket is bound: of two instances that bind at the same time one gets the clone.
        let mut places = self.places();
        loans.retain(|loan| loan.strong_count() > 0);
        let used: Vec<usize> = loans.iter().filter_map(Weak::upgrade).map(|loan| *loan).collect();
        let is_free = |(index, place): &(usize, &Place)| may_listen && place.is_at(address) && !used.contains(index);
        let index = match places.iter().enumerate().find(is_free) {
            Some((index, Place { socket: Some(shared), .. })) => {
                *socket = shared.try_clone()?;
                socket.set_nonblocking(true)?;
                index
            }
            _ => {
                // The port is free at once after a server has ended. Windows does that by itself, and means something else by it.
                #[cfg(not(windows))]
                let _ = socket.set_reuse_address(true);
                socket.bind(&address.into())?;
                if !(self.counts.is_some() && may_listen) {
                    return Ok(None);
                }
                places.push(Place { address, socket: Some(socket.try_clone()?) });
                places.len() - 1
            }
        };
        let loan = Arc::new(index);
        loans.push(Arc::downgrade(&loan));
        Ok(Some(loan))
    }

    /// Lets the system close the socket with its last clone: the component stops, and no instance is to come.
    pub(super) fn release(&self, loan: &Loan) {
        self.places()[**loan].socket = None;
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn is_at(&self, address: SocketAddr) -> bool {
        is_same_place(&self.address, &address) && self.address.port() == address.port() && self.socket.is_some()
    }
}

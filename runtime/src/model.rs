//! A model of the host, in memory: its budget, its clock, its connections. It has the pitfalls of wasmtime, and they occur every
//! time and at once: so native tests always find the mistakes that a load test finds now and then.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::host::Host;
use crate::listener::{Listener, ListeningSocket};
use crate::reactor::Source;
use crate::runtime::Runtime;
use crate::stream::Socket;

/// How many events tokio lets a task learn about in one turn.
pub const BUDGET: u32 = 128;

/// How many bytes a connection holds for a peer that does not read.
pub const ROOM: usize = 4096;

/// How many bytes a connection holds after [`Socket::grow_send_buffer`]: [`ROOM`], and more than the largest write.
const MOST_ROOM: usize = ROOM + MOST_WRITTEN + 1;

/// How many bytes may be written at a time.
const MOST_WRITTEN: usize = 64 * 1024;

/// A model of the host. A clone is a handle to the same model.
#[derive(Debug, Clone)]
pub struct Model(Rc<World>);

#[derive(Debug)]
struct World {
    now: Cell<u64>,
    wall_clock: Cell<Duration>,
    budget: Cell<u32>,
    /// How many pollables were made: the answers of `poll` are in the order in which they were made.
    pollables: Cell<u64>,
    /// How often `poll` was called.
    polls: Cell<u64>,
    /// How often `poll` was called with several pollables: to wait, and not for a turn of the host.
    waits: Cell<u64>,
    /// How many pollables all calls of `poll` had together.
    questions: Cell<u64>,
    /// How many nanoseconds `poll` takes for one pollable.
    cost: Cell<u64>,
    /// Whether the process stood still without a turn of the host since: the host knows of no bytes that came, and of no room.
    halted: Cell<bool>,
    /// The function to call the next time that the host waits.
    meanwhile: RefCell<Option<Meanwhile>>,
}

struct Meanwhile(Box<dyn FnOnce()>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

/// The event that a [`Pollable`] waits for.
#[derive(Debug, Clone)]
enum Kind {
    Alarm(u64),
    /// Ready, with or without budget; the first poll of it is a turn of the host.
    Always {
        asked: Cell<bool>,
    },
    Readable(Rc<Pipe>),
    Writable(Rc<Pipe>),
    Callers(Rc<RefCell<VecDeque<Line>>>),
    /// Ready while the test sets this flag.
    Flag(Rc<Cell<bool>>),
}

/// A pollable of the model.
#[derive(Debug)]
pub struct Pollable {
    number: u64,
    kind: Kind,
}

impl Default for Model {
    fn default() -> Self {
        Model::new()
    }
}

impl Model {
    /// A host without connections, whose clock stands still until a call waits.
    pub fn new() -> Self {
        Model(Rc::new(World {
            now: Cell::new(1_000_000_000),
            wall_clock: Cell::new(Duration::from_secs(784_111_777)),
            budget: Cell::new(BUDGET),
            pollables: Cell::new(0),
            polls: Cell::new(0),
            waits: Cell::new(0),
            questions: Cell::new(0),
            cost: Cell::new(0),
            halted: Cell::new(false),
            meanwhile: RefCell::default(),
        }))
    }

    fn pollable(&self, kind: Kind) -> Pollable {
        self.0.pollables.set(self.0.pollables.get() + 1);
        Pollable { number: self.0.pollables.get(), kind }
    }

    /// A pollable that is ready while `flag` is set.
    pub fn flag(&self, flag: &Rc<Cell<bool>>) -> Pollable {
        self.pollable(Kind::Flag(Rc::clone(flag)))
    }

    /// How often `poll` was called.
    pub fn polls(&self) -> u64 {
        self.0.polls.get()
    }

    /// How many pollables all calls of `poll` had together.
    pub fn questions(&self) -> u64 {
        self.0.questions.get()
    }

    /// Sets how many nanoseconds `poll` takes for each pollable, from now on.
    pub fn set_cost(&self, nanoseconds: u64) {
        self.0.cost.set(nanoseconds);
    }

    /// Sets the budget that is left, as if other events had used it.
    pub fn set_budget(&self, budget: u32) {
        self.0.budget.set(budget.min(BUDGET));
    }

    /// Lets time pass.
    pub fn pass(&self, nanoseconds: u64) {
        self.0.now.set(self.0.now.get() + nanoseconds);
        self.0.wall_clock.set(self.0.wall_clock.get() + Duration::from_nanos(nanoseconds));
    }

    /// Calls `this` the next time that the host waits, before anything else happens.
    pub fn meanwhile(&self, this: impl FnOnce() + 'static) {
        self.0.meanwhile.replace(Some(Meanwhile(Box::new(this))));
    }

    /// Halts the whole process for `nanoseconds`. The host notices the actions of peers in its next turn.
    pub fn halt(&self, nanoseconds: u64) {
        self.0.halted.set(true);
        self.pass(nanoseconds);
    }

    /// Sets the time of day.
    pub fn set_wall_clock(&self, since_1970: Duration) {
        self.0.wall_clock.set(since_1970);
    }

    fn turn(&self) {
        self.0.budget.set(BUDGET);
        self.0.halted.set(false);
    }

    /// Takes one from the budget. Returns false if the budget was spent.
    fn spend(&self) -> bool {
        let budget = self.0.budget.get();
        self.0.budget.set(budget.saturating_sub(1));
        budget > 0
    }

    /// Whether `pollable` is ready, without regard to the budget.
    fn is_ready(&self, pollable: &Pollable) -> bool {
        match &pollable.kind {
            Kind::Alarm(at) => *at <= self.0.now.get(),
            Kind::Always { .. } => true,
            Kind::Readable(pipe) => !self.0.halted.get() && pipe.has_news(),
            Kind::Writable(pipe) => !self.0.halted.get() && pipe.has_room(),
            Kind::Callers(callers) => !self.0.halted.get() && !callers.borrow().is_empty(),
            Kind::Flag(flag) => flag.get(),
        }
    }

    /// The indices of the ready `pollables`, as far as the budget goes.
    fn ask(&self, pollables: &[&Pollable]) -> Vec<u32> {
        let mut order: Vec<usize> = (0..pollables.len()).collect();
        order.sort_by_key(|&index| pollables[index].number);
        order.retain(|&index| {
            let pollable = pollables[index];
            if let Kind::Always { asked } = &pollable.kind {
                if !asked.replace(true) {
                    self.turn();
                }
                return true;
            }
            self.is_ready(pollable) && self.spend()
        });
        order.into_iter().map(|index| index as u32).collect()
    }
}

impl Host for Model {
    type Pollable = Pollable;

    fn poll(&self, pollables: &[&Pollable]) -> Vec<u32> {
        assert!(!pollables.is_empty(), "the host traps on an empty list");
        self.0.polls.set(self.0.polls.get() + 1);
        self.0.waits.set(self.0.waits.get() + u64::from(pollables.len() > 1));
        self.0.questions.set(self.0.questions.get() + pollables.len() as u64);
        self.pass(self.0.cost.get() * pollables.len() as u64);
        assert!(self.0.polls.get() < 20_000, "the server asks and asks, and nothing moves");
        loop {
            let ready = self.ask(pollables);
            if !ready.is_empty() {
                return ready;
            }
            self.turn();
            if pollables.iter().any(|pollable| self.is_ready(pollable)) {
                continue;
            }
            if let Some(Meanwhile(this)) = self.0.meanwhile.take() {
                this();
                continue;
            }
            // Only time can make a pollable ready now.
            let alarms = pollables.iter().filter_map(|pollable| match pollable.kind {
                Kind::Alarm(at) => Some(at),
                _ => None,
            });
            let next = alarms.min().expect("something can happen some time");
            self.pass(next - self.0.now.get());
        }
    }

    fn is_ready(&self, pollable: &Pollable) -> bool {
        !self.ask(&[pollable]).is_empty()
    }

    fn now(&self) -> u64 {
        self.0.now.get()
    }

    fn alarm(&self, nanoseconds: u64) -> Pollable {
        self.pollable(match nanoseconds {
            0 => Kind::Always { asked: Cell::new(false) },
            _ => Kind::Alarm(self.now() + nanoseconds),
        })
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.0.wall_clock.get()
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Pipe {
    bytes: RefCell<VecDeque<u8>>,
    /// How many bytes the system keeps for a peer that does not read, and the most that it can be asked to keep.
    room: Cell<usize>,
    most_room: Cell<usize>,
    /// The bytes that were written beyond the room of the system. The host still holds them.
    in_flight: RefCell<VecDeque<u8>>,
    finished: Cell<bool>,
    reset: Cell<bool>,
    writes: Cell<usize>,
    /// Bytes that come again as soon as they have been read.
    refrain: RefCell<Vec<u8>>,
    /// Whether the peer reads all bytes at once.
    drained: Cell<bool>,
}

impl Pipe {
    fn has_news(&self) -> bool {
        !self.bytes.borrow().is_empty() || self.finished.get() || self.reset.get()
    }

    fn has_room(&self) -> bool {
        self.reset.get() || (self.in_flight.borrow().is_empty() && self.bytes.borrow().len() < self.room.get())
    }

    fn write(&self, bytes: &[u8]) {
        self.writes.set(self.writes.get() + 1);
        self.in_flight.borrow_mut().extend(bytes);
        self.settle();
    }

    fn read(&self, most: usize) -> Vec<u8> {
        let mut bytes = self.bytes.borrow_mut();
        let most = most.min(bytes.len());
        let read = bytes.drain(..most).collect();
        drop(bytes);
        self.settle();
        read
    }

    /// Moves bytes in flight to the system, as far as it has room.
    fn settle(&self) {
        let (mut bytes, mut in_flight) = (self.bytes.borrow_mut(), self.in_flight.borrow_mut());
        let room = self.room.get().saturating_sub(bytes.len()).min(in_flight.len());
        bytes.extend(in_flight.drain(..room));
        if bytes.is_empty() {
            bytes.extend(self.refrain.borrow().iter());
        }
        if self.drained.get() {
            bytes.clear();
            in_flight.clear();
        }
    }
}

/// A listening socket, to which tests connect with a [`Network`].
#[derive(Debug)]
pub struct NetworkListener {
    model: Model,
    callers: Rc<RefCell<VecDeque<Line>>>,
    /// How many of the next attempts to accept fail.
    broken: Rc<Cell<usize>>,
}

/// Connects to a [`NetworkListener`].
#[derive(Debug, Clone)]
pub struct Network {
    model: Model,
    runtime: Runtime<Model>,
    callers: Rc<RefCell<VecDeque<Line>>>,
    broken: Rc<Cell<usize>>,
}

/// The server's end of a connection.
#[derive(Debug)]
pub struct Line {
    model: Model,
    from_peer: Rc<Pipe>,
    to_peer: Rc<Pipe>,
    /// How many bytes may be written: the last permission, if it was not used.
    permitted: Cell<usize>,
    /// How often the connection was read at this number of [`World::waits`].
    reads: Cell<(u64, u32)>,
}

/// The client's end of a connection.
pub struct Client {
    readable: Source<Model>,
    to_server: Rc<Pipe>,
    from_server: Rc<Pipe>,
}

impl NetworkListener {
    /// A listener in `runtime`, and the network that connects to it.
    pub fn listen(model: &Model, runtime: &Runtime<Model>) -> (Listener<Self>, Network) {
        let (callers, broken) = <(Rc<RefCell<VecDeque<Line>>>, Rc<Cell<usize>>)>::default();
        let network = Network {
            model: model.clone(),
            runtime: runtime.clone(),
            callers: Rc::clone(&callers),
            broken: Rc::clone(&broken),
        };
        (Listener::new(runtime, NetworkListener { model: model.clone(), callers, broken }), network)
    }
}

impl Network {
    /// Connects a client to the listener.
    pub fn connect(&self) -> Client {
        let (to_server, from_server) = (Rc::<Pipe>::default(), Rc::<Pipe>::default());
        from_server.room.set(ROOM);
        from_server.most_room.set(MOST_ROOM);
        self.callers.borrow_mut().push_back(Line {
            model: self.model.clone(),
            from_peer: Rc::clone(&to_server),
            to_peer: Rc::clone(&from_server),
            permitted: Cell::new(0),
            reads: Cell::default(),
        });
        let readable = self.model.pollable(Kind::Readable(Rc::clone(&from_server)));
        Client { readable: Source::new(self.runtime.reactor(), readable), to_server, from_server }
    }

    /// Makes the next `calls` attempts to accept fail.
    pub fn break_for(&self, calls: usize) {
        self.broken.set(calls);
    }

    /// How many connections are pending.
    pub fn waiting(&self) -> usize {
        self.callers.borrow().len()
    }
}

impl ListeningSocket for NetworkListener {
    type Socket = Line;

    fn accept(&self) -> Result<Option<(Line, SocketAddr)>, ErrorKind> {
        if self.callers.borrow().is_empty() || !self.model.spend() {
            return Ok(None);
        }
        if self.broken.get() > 0 {
            self.broken.set(self.broken.get() - 1);
            return Err(ErrorKind::Other);
        }
        match self.callers.borrow_mut().pop_front() {
            Some(line) if line.from_peer.reset.get() => Err(ErrorKind::ConnectionAborted),
            line => Ok(line.map(|line| (line, self.address()))),
        }
    }

    fn local_addr(&self) -> Result<SocketAddr, ErrorKind> {
        Ok(self.address())
    }

    fn acceptable(&self) -> Pollable {
        self.model.pollable(Kind::Callers(Rc::clone(&self.callers)))
    }
}

impl NetworkListener {
    /// The address of both ends of all connections.
    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 50_000))
    }
}

impl Socket for Line {
    type Host = Model;

    fn read(&self, most: usize) -> Result<Option<Vec<u8>>, ErrorKind> {
        let waits = self.model.0.waits.get();
        let reads = match self.reads.get() {
            (at, reads) if at == waits => reads + 1,
            _ => 1,
        };
        self.reads.set((waits, reads));
        assert!(reads < 100, "one peer has the server for itself");
        if self.model.0.halted.get() {
            return Ok(None);
        }
        match self.from_peer.read(most) {
            _ if self.from_peer.reset.get() => Err(ErrorKind::ConnectionReset),
            bytes if bytes.is_empty() && !self.from_peer.finished.get() => Ok(None),
            bytes => Ok(Some(bytes)),
        }
    }

    fn check_write(&self) -> Result<usize, ErrorKind> {
        if self.to_peer.reset.get() || self.to_peer.finished.get() {
            return Err(ErrorKind::BrokenPipe);
        }
        let has_room = !self.model.0.halted.get() && self.to_peer.has_room();
        self.permitted.set(match has_room && self.model.spend() {
            true => MOST_WRITTEN,
            false => 0,
        });
        Ok(self.permitted.get())
    }

    fn write(&self, bytes: &[u8]) -> Result<(), ErrorKind> {
        assert!(bytes.len() <= self.permitted.take(), "the host traps: that was not permitted");
        self.to_peer.write(bytes);
        Ok(())
    }

    fn grow_send_buffer(&self) {
        self.to_peer.room.set(self.to_peer.most_room.get());
        self.to_peer.settle();
    }

    fn shutdown_write(&self) {
        self.to_peer.finished.set(true);
    }

    fn readable(&self) -> Pollable {
        self.model.pollable(Kind::Readable(Rc::clone(&self.from_peer)))
    }

    fn writable(&self) -> Pollable {
        self.model.pollable(Kind::Writable(Rc::clone(&self.to_peer)))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let frozen = !self.to_peer.in_flight.borrow().is_empty() && !self.to_peer.reset.get();
        assert!(
            !frozen || std::thread::panicking(),
            "a stream was dropped with a write in flight: the host would stop the whole component"
        );
        self.to_peer.finished.set(true);
    }
}

impl Client {
    /// Sends `bytes`, which the server can read at once.
    pub fn send(&self, bytes: &[u8]) {
        self.to_server.bytes.borrow_mut().extend(bytes);
    }

    /// How many bytes of this client the server has not read.
    pub fn unread(&self) -> usize {
        self.to_server.bytes.borrow().len()
    }

    /// Finishes sending, and goes on reading.
    pub fn shutdown_write(&self) {
        self.to_server.finished.set(true);
    }

    /// Sends `bytes` over and over, as fast as the server reads them, and throws the responses away.
    pub fn babble(&self, bytes: &[u8]) {
        self.to_server.refrain.replace(bytes.to_vec());
        self.read_everything();
        self.to_server.settle();
    }

    /// Reads all bytes of the server, from now on and at once, and throws them away.
    pub fn read_everything(&self) {
        self.from_server.drained.set(true);
        self.from_server.settle();
    }

    /// Makes the system not take over the bytes that this peer does not read. Only Linux is known to take them over.
    pub fn insist(&self) {
        self.from_server.most_room.set(ROOM);
    }

    /// Resets the connection.
    pub fn reset(&self) {
        self.to_server.reset.set(true);
        self.from_server.reset.set(true);
    }

    /// The bytes that have come by now.
    pub fn received(&self) -> Vec<u8> {
        self.from_server.read(usize::MAX)
    }

    /// Waits for bytes, and returns them; returns none when the server has closed the connection.
    pub async fn receive(&self) -> Vec<u8> {
        while !self.from_server.has_news() {
            self.readable.ready().await;
        }
        self.received()
    }

    /// Receives all bytes until the server closes the connection.
    pub async fn receive_all(&self) -> String {
        let mut all = Vec::new();
        loop {
            match self.receive().await {
                bytes if bytes.is_empty() => return String::from_utf8(all).expect("text"),
                bytes => all.extend(bytes),
            }
        }
    }

    /// How many writes the server has made.
    pub fn writes(&self) -> usize {
        self.from_server.writes.get()
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.from_server.finished.get()
    }

    /// Whether the server has finished sending, and this client has read all bytes.
    pub fn is_over(&self) -> bool {
        self.from_server.finished.get() && self.from_server.bytes.borrow().is_empty()
    }
}

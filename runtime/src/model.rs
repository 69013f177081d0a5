//! A model of the host, in memory: its budget, its clock, its connections. What wasmtime does that a server can trip
//! over, this does too, every time and at once: so the tests natively find what a load test finds now and then.

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

/// How many bytes wait in a connection for a peer that does not read.
pub const ROOM: usize = 4096;

/// How many may wait in one, when the system is asked for it: so many, and all that can be written at a time.
const MOST_ROOM: usize = ROOM + MOST_WRITTEN + 1;

/// How many bytes may be written at a time.
const MOST_WRITTEN: usize = 64 * 1024;

/// The model. A clone is a handle to the same one.
#[derive(Debug, Clone)]
pub struct Model(Rc<World>);

#[derive(Debug)]
struct World {
    now: Cell<u64>,
    wall_clock: Cell<Duration>,
    budget: Cell<u32>,
    /// How many pollables there have been: the answers of `poll` are in the order in which they were made.
    pollables: Cell<u64>,
    /// How often the host was asked.
    polls: Cell<u64>,
    /// How often it was asked about several things: not to make it turn, but to wait.
    waits: Cell<u64>,
    /// About how many things it was asked in all.
    questions: Cell<u64>,
    /// How many nanoseconds it takes to ask about one thing.
    cost: Cell<u64>,
    /// The process stood still, and the host has not had a turn since: it knows of no bytes that came, and of no room.
    halted: Cell<bool>,
    /// What happens the next time that the host waits.
    meanwhile: RefCell<Option<Meanwhile>>,
}

struct Meanwhile(Box<dyn FnOnce()>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

/// What a [`Pollable`] waits for.
#[derive(Debug, Clone)]
enum Kind {
    Alarm(u64),
    /// Ready, budget or not; the first time that it is asked about is a turn of the host.
    Always {
        asked: Cell<bool>,
    },
    Readable(Rc<Pipe>),
    Writable(Rc<Pipe>),
    Callers(Rc<RefCell<VecDeque<Line>>>),
    /// Ready whenever the test says so.
    Flag(Rc<Cell<bool>>),
}

/// Something that can be waited for in the model.
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
    /// A host without connections, whose clock stands still until something waits.
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

    /// A pollable that is ready whenever `flag` is up.
    pub fn flag(&self, flag: &Rc<Cell<bool>>) -> Pollable {
        self.pollable(Kind::Flag(Rc::clone(flag)))
    }

    /// How often the host was asked.
    pub fn polls(&self) -> u64 {
        self.0.polls.get()
    }

    /// About how many things the host was asked in all.
    pub fn questions(&self) -> u64 {
        self.0.questions.get()
    }

    /// From now on to ask takes time: so many nanoseconds for each thing that is asked about.
    pub fn set_cost(&self, nanoseconds: u64) {
        self.0.cost.set(nanoseconds);
    }

    /// Something else has used the budget up, to so much.
    pub fn set_budget(&self, budget: u32) {
        self.0.budget.set(budget.min(BUDGET));
    }

    /// Time passes.
    pub fn pass(&self, nanoseconds: u64) {
        self.0.now.set(self.0.now.get() + nanoseconds);
        self.0.wall_clock.set(self.0.wall_clock.get() + Duration::from_nanos(nanoseconds));
    }

    /// The next time that the host waits, `this` happens before anything else does.
    pub fn meanwhile(&self, this: impl FnOnce() + 'static) {
        self.0.meanwhile.replace(Some(Meanwhile(Box::new(this))));
    }

    /// The whole process stands still for so many nanoseconds. What peers do meanwhile is noticed with the next turn of the host.
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

    /// Takes one from the budget, if there is one.
    fn spend(&self) -> bool {
        let budget = self.0.budget.get();
        self.0.budget.set(budget.saturating_sub(1));
        budget > 0
    }

    /// Whether `pollable` is ready, were there no budget.
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

    /// Which of `pollables` are ready as far as the budget goes.
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
            // Nothing but time can change anything.
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
    /// How much the system keeps for a peer that does not read, and how much it can be asked to.
    room: Cell<usize>,
    most_room: Cell<usize>,
    /// What was written beyond the room there is: the host still holds it.
    in_flight: RefCell<VecDeque<u8>>,
    finished: Cell<bool>,
    reset: Cell<bool>,
    writes: Cell<usize>,
    /// What is there again as soon as it has been read.
    refrain: RefCell<Vec<u8>>,
    /// Whatever is written is read at once.
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

    /// Moves what is in flight to where there is room.
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

/// A listening socket, to which tests connect by a [`Network`].
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
    /// How much may be written: what was permitted last, and not used.
    permitted: Cell<usize>,
    /// How often it was read since so many waits.
    reads: Cell<(u64, u32)>,
}

/// The client's end of a connection.
pub struct Client {
    readable: Source<Model>,
    to_server: Rc<Pipe>,
    from_server: Rc<Pipe>,
}

impl NetworkListener {
    /// A listener in `runtime`, and what connects to it.
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
    /// A client that connects to the listener.
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

    /// The next `calls` attempts to accept fail.
    pub fn break_for(&self, calls: usize) {
        self.broken.set(calls);
    }

    /// How many callers wait in line.
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

    /// How many bytes it has sent that the server has not read.
    pub fn unread(&self) -> usize {
        self.to_server.bytes.borrow().len()
    }

    /// Finishes sending, and goes on reading.
    pub fn shutdown_write(&self) {
        self.to_server.finished.set(true);
    }

    /// Says `bytes` over and over, as fast as they are read, and throws the replies away.
    pub fn babble(&self, bytes: &[u8]) {
        self.to_server.refrain.replace(bytes.to_vec());
        self.read_everything();
        self.to_server.settle();
    }

    /// Reads everything that it is told, from now on and at once, and throws it away.
    pub fn read_everything(&self) {
        self.from_server.drained.set(true);
        self.from_server.settle();
    }

    /// The system does not take over what this peer does not read, as none but Linux is known to.
    pub fn insist(&self) {
        self.from_server.most_room.set(ROOM);
    }

    /// Goes away without a word.
    pub fn reset(&self) {
        self.to_server.reset.set(true);
        self.from_server.reset.set(true);
    }

    /// What has come by now.
    pub fn received(&self) -> Vec<u8> {
        self.from_server.read(usize::MAX)
    }

    /// What has come, and nothing when the server has hung up.
    pub async fn receive(&self) -> Vec<u8> {
        while !self.from_server.has_news() {
            self.readable.ready().await;
        }
        self.received()
    }

    /// Everything until the server hangs up.
    pub async fn receive_all(&self) -> String {
        let mut all = Vec::new();
        loop {
            match self.receive().await {
                bytes if bytes.is_empty() => return String::from_utf8(all).expect("text"),
                bytes => all.extend(bytes),
            }
        }
    }

    /// How many writes of the server what it said took.
    pub fn writes(&self) -> usize {
        self.from_server.writes.get()
    }

    /// Whether the server has hung up.
    pub fn is_closed(&self) -> bool {
        self.from_server.finished.get()
    }

    /// Whether the server has said everything it is going to say, and all of that was read.
    pub fn is_over(&self) -> bool {
        self.from_server.finished.get() && self.from_server.bytes.borrow().is_empty()
    }
}

//! A model of the host, in memory: its budget, its clock, its connections. What wasmtime does that a server can trip
//! over, this does too, every time and at once: so the tests natively find what a load test finds now and then.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::host::Host;
use super::reactor::{Reactor, Source};
use super::stream::{ReadError, Socket, Stream};
use crate::server::{self, Call, Gone};

/// How many events tokio lets a task learn about in one turn.
pub(crate) const BUDGET: u32 = 128;

/// How many bytes wait in a connection for a peer that does not read.
pub(crate) const ROOM: usize = 4096;

/// How many may wait in one, when the system is asked for it: so many, and all that can be written at a time.
const MOST_ROOM: usize = ROOM + MOST_WRITTEN + 1;

/// How many bytes may be written at a time.
const MOST_WRITTEN: usize = 64 * 1024;

/// The model. A clone is a handle to the same one.
#[derive(Debug, Clone)]
pub(crate) struct Model(Rc<World>);

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

#[derive(Debug)]
pub(crate) struct Pollable {
    number: u64,
    kind: Kind,
}

impl Model {
    pub(crate) fn new() -> Self {
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
    pub(crate) fn flag(&self, flag: &Rc<Cell<bool>>) -> Pollable {
        self.pollable(Kind::Flag(Rc::clone(flag)))
    }

    /// How often the host was asked.
    pub(crate) fn polls(&self) -> u64 {
        self.0.polls.get()
    }

    /// About how many things the host was asked in all.
    pub(crate) fn questions(&self) -> u64 {
        self.0.questions.get()
    }

    /// From now on to ask takes time: so many nanoseconds for each thing that is asked about.
    pub(crate) fn set_cost(&self, nanoseconds: u64) {
        self.0.cost.set(nanoseconds);
    }

    /// Something else has used the budget up, to so much.
    pub(crate) fn set_budget(&self, budget: u32) {
        self.0.budget.set(budget.min(BUDGET));
    }

    /// Time passes.
    pub(crate) fn pass(&self, nanoseconds: u64) {
        self.0.now.set(self.0.now.get() + nanoseconds);
        self.0.wall_clock.set(self.0.wall_clock.get() + Duration::from_nanos(nanoseconds));
    }

    /// The next time that the host waits, `this` happens before anything else does.
    pub(crate) fn meanwhile(&self, this: impl FnOnce() + 'static) {
        self.0.meanwhile.replace(Some(Meanwhile(Box::new(this))));
    }

    /// The whole process stands still for so many nanoseconds. What peers do meanwhile is noticed with the next turn of the host.
    pub(crate) fn halt(&self, nanoseconds: u64) {
        self.0.halted.set(true);
        self.pass(nanoseconds);
    }

    pub(crate) fn set_wall_clock(&self, since_1970: Duration) {
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

/// A place where callers come in, and where tests call.
#[derive(Debug)]
pub(crate) struct Switchboard {
    model: Model,
    reactor: Rc<Reactor<Model>>,
    callers: Rc<RefCell<VecDeque<Line>>>,
    /// How many of the next calls cannot be picked up.
    broken: Rc<Cell<usize>>,
    ready: Source<Model>,
}

/// Makes calls to a [`Switchboard`].
#[derive(Debug, Clone)]
pub(crate) struct Telephone {
    model: Model,
    reactor: Rc<Reactor<Model>>,
    callers: Rc<RefCell<VecDeque<Line>>>,
    broken: Rc<Cell<usize>>,
}

/// The server's end of a connection.
#[derive(Debug)]
pub(crate) struct Line {
    model: Model,
    from_peer: Rc<Pipe>,
    to_peer: Rc<Pipe>,
    /// How much may be written: what was permitted last, and not used.
    permitted: Cell<usize>,
    /// How often it was read since so many waits.
    reads: Cell<(u64, u32)>,
}

/// The client's end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    readable: Source<Model>,
    to_server: Rc<Pipe>,
    from_server: Rc<Pipe>,
}

impl Switchboard {
    pub(crate) fn new(model: &Model, reactor: &Rc<Reactor<Model>>) -> (Self, Telephone) {
        let callers = Rc::default();
        let ready = Source::new(reactor, model.pollable(Kind::Callers(Rc::clone(&callers))));
        let telephone = Telephone {
            model: model.clone(),
            reactor: Rc::clone(reactor),
            callers: Rc::clone(&callers),
            broken: Rc::default(),
        };
        let switchboard = Switchboard {
            model: model.clone(),
            reactor: Rc::clone(reactor),
            callers,
            broken: Rc::clone(&telephone.broken),
            ready,
        };
        (switchboard, telephone)
    }
}

impl Telephone {
    pub(crate) fn call(&self) -> Peer {
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
        Peer { readable: Source::new(&self.reactor, readable), to_server, from_server }
    }

    /// The next `calls` attempts to pick up fail.
    pub(crate) fn break_for(&self, calls: usize) {
        self.broken.set(calls);
    }

    /// How many callers wait in line.
    pub(crate) fn waiting(&self) -> usize {
        self.callers.borrow().len()
    }
}

impl server::Listener for Switchboard {
    type Stream = Stream<Line>;

    fn accept(&mut self) -> Result<Call<Self::Stream>, String> {
        if self.callers.borrow().is_empty() || !self.model.spend() {
            return Ok(Call::None);
        }
        if self.broken.get() > 0 {
            self.broken.set(self.broken.get() - 1);
            return Err("broken for the test".into());
        }
        Ok(match self.callers.borrow_mut().pop_front() {
            Some(line) if line.from_peer.reset.get() => Call::Gone,
            Some(line) => {
                let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
                Call::From(Stream::new(&self.reactor, line), peer)
            }
            None => Call::None,
        })
    }

    async fn ready(&mut self) {
        self.ready.ready().await;
    }

    fn look(&mut self) -> bool {
        self.model.turn();
        !self.callers.borrow().is_empty()
    }
}

impl Socket for Line {
    type Host = Model;

    fn read(&self, most: usize) -> Result<Vec<u8>, ReadError> {
        let waits = self.model.0.waits.get();
        let reads = match self.reads.get() {
            (at, reads) if at == waits => reads + 1,
            _ => 1,
        };
        self.reads.set((waits, reads));
        assert!(reads < 100, "one peer has the server for itself");
        if self.model.0.halted.get() {
            return Ok(Vec::new());
        }
        match self.from_peer.read(most) {
            _ if self.from_peer.reset.get() => Err(ReadError::Gone),
            bytes if bytes.is_empty() && self.from_peer.finished.get() => Err(ReadError::Finished),
            bytes => Ok(bytes),
        }
    }

    fn check_write(&self) -> Result<usize, Gone> {
        if self.to_peer.reset.get() || self.to_peer.finished.get() {
            return Err(Gone);
        }
        let has_room = !self.model.0.halted.get() && self.to_peer.has_room();
        self.permitted.set(match has_room && self.model.spend() {
            true => MOST_WRITTEN,
            false => 0,
        });
        Ok(self.permitted.get())
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Gone> {
        assert!(bytes.len() <= self.permitted.take(), "the host traps: that was not permitted");
        self.to_peer.write(bytes);
        Ok(())
    }

    fn make_room(&self) {
        self.to_peer.room.set(self.to_peer.most_room.get());
        self.to_peer.settle();
    }

    fn shut_down(&self) {
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

impl Peer {
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.to_server.bytes.borrow_mut().extend(bytes);
    }

    /// How many bytes it has sent that the server has not read.
    pub(crate) fn unread(&self) -> usize {
        self.to_server.bytes.borrow().len()
    }

    /// Finishes sending, and goes on reading.
    pub(crate) fn finish(&self) {
        self.to_server.finished.set(true);
    }

    /// Says `bytes` over and over, as fast as they are read, and throws the replies away.
    pub(crate) fn babble(&self, bytes: &[u8]) {
        self.to_server.refrain.replace(bytes.to_vec());
        self.read_everything();
        self.to_server.settle();
    }

    /// Reads everything that it is told, from now on and at once, and throws it away.
    pub(crate) fn read_everything(&self) {
        self.from_server.drained.set(true);
        self.from_server.settle();
    }

    /// The system does not take over what this peer does not read, as none but Linux is known to.
    pub(crate) fn insist(&self) {
        self.from_server.most_room.set(ROOM);
    }

    /// Goes away without a word.
    pub(crate) fn reset(&self) {
        self.to_server.reset.set(true);
        self.from_server.reset.set(true);
    }

    /// What has come, and nothing when the server has hung up.
    pub(crate) async fn receive(&self) -> Vec<u8> {
        while !self.from_server.has_news() {
            self.readable.ready().await;
        }
        self.from_server.read(usize::MAX)
    }

    /// Everything until the server hangs up.
    pub(crate) async fn receive_all(&self) -> String {
        let mut all = Vec::new();
        loop {
            match self.receive().await {
                bytes if bytes.is_empty() => return String::from_utf8(all).expect("text"),
                bytes => all.extend(bytes),
            }
        }
    }

    /// How many writes of the server what it said took.
    pub(crate) fn writes(&self) -> usize {
        self.from_server.writes.get()
    }

    /// Whether the server has hung up.
    pub(crate) fn is_hung_up(&self) -> bool {
        self.from_server.finished.get()
    }

    /// Whether the server has said everything it is going to say, and all of that was read.
    pub(crate) fn is_over(&self) -> bool {
        self.from_server.finished.get() && self.from_server.bytes.borrow().is_empty()
    }
}

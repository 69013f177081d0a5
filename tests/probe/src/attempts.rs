//! What can be tried.

use std::fmt::Display;
use std::hint::{black_box, spin_loop};
use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

use crate::sockets;

/// The list, for who reads the error.
const HELP: &str = "\
connect ADDR...    call there
listen ADDR...     bind and listen there
answer ADDR        listen, pick up once, and say hello
udp ADDR...        bind a UDP socket there
name NAME...       look up its address
read FILE...       read the file
write FILE...      make the file
environment        list the variables
arguments          list the arguments
random             draw a random number
print BYTES        print so many bytes, in lines
memory MIB         take so much memory, and use it
handles N          take so many handles of the host, and keep them
sleep SECS         wait so long, without a look at standard input
stdin              end when standard input does
ignore-stop        go on for ever when standard input ends
loop               never pause
spin WITH [ADDR]   ask for what is always ready, again and again, with nothing, with a-time, or with a-peer that connects
leave ADDR N       write to the first peer until no more is taken, drop the connection, and serve N others
misuse RULE ADDR   break a rule of WASI
panic              fail
overflow           call itself without an end
deep               the same, with so much on its own stack that this overflows first
exit CODE          end with this code
heed WHAT...       look at standard input once, and then do that
repeat N WHAT OBJECT THEN...
                   do WHAT with OBJECT N times, and then THEN";

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match attempt(&words) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Tries it. Says whether it was allowed.
fn attempt(words: &[&str]) -> bool {
    let (what, rest) = words.split_first().expect("something to try");
    match *what {
        "connect" => each(what, rest, |address| TcpStream::connect(address).map(drop)),
        "listen" => each(what, rest, |address| TcpListener::bind(address).map(drop)),
        "answer" => answer(number(rest)),
        "udp" => each(what, rest, |address| UdpSocket::bind(address).map(drop)),
        "name" => each(what, rest, |name| (name, 80).to_socket_addrs().map(drop)),
        "read" => each(what, rest, |file| std::fs::read(file).map(drop)),
        "write" => each(what, rest, |file| std::fs::write(file, "probe")),
        "environment" => {
            let variables: Vec<_> = std::env::vars_os().collect();
            println!("environment: {variables:?}");
            true
        }
        "arguments" => {
            println!("arguments: {rest:?}");
            true
        }
        "random" => {
            let numbers = [(); 2].map(|()| wasi::random::random::get_random_u64());
            outcome("random", if numbers[0] == numbers[1] { Err(ErrorKind::Other.into()) } else { Ok(()) })
        }
        "print" => print(number(rest)),
        "memory" => {
            let mib: usize = number(rest);
            let bytes = black_box(vec![1u8; mib << 20]);
            outcome(&format!("memory {mib}"), if bytes.contains(&0) { Err(ErrorKind::Other.into()) } else { Ok(()) })
        }
        "handles" => {
            let handles: usize = number(rest);
            let held: Vec<_> = (0..handles).map(|_| wasi::clocks::monotonic_clock::subscribe_duration(0)).collect();
            outcome(&format!("handles {}", held.len()), Ok(()))
        }
        "sleep" => {
            let seconds = number(rest);
            println!("sleeping");
            std::thread::sleep(Duration::from_secs(seconds));
            outcome(&format!("sleep {seconds}"), Ok(()))
        }
        "stdin" => outcome("stdin", until_stdin_ends()),
        "ignore-stop" => {
            outcome("ignored", until_stdin_ends());
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        "loop" => {
            println!("busy");
            loop {
                spin_loop();
            }
        }
        "spin" => {
            sockets::spin(rest[0], rest.get(1).map(|_| number(&rest[1..])));
            true
        }
        "leave" => {
            sockets::leave(number(rest), number(&rest[1..]));
            true
        }
        "misuse" => {
            sockets::misuse(rest[0], number(&rest[1..]));
            true
        }
        "panic" => panic!("as it was told to"),
        "overflow" => outcome(&format!("overflow {}", descend(1)), Ok(())),
        "deep" => outcome(&format!("deep {}", descend_deep(1)), Ok(())),
        "exit" => std::process::exit(number(rest)),
        "heed" => {
            wasi::cli::stdin::get_stdin().subscribe().ready();
            attempt(rest)
        }
        "repeat" => {
            for _ in 0..number(rest) {
                attempt(&rest[1..3]);
            }
            attempt(&rest[3..])
        }
        _ => {
            eprintln!("hello-probe: there is no {what:?} to try; there is\n{HELP}");
            false
        }
    }
}

/// The only argument, which is a number, or an address.
fn number<T: std::str::FromStr>(words: &[&str]) -> T {
    let number = words.first().and_then(|word| word.parse().ok());
    number.expect("one argument, of the right kind")
}

/// Tries `what` with each of `objects`, one after the other. Says whether all of it was allowed.
fn each(what: &str, objects: &[&str], attempt: impl Fn(&str) -> Result<(), Error>) -> bool {
    let outcomes = objects.iter().map(|object| outcome(&format!("{what} {object}"), attempt(object)));
    outcomes.fold(true, |all, one| all & one)
}

/// Says what came of `attempt`.
fn outcome(attempt: &str, result: Result<(), Error>) -> bool {
    let (words, allowed): (&dyn Display, bool) = match &result {
        Ok(()) => (&"ok", true),
        Err(error) => (&error.kind(), false),
    };
    println!("{attempt}: {words}");
    allowed
}

/// Listens there, says where that is, and says hello to the first caller.
fn answer(address: std::net::SocketAddr) -> bool {
    let answer = || {
        let listener = TcpListener::bind(address)?;
        println!("listening on {}", listener.local_addr()?);
        listener.accept()?.0.write_all(b"hello")
    };
    outcome(&format!("answer {address}"), answer())
}

/// Prints so many bytes, in lines of 64.
fn print(bytes: usize) -> bool {
    let mut line = [b'x'; 64];
    line[63] = b'\n';
    let mut stdout = std::io::stdout().lock();
    (0..bytes / line.len()).all(|_| stdout.write_all(&line).is_ok())
}

/// Says that it waits, once the host could know it, and waits for the end of standard input.
fn until_stdin_ends() -> Result<(), Error> {
    wasi::cli::stdin::get_stdin().subscribe().ready();
    println!("waiting");
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

/// Calls itself until there is no place for more.
fn descend(depth: u64) -> u64 {
    match depth {
        u64::MAX => depth,
        // What is done with the result keeps this from being a loop.
        _ => descend(depth + 1).rotate_left(7) ^ depth,
    }
}

/// The same, with more in each call than the host's stack takes for it.
fn descend_deep(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    match depth {
        u64::MAX => depth,
        _ => descend_deep(depth + 1) ^ here[(depth % 64) as usize],
    }
}

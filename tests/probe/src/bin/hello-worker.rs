//! A small server whose requests say what it shall do: for instances of a component that work, fail, or never pause.
//!
//! `hello-worker ADDR`: listens there, prints so, and ends when standard input does. A request for `/` is answered with the number of the
//! instance, which it has drawn; `/work` the same, after about 300 microseconds of work; `/loop` never pauses; `/panic` fails; `/exit`
//! ends the program; `/print` prints a line in two pieces.

#[cfg(target_family = "wasm")]
fn main() -> std::io::Result<()> {
    worker::main()
}

/// Outside a component there is no WASI to open a socket with.
#[cfg(not(target_family = "wasm"))]
fn main() {
    eprintln!("hello-worker: this is a WebAssembly component, built here as a native program");
    eprintln!("  the tests in tests/sandbox/ and bench/ build it for wasm32-wasip2 and launch it");
}

#[cfg(target_family = "wasm")]
mod worker {
    use std::hash::{BuildHasher as _, RandomState};
    use std::hint::{black_box, spin_loop};
    use std::io::{self, Write as _};
    use std::pin::pin;
    use std::time::Duration;

    use hello_runtime::io::stdin;
    use hello_runtime::net::{TcpListener, TcpStream};
    use hello_runtime::{race, spawn, time, yield_now};

    /// The rounds of one piece of work: about 300 microseconds.
    const ROUNDS: u64 = 400_000;

    pub(crate) fn main() -> io::Result<()> {
        let address = std::env::args().nth(1).unwrap_or_default().parse().map_err(io::Error::other)?;
        let number = RandomState::new().hash_one(0);
        hello_runtime::block_on(async move {
            let listener = TcpListener::bind(address)?;
            println!("Listening on {}", listener.local_addr()?);
            race(pin!(accept_all(listener, number)), pin!(until_stdin_ends())).await;
            Ok(())
        })
    }

    async fn until_stdin_ends() {
        let mut stdin = stdin();
        while stdin.read_chunk(1024).await.is_ok_and(|bytes| !bytes.is_empty()) {}
    }

    async fn accept_all(mut listener: TcpListener, number: u64) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => spawn(converse(stream, number)),
                Err(_) => time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn converse(mut stream: TcpStream, number: u64) {
        let mut request = Vec::new();
        while let Ok(bytes) = stream.read_chunk(4096).await
            && !bytes.is_empty()
        {
            request.extend(bytes);
            if request.ends_with(b"\r\n\r\n") {
                let body = answer(&request, number).await;
                request.clear();
                let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                if stream.write_all(response.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
        stream.close().await;
    }

    async fn answer(request: &[u8], number: u64) -> String {
        match request.split(|&byte| byte == b' ').nth(1).unwrap_or_default() {
            b"/work" => {
                black_box((0..ROUNDS).fold(number, |sum, round| black_box(sum).rotate_left(7) ^ round));
            }
            b"/loop" => loop {
                spin_loop();
            },
            b"/panic" => panic!("as it was told to"),
            b"/exit" => std::process::exit(0),
            b"/print" => {
                print!("{number:016x} says ");
                let _ = io::stdout().flush();
                yield_now().await;
                println!("a line, {number:016x}");
            }
            _ => {}
        }
        format!("{number:016x}\n")
    }
}

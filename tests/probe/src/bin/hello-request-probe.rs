//! Tries to send requests by `wasi:http`, and says in one line each what came of it.
//!
//! `hello-request-probe [--patience MS] [--together] URL...`: waits so long at the most for each thing that there is to
//! wait for; sends one after the other, or all at once.
//!
//! `hello-request-probe fields BYTES`, `method BYTES` or `handles NUMBER`: makes a request that has fields or a method of
//! that size, or so many at a time. It sends none of them.
//!
//! It is a program of its own, because a component that asks for
//! `wasi:http` does not start where there is none.

/// Does what the command line says. Exit code: 0 when everything was answered well, 1 when it was not.
#[cfg(target_family = "wasm")]
fn main() -> std::process::ExitCode {
    requests::main()
}

/// Outside a component there is no host to probe.
#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    eprintln!("hello-request-probe: this is a WebAssembly component, built here as a native program");
    eprintln!("  the tests in tests/sandbox/ build it for wasm32-wasip2 and launch it");
    std::process::ExitCode::FAILURE
}

#[cfg(target_family = "wasm")]
mod requests {
    use std::process::ExitCode;
    use std::time::Duration;

    use wasi::http::outgoing_handler::handle;
    use wasi::http::types::{
        ErrorCode, Fields, FutureIncomingResponse, Method, OutgoingRequest, RequestOptions, Scheme, http_error_code,
    };
    use wasi::io::streams::StreamError;

    pub(super) fn main() -> ExitCode {
        let words: Vec<String> = std::env::args().skip(1).collect();
        if let [what, number] = &words[..]
            && let Ok(number) = number.parse()
        {
            make(what, number);
            println!("{what} {number}: ok");
            return ExitCode::SUCCESS;
        }
        let (mut patience, mut together, mut urls) = (None, false, Vec::new());
        let mut arguments = words.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--patience" => patience = arguments.next().and_then(|ms| ms.parse().ok()).map(Duration::from_millis),
                "--together" => together = true,
                _ => urls.push(argument),
            }
        }
        let well = if together {
            let sent: Vec<_> = urls.iter().map(|url| send(url, patience)).collect();
            urls.iter().zip(sent).fold(true, |well, (url, sent)| well & outcome(url, sent.and_then(receive)))
        } else {
            urls.iter().fold(true, |well, url| well & outcome(url, send(url, patience).and_then(receive)))
        };
        if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Makes `number` of what costs the host something. It has to end by itself, or be ended.
    fn make(what: &str, number: usize) {
        let request = OutgoingRequest::new(Fields::new());
        match what {
            "fields" => {
                let fields = Fields::new();
                let piece = vec![b'x'; 1000];
                (0..number / piece.len()).for_each(|_| fields.append("field", &piece).expect("a field"));
            }
            "method" => request.set_method(&Method::Other("X".repeat(number))).expect("a method"),
            "handles" => _ = (0..number).map(|_| Fields::new()).collect::<Vec<_>>(),
            _ => panic!("there is no {what} to make"),
        }
    }

    /// Sends a request to `url`.
    fn send(url: &str, patience: Option<Duration>) -> Result<FutureIncomingResponse, String> {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => Scheme::Other(other.to_owned()),
        };
        let request = OutgoingRequest::new(Fields::new());
        request.set_scheme(Some(&scheme)).expect("a scheme");
        request.set_authority(Some(authority)).expect("an authority");
        request.set_path_with_query(Some(path)).expect("a path");
        let options = RequestOptions::new();
        let patience = patience.map(|patience| patience.as_nanos() as u64);
        options.set_connect_timeout(patience).expect("it is supported");
        options.set_first_byte_timeout(patience).expect("it is supported");
        options.set_between_bytes_timeout(patience).expect("it is supported");
        handle(request, Some(options)).map_err(name)
    }

    /// Waits for the reply, to its end. Says its status.
    fn receive(sent: FutureIncomingResponse) -> Result<u16, String> {
        sent.subscribe().block();
        let reply = sent.get().expect("it is ready").expect("it was not taken yet").map_err(name)?;
        let body = reply.consume().expect("it was not taken yet");
        let stream = body.stream().expect("it was not taken yet");
        loop {
            match stream.blocking_read(4096) {
                Ok(_) => {}
                Err(StreamError::Closed) => return Ok(reply.status()),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(http_error_code(&error).map_or_else(|| error.to_debug_string(), name));
                }
            }
        }
    }

    /// The name of an error, without what some of them say besides.
    fn name(code: ErrorCode) -> String {
        let words = format!("{code:?}").replace("ErrorCode::", "");
        words.split(['(', ' ']).next().unwrap_or_default().to_owned()
    }

    /// Says what came of it, and whether that is what one wants.
    fn outcome(url: &str, outcome: Result<u16, String>) -> bool {
        let words = match &outcome {
            Ok(200..300) => "ok".to_owned(),
            Ok(status) => status.to_string(),
            Err(code) => code.clone(),
        };
        println!("send {url}: {words}");
        words == "ok"
    }
}

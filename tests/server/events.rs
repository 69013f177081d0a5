//! `--events`: each step of the server as a line of JSON, which `docs/events.schema.json` describes.

use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use hello_test_support::events::{event, schema};
use hello_test_support::{GET, LAST_GET, Server, command, component, is_wasmtime, read_reply, run, runner};
use serde_json::{Value, json};
use socket2::SockRef;

use super::peers::stick;
use super::told::unread;

/// The next event of this kind, and all events before it are well-formed.
fn next(server: &Server, kind: &str) -> Value {
    loop {
        let event = event(&server.line());
        if event["event"] == kind {
            return event;
        }
    }
}

/// The members of an event with these names.
fn members<const N: usize>(event: &Value, names: [&str; N]) -> [Value; N] {
    names.map(|name| event[name].clone())
}

#[test]
fn a_connection_is_told_in_events_from_the_socket_to_the_close() {
    let server = Server::start(&["--events"]);
    let prelude: Vec<Value> = server.prelude.lines().map(event).collect();
    let kinds: Vec<_> = prelude.iter().map(|event| event["event"].as_str().expect("text")).collect();
    assert_eq!(kinds, ["socket-created", "bound", "listening"].repeat(2));
    assert_eq!(prelude[2]["address"], format!("127.0.0.1:{}", server.port));

    let mut stream = server.connect();
    let peer = stream.local_addr().expect("an address").to_string();
    // The second read goes on in the middle of a secret.
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nCookie: c2Vj").expect("write the beginning");
    let mut events = vec![event(&server.line()), event(&server.line())];
    stream.write_all(b"cmV0\r\n\r\n").expect("write the rest");
    read_reply(&mut stream);
    drop(stream);
    events.extend((0..4).map(|_| event(&server.line())));
    for event in &events {
        assert_eq!(members(event, ["connection", "peer"]), [json!(1), json!(peer)]);
    }
    let received = |bytes: u64, text: &str| json!(["received", bytes, text, null, null]);
    let told: Vec<_> =
        events.iter().map(|event| json!(members(event, ["event", "bytes", "text", "status", "reason"]))).collect();
    assert_eq!(told[0], json!(["accepted", null, null, null, null]));
    assert_eq!(told[1], received(37, r"GET / HTTP/1.1\r\nHost: a\r\nCookie: ***"));
    assert_eq!(told[2], received(8, r"***\r\n\r\n"));
    assert_eq!(told[3], json!(["responded", null, null, 200, "OK"]));
    assert!(events[4]["text"].as_str().is_some_and(|text| text.starts_with(r"HTTP/1.1 200 OK\r\n")), "{}", told[4]);
    assert_eq!(told[5], json!(["closed", null, null, null, "peer-finished"]));
    let times = prelude.iter().chain(&events).map(|event| event["time"].as_f64().expect("a number"));
    assert!(times.is_sorted());

    // The events that led to a failure are printed before it.
    let second = run(&mut command(&["--port", &server.port.to_string(), "--events"]));
    assert_eq!(
        (second.stdout.lines().count(), &event(second.stdout.trim_end())["event"]),
        (1, &json!("socket-created"))
    );
}

#[test]
fn each_reason_for_which_a_connection_is_closed_is_an_event() {
    let server = Server::start(&["--events", "--idle-timeout", "3", "--write-timeout", "3"]);
    let reason = || members(&next(&server, "closed"), ["reason", "wasi"]);
    server.ask(LAST_GET);
    assert_eq!(reason(), [json!("last-response"), json!("shutdown")]);
    server.ask(b"\x16\x03\x01");
    let refused = next(&server, "responded");
    assert_eq!(members(&refused, ["line", "status"]), [json!(r"\x16\x03\x01"), json!(400)]);
    assert!(refused["fault"].as_str().is_some_and(|fault| fault.ends_with("Type `http://`.")), "{refused}");
    assert_eq!(reason()[0], "last-response");

    let mut hasty = server.connect();
    hasty.write_all(GET).expect("write a request");
    read_reply(&mut hasty);
    // With a linger time of 0, closing is a reset.
    SockRef::from(&hasty).set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(hasty);
    assert_eq!(reason(), [json!("disconnected"), Value::Null]);
    let _silent = server.connect();
    assert_eq!(reason(), [json!("idle-timeout"), Value::Null]);
    let _stuck = stick(&server);
    assert_eq!(reason(), [json!("write-timeout"), Value::Null]);
}

#[test]
fn at_the_limit_the_connection_that_another_one_evicts_is_told() {
    let server = Server::start(&["--events", "--max-connections", "1"]);
    let mut idle = server.connect();
    idle.write_all(GET).expect("write a request");
    read_reply(&mut idle);
    let _next = server.connect();
    assert_eq!(next(&server, "closed")["reason"], "evicted");
}

#[test]
fn with_events_the_other_lines_of_the_output_stay_and_the_access_log_is_an_option() {
    for (options, logged) in [(&["--events"][..], 0), (&["--events", "--log", "common"], 1)] {
        let server = Server::start(&[&["--stop-when-stdin-closes"], options].concat());
        let mut idle = server.connect();
        idle.write_all(GET).expect("write a request");
        read_reply(&mut idle);
        let output = server.stop();
        let (events, others): (Vec<&str>, Vec<&str>) = output.stdout.lines().partition(|line| line.starts_with('{'));
        assert_eq!(event(events.last().expect("an event"))["reason"], "stopping");
        let (log, others) = others.split_at(logged);
        assert!(log.iter().all(|line| line.ends_with("\"GET / HTTP/1.1\" 200 41")), "{log:?}");
        assert_eq!(others, ["Shutting down...", "Served 1 request in 1 call."]);
    }
}

#[test]
fn events_that_no_reader_takes_are_dropped_and_counted() {
    if is_wasmtime() {
        // Under plain wasmtime, the server waits for the reader of its output.
        return;
    }
    let mut runner = Command::new(runner());
    runner.args(["--quiet", "--allow-listen", "127.0.0.1:0"]).arg(component::path());
    runner.args(["--listen", "127.0.0.1:0", "--events", "--stop-when-stdin-closes"]);
    let (server, mut stdout, stream) = unread(&mut runner, 600);
    drop(stream);
    server.terminate();
    let mut text = String::new();
    stdout.read_to_string(&mut text).expect("text");
    let events: Vec<Value> = text.lines().filter(|line| line.starts_with('{')).map(event).collect();
    assert!(events.iter().any(|event| event["event"] == "dropped"), "{} events", events.len());
    assert!(text.ends_with("Served 600 requests in 1 call.\n"));
    assert_eq!(server.wait().status.code(), Some(0));
}

#[test]
fn the_schema_is_strict() {
    let valid = json!({"v": 1, "time": 0.5, "event": "asked", "what": "connect", "detail": "[::1]:80", "allowed": false,
        "option": "--allow-connect [::1]:80"});
    schema::check(&valid).expect("an event");
    let with = |member: &str, value: Value| {
        let mut event = valid.clone();
        event[member] = value;
        event
    };
    schema::check(&with("option", Value::Null)).expect("no option would allow it");
    for wrong in [
        with("v", json!(2)),
        with("event", json!("bound")),
        with("what", json!("door")),
        with("allowed", json!("no")),
        with("option", json!(7)),
        with("bytes", json!(1)),
        with("time", json!(-1)),
    ] {
        schema::check(&wrong).expect_err("it is no event");
    }
    // A line of the access log.
    schema::check(&json!({"time": "1994-11-06T08:49:37Z", "peer": "127.0.0.1:50000"})).expect_err("it is no event");
}

/// Members that may be absent are in brackets.
#[test]
fn the_page_has_the_kinds_and_members_that_the_schema_has_and_its_example_is_valid() {
    let read = |name: &str| std::fs::read_to_string(component::root().join("docs").join(name)).expect(name);
    let schema: Value = serde_json::from_str(&read("events.schema.json")).expect("JSON");
    let kinds = schema["oneOf"].as_array().expect("a list").iter().map(|kind| {
        let kind = kind["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")).expect("a kind");
        let definition = &schema["$defs"][kind];
        assert_eq!(definition["properties"]["event"]["const"], kind);
        assert_eq!(definition["additionalProperties"], false, "{kind}");
        let required = definition["required"].as_array().expect("a list");
        let members: Vec<String> = definition["properties"].as_object().expect("an object").keys().cloned().collect();
        let mut named: Vec<String> = members
            .into_iter()
            .filter(|name| !["v", "time", "event"].contains(&name.as_str()))
            .map(|name| if required.contains(&json!(name)) { name } else { format!("({name})") })
            .collect();
        named.sort();
        (kind.to_owned(), named)
    });
    let page = read("events.md");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ").collect();
        let (kind, members) = (cells.first()?.strip_suffix('`')?, cells.get(2)?.replace('`', ""));
        let mut members: Vec<String> = members.split(", ").map(str::to_owned).collect();
        members.sort();
        Some((kind.to_owned(), members))
    });
    assert_eq!(rows.collect::<Vec<_>>(), kinds.collect::<Vec<_>>());
    let example: Vec<Value> = page.lines().filter(|line| line.starts_with('{')).map(event).collect();
    assert!(example.len() >= 9 && example.is_sorted_by_key(|event| event["time"].as_f64()), "{example:?}");
}

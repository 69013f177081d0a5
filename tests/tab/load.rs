//! Many connections to the server in the tab, slow ones, and many requests.

use hello_test_support::{GET, HELLO, LAST_GET, component};
use serde_json::{Value, json};

use super::worker::{open, without_date};
use super::{Tab, file_address, in_chromium, in_firefox};

/// Opens the file, and starts a server with these options, which prints no log.
fn start(tab: &mut impl Tab, options: &[&str]) {
    open(tab, &file_address(component::tab()));
    tab.evaluate(&format!("machine.start(1, '--log', 'off', ...{})", json!(options)));
}

fn text(bytes: &[u8]) -> Value {
    json!(String::from_utf8_lossy(bytes))
}

fn assert_answers_two_hundred(tab: &mut impl Tab) {
    start(tab, &[]);
    // All are connected before the first one asks.
    tab.evaluate(
        "Promise.all(Array.from({ length: 200 }, machine.connect)).then((all) => (window.all = all, all.length))",
    );
    let most = tab.evaluate("machine.measure().then(({ connections }) => connections)");
    assert_eq!(most, 200);
    let last = text(LAST_GET);
    let responses = tab.evaluate(&format!(
        "(all.forEach((each) => machine.send(each, {last})),
          machine.until(() => all.every((each) => machine.state(each) === 'ended')).then(() => all.map(machine.received)))"
    ));
    let responses = responses.as_array().expect("responses");
    let right = responses.iter().filter(|response| {
        response
            .as_str()
            .is_some_and(|response| response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with(HELLO))
    });
    assert_eq!(right.count(), 200, "{responses:?}");
}

#[test]
fn chromium_answers_two_hundred_clients_at_once() {
    let Some(mut tab) = in_chromium("tab-many") else { return };
    assert_answers_two_hundred(&mut tab);
}

#[test]
fn firefox_answers_two_hundred_clients_at_once() {
    let Some(mut tab) = in_firefox("tab-many-firefox") else { return };
    assert_answers_two_hundred(&mut tab);
}

#[test]
fn a_client_that_never_reads_is_cut_off_and_others_are_answered_meanwhile() {
    let Some(mut tab) = in_chromium("tab-never-reads") else { return };
    start(&mut tab, &["--write-timeout", "1"]);
    // The responses are more than all buffers of the machine hold.
    let (requests, last) = (text(&GET.repeat(5000)), text(LAST_GET));
    let outcome = tab.evaluate(&format!(
        "(async () => {{
            const never = await machine.connect();
            machine.tell({{ do: 'pause', connection: never }});
            machine.send(never, {requests});
            await machine.settle();
            const other = await machine.request({last});
            const meanwhile = machine.state(never);
            await machine.until(() => machine.state(never) !== 'connected');
            return [machine.received(other), meanwhile, machine.state(never), machine.received(never)];
        }})()"
    ));
    assert!(outcome[0].as_str().is_some_and(|response| response.ends_with(HELLO)), "{outcome}");
    assert_eq!([&outcome[1], &outcome[2], &outcome[3]], ["connected", "reset", ""]);
}

#[test]
fn a_server_with_nothing_to_do_takes_no_processor_time() {
    let Some(mut tab) = in_chromium("tab-idle") else { return };
    start(&mut tab, &[]);
    let get = text(GET);
    let turns = tab.evaluate(&format!(
        "(async () => {{
            for (const begins of ['', 'GET / HT', {get}]) machine.send(await machine.connect(), begins);
            // The server treats a connection as new for a second.
            await new Promise((resolve) => setTimeout(resolve, 2000));
            const before = await machine.settle();
            await new Promise((resolve) => setTimeout(resolve, 3000));
            const after = await machine.measure();
            return [before.turns, after.turns, after.connections, after.sleeping];
        }})()"
    ));
    assert_eq!([&turns[1], &turns[2], &turns[3]], [&turns[0], &json!(3), &json!(true)]);
}

fn assert_memory_stays(tab: &mut impl Tab) {
    start(tab, &[]);
    // A client sends 990 requests before it reads, and then ten clients send one at once. (If clients with many requests overlap, the
    // memory depends on how many buffers they fill at the same time.)
    let (requests, last) = (text(&[&GET.repeat(989), LAST_GET].concat()), text(LAST_GET));
    let ask = |times: u32| {
        format!(
            "(async () => {{
                let size = 0;
                const began = performance.now();
                for (let time = 0; time < {times}; time++) {{
                    size += machine.size(await machine.request({requests}));
                    const all = await Promise.all(Array.from({{ length: 10 }}, () => machine.request({last})));
                    for (const each of all) size += machine.size(each);
                }}
                const {{ memory, connections }} = await machine.settle();
                return [memory, connections, size, 1e6 * {times} / (performance.now() - began)];
            }})()"
        )
    };
    let first = tab.evaluate(&ask(1));
    let last = tab.evaluate(&ask(99));
    assert_eq!([&last[0], &last[1]], [&first[0], &json!(0)]);
    assert_eq!(last[2].as_u64(), first[2].as_u64().map(|size| 99 * size), "a response is missing");
    let memory = first[0].as_u64().expect("a number") / 1024;
    let speed = last[3].as_f64().expect("a number");
    println!("{memory} KiB after 1,000 requests, and after 100,000; {speed:.0} requests a second");
}

#[test]
fn chromium_needs_no_more_memory_after_a_hundred_thousand_requests() {
    let Some(mut tab) = in_chromium("tab-memory") else { return };
    assert_memory_stays(&mut tab);
}

#[test]
fn firefox_needs_no_more_memory_after_a_hundred_thousand_requests() {
    let Some(mut tab) = in_firefox("tab-memory-firefox") else { return };
    assert_memory_stays(&mut tab);
}

#[test]
fn a_network_that_cuts_and_delays_changes_no_byte() {
    let Some(mut tab) = in_chromium("tab-line") else { return };
    start(&mut tab, &[]);
    let ask = |tab: &mut _, line: &str| {
        let request = format!("machine.tell({{ do: 'line', {line} }}); return machine.request({});", text(LAST_GET));
        let answer = "const one = await ask(); return [machine.received(one), machine.pieces(one)];";
        Tab::evaluate(tab, &format!("(async () => {{ const ask = () => {{ {request} }}; {answer} }})()"))
    };
    let whole = ask(&mut tab, "delay: 0, piece: 0");
    let cut = ask(&mut tab, "delay: 20, piece: 10");
    let response = whole[0].as_str().expect("text");
    assert_eq!(without_date(cut[0].as_str().expect("text")), without_date(response));
    assert_eq!([&whole[1], &cut[1]], [&json!(1), &json!(response.len().div_ceil(10))]);
}

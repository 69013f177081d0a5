//! Facts in the documents that files can prove: options and their defaults, the figures of the last run of the benchmark,
//! and names of files and functions.
#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::path::Path;

use hello_server::observers::log::Format;
use hello_server::options::{self, Color, Command, HELP, Options};
use hello_server::server::Limits;
use regex_lite::Regex;

/// The text of a file of the project.
fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The rows of all tables of a page, as cells without backquotes.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let line = line.strip_prefix('|')?.strip_suffix('|')?.replace('`', "");
        Some(line.split('|').map(|cell| cell.trim().to_owned()).collect())
    };
    page.lines().filter_map(cells).collect()
}

/// The options in `--help`, with their placeholders; and their defaults, if the text has them.
fn options_of_help() -> Vec<(String, Option<String>)> {
    let mut entries: Vec<String> = Vec::new();
    for line in HELP.lines() {
        match (line.strip_prefix("  --"), entries.last_mut()) {
            (Some(entry), _) => entries.push(format!("--{entry}")),
            (None, Some(entry)) if line.starts_with("    ") => *entry += &format!(" {}", line.trim()),
            _ => {}
        }
    }
    let option = |entry: String| {
        let default = entry.split("(default ").nth(1).and_then(|rest| rest.split([')', ';', ',']).next());
        (entry.split("  ").next().unwrap_or_default().to_owned(), default.map(str::to_owned))
    };
    entries.into_iter().map(option).collect()
}

#[test]
fn the_options_page_lists_the_options_that_help_lists_with_the_same_defaults() {
    let help = options_of_help();
    let rows = rows(&read("docs/options.md"));
    let listed: Vec<_> = rows.iter().filter(|row| row[0].starts_with("--") && row[0] != "---").collect();
    let names = help.iter().map(|(name, _)| name);
    assert!(names.eq(listed.iter().map(|row| &row[0])), "docs/options.md has others, or another order: {listed:?}");
    for (row, (name, default)) in listed.iter().zip(&help) {
        if let Some(default) = default {
            assert!(!row[2].is_empty() && default.starts_with(&row[2]), "{name}: {default:?}, {:?}", row[2]);
        }
    }
}

#[test]
fn the_defaults_that_help_and_the_protocol_page_name_are_those_of_the_program() {
    let Ok(Command::Serve(options)) = options::parse([""; 0]) else { panic!("without options it serves") };
    let Options { limits, backlog, grace, log: Format::Common, color: Color::Auto, .. } = options else {
        panic!("another log, or other colours");
    };
    let seconds = |name: &'static str, time: std::time::Duration| (name, time.as_secs().to_string());
    let timeouts = [
        seconds("--header-timeout", limits.header_timeout),
        seconds("--idle-timeout", limits.idle_timeout),
        seconds("--write-timeout", limits.write_timeout),
    ];
    let others = [
        ("--backlog", backlog.to_string()),
        ("--max-connections", limits.connections.to_string()),
        seconds("--grace", grace),
        ("--log", "common".to_owned()),
        ("--color", "auto: if a terminal wants it".to_owned()),
    ];
    let help = options_of_help();
    for (name, value) in timeouts.iter().chain(&others) {
        let (_, default) = help.iter().find(|(option, _)| option.starts_with(&format!("{name} "))).expect(name);
        assert_eq!(default.as_ref(), Some(value), "{name}");
    }
    let protocol = rows(&read("docs/protocol.md"));
    for (name, value) in timeouts {
        let row = protocol.iter().find(|row| row[0].starts_with(&format!("{name}: "))).expect(name);
        assert_eq!(row[1], value, "{name}");
    }
}

#[test]
fn nginx_on_the_proxy_page_closes_an_idle_connection_before_the_server_does() {
    let page = read("docs/deploy/proxy.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let seconds = |before: &str, after: &str| {
        let seconds = Regex::new(&format!(r"{before}(\d+){after}")).expect("an expression").captures(&page);
        seconds.unwrap_or_else(|| panic!("no {before}"))[1].parse::<u64>().expect("a number")
    };
    let of_server = Limits::default().idle_timeout.as_secs();
    assert!(seconds("keepalive 16; keepalive_timeout ", "s; }") < of_server);
    // The default of nginx.
    let of_nginx = seconds("The pair that fails is ", " seconds on both sides");
    assert_eq!(of_nginx, of_server);
    assert!(seconds("The other way is `--idle-timeout ", "` for the server") > of_nginx);
}

/// The last run of the benchmark: the rows of its comparisons.
fn comparisons() -> Vec<Vec<String>> {
    rows(&read("bench/RESULTS.md")).into_iter().filter(|row| row.len() == 8).collect()
}

#[test]
fn the_benchmark_page_names_every_bar_that_the_last_run_missed() {
    let page = read("bench/README.md");
    let results = read("bench/RESULTS.md");
    let summary = results.lines().find(|line| line.starts_with("Of ")).and_then(|line| line.split(';').next());
    assert!(page.contains(summary.expect("how many")), "bench/README.md does not say: {summary:?}");
    let missed: Vec<_> =
        rows(&results).into_iter().filter(|row| row.last().is_some_and(|cell| cell == "missed")).collect();
    // The comparison, the number of connections, the median, and the bar.
    let missed: Vec<_> = missed.iter().map(|row| [2, 1, 3, 6].map(|cell| row[cell].clone())).collect();
    let named: Vec<_> =
        rows(&page).into_iter().filter(|row| row.len() == 4 && row[3].starts_with(['<', '>'])).collect();
    assert_eq!(named, missed);
}

#[test]
fn the_figures_in_the_pages_are_those_of_the_last_run() {
    let percent = |row: &Vec<String>| row[3].parse::<f64>().map(|ratio| (ratio * 100.0).round()).expect("a ratio");
    let comparisons = comparisons();
    let of = |case: &str, what: &str| {
        let rows = comparisons.iter().filter(|row| row[0] == case && row[2] == what && row[1] != "10000");
        rows.map(percent).collect::<Vec<_>>()
    };
    let of_hyper = of("kept alive", "req/s, hello-runner / hyper");
    assert_eq!(of_hyper.len(), 5, "from 1 connection to 8,000");
    let (least, most) = (of_hyper.iter().copied().fold(100.0, f64::min), of_hyper.iter().copied().fold(0.0, f64::max));
    let with_idle = of("5,000 idle + 32 active", "req/s, hello-runner: with / without idle")[0];
    let quick = 100.0 / of("kept alive", "req/s, hello-runner / hello-runner-quick")[0];
    for (page, words) in [
        ("README.md", format!("it answers {least} to {most} % of what hyper")),
        ("bench/README.md", format!("answers {least} to {most} % of what hyper")),
        ("bench/README.md", format!("it keeps {with_idle} % of its speed")),
        ("bench/README.md", format!("answers {quick:.1} times as many requests")),
    ] {
        assert!(read(page).replace('\n', " ").contains(&words), "{page} does not say: {words}");
    }
    let design = read("docs/design.md").replace('\n', " ");
    assert!(
        design.contains(&format!("the server serves {with_idle} % of the requests")),
        "docs/design.md: {with_idle}"
    );
}

#[test]
fn the_comparison_of_the_runtime_is_that_of_the_last_run() {
    let comparisons = comparisons();
    let of = |server| {
        let what = format!("req/s, {server} / echo-tokio");
        let of_server = |connections: &str| {
            let row = comparisons.iter().find(|row| row[..3] == ["echo", connections, &what]);
            row.unwrap_or_else(|| panic!("no {what} with {connections} connections"))[3].clone()
        };
        ["64", "512"].map(of_server)
    };
    let readme = rows(&read("runtime/README.md"));
    let said: Vec<_> = readme.iter().filter(|row| row.len() == 3 && row[1].parse::<f64>().is_ok()).collect();
    assert_eq!(
        said.iter().map(|row| &row[1..]).collect::<Vec<_>>(),
        ["echo-hello-runner", "echo-wasmtime", "echo-wstd"].map(of)
    );
}

/// The figure of the last run in the cell `column` of the row that begins with `cells`; empty if that was not measured.
fn figure(cells: &[&str], column: usize) -> String {
    let results = rows(&read("bench/RESULTS.md"));
    let is_it = |row: &&Vec<String>| cells.iter().zip(*row).all(|(wanted, cell)| wanted.is_empty() || wanted == cell);
    let row = results.iter().filter(|row| row.len() > cells.len().max(column)).find(is_it);
    row.map_or(String::new(), |row| row[column].clone())
}

/// Requests per second of the last run, with the 99th percentile of the latency.
fn speed(case: &str, connections: &str, server: &str) -> String {
    let [rate, p99] = [3, 5].map(|column| figure(&[case, connections, server], column));
    let Ok(p99) = p99.parse::<f64>() else { return String::new() };
    let (thousands, rest) = rate.split_at(rate.len().saturating_sub(3));
    let comma = if thousands.is_empty() { "" } else { "," };
    format!("{thousands}{comma}{rest} ({} ms)", (p99 * 10.0).round() / 10.0)
}

/// The size of a component in the last run.
fn kibibytes(component: &str) -> String {
    let bytes = figure(&[component], 1).parse::<f64>();
    bytes.map_or(String::new(), |bytes| format!("{:.0}", bytes / 1024.0))
}

#[test]
fn the_figures_of_the_servers_to_choose_from_are_those_of_the_last_run() {
    let servers = [
        ("standard library", "std_net.wasm", "std_net", ""),
        ("wstd", "peer-wstd.wasm", "wstd", ""),
        ("hello-runtime", "hello-server.wasm", "wasmtime", "hello-runner"),
        ("hyper", "hyper.wasm", "hyper-wasmtime", "hyper-hello-runner"),
        ("axum", "axum.wasm", "axum-wasmtime", "axum-hello-runner"),
        ("tokio", "", "", ""),
        ("WASI 0.3", "hello_wasi_03.wasm", "wasi-0.3", ""),
        ("wasi:http", "hello-http.wasm", "hello-http", ""),
    ];
    let expected = servers.map(|(row, component, wasmtime, runner)| {
        let speed = |server: &str| if server.is_empty() { String::new() } else { speed("kept alive", "64", server) };
        let kibibytes = if component.is_empty() { String::new() } else { kibibytes(component) };
        [row.to_owned(), kibibytes, speed(wasmtime), speed(runner)]
    });
    let page = rows(&read("docs/which-server.md"));
    let said = page.iter().filter(|row| row.len() == 6 && !row[0].starts_with("server") && !row[0].starts_with('-'));
    let said: Vec<_> = said.map(|row| [0, 3, 4, 5].map(|cell| row[cell].clone())).collect();
    assert_eq!(said, expected, "the second ones are the figures of the last run");
}

#[test]
fn the_figures_of_wasi_0_3_are_those_of_the_last_run() {
    let columns = [("wasi-0.2", "hello-server.wasm"), ("wasi-0.3", "hello_wasi_03.wasm")].map(|(server, component)| {
        let kept_alive = ["1", "64", "512", "2000", "8000"].map(|connections| speed("kept alive", connections, server));
        let compared = |what: &str| figure(&["", "", &what.replace("NAME", server)], 3);
        let mut column = vec![kibibytes(component)];
        column.extend(kept_alive);
        column.push(speed("a connection per request", "32", server));
        column.push(figure(&["kept alive", "8000", server], 7));
        column.push(compared("KiB, NAME: each of idle"));
        column.push(compared("CPU %, NAME: only idle"));
        column.push(compared("req/s, NAME: with / without idle"));
        column.push(compared("KiB, NAME: each of those"));
        column.push(compared("req/s, NAME: with / without those"));
        column
    });
    let page = read("docs/wasi-0.3.md");
    let (_, table) = page.split_once("\n| | 0.2 | 0.3 |\n|---|---|---|\n").expect("the table");
    let said = rows(table);
    let said = [1, 2].map(|cell| said.iter().map(|row| row[cell].clone()).collect::<Vec<_>>());
    assert_eq!(said, columns, "the second ones are the figures of the last run");
}

#[test]
fn every_file_and_function_that_a_document_names_exists() {
    // A file that git does not know: another tool writes it.
    const BUILT: [&str; 1] = ["src/bindings.rs"];
    let file = Regex::new(r"`([\w.-]+/[\w./-]+\.(?:rs|md|toml|wit|py|svg|yaml|json|service))`").expect("an expression");
    let item = Regex::new(r"`(?:\w+::)*(\w+)`\s+in\s+`([\w./-]+/[\w.-]+\.rs)`").expect("an expression");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["docs", "docs/deploy"].into_iter().flat_map(|folder| {
        let entries = fs::read_dir(root.join(folder)).expect("a folder").map(|entry| entry.expect("an entry"));
        entries.map(move |entry| format!("{folder}/{}", entry.file_name().to_string_lossy()))
    });
    let pages = folders.filter(|page| page.ends_with(".md"));
    let others = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md", "fuzz/README.md"];
    let (mut files, mut items) = (0, 0);
    for page in pages.chain(others.map(str::to_owned)) {
        let text = read(&page);
        let folder = Path::new(&page).parent().expect("a folder");
        for found in file.captures_iter(&text) {
            let name = &found[1];
            let places = [Path::new(""), folder, Path::new("src")].map(|place| root.join(place).join(name));
            assert!(BUILT.contains(&name) || places.iter().any(|place| place.is_file()), "{page} names {name}");
            files += 1;
        }
        for found in item.captures_iter(&text) {
            let (name, file) = (&found[1], &found[2]);
            let is_there = format!(r"\b(fn|struct|enum|trait|const|type) {name}\b|\b{name}::");
            let is_there = Regex::new(&is_there).expect("an expression");
            assert!(is_there.is_match(&read(file)), "{page} says that {name} is in {file}");
            items += 1;
        }
    }
    assert!(files >= 60 && items >= 5, "{files} files, {items} items");
}

/// The files below `folder` with this extension, as paths from the root, without builds, hidden folders and parts of other
/// projects.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder)).expect(folder) {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("text");
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        match entry.file_type().expect("a type").is_dir() {
            true if name.starts_with('.') || name.starts_with("target") || name == "node_modules" => {}
            true => found.extend(files(&path, extension)),
            false if name.ends_with(extension) => found.push(path),
            false => {}
        }
    }
    found
}

/// The address of a heading within its page.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    plain
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let link = Regex::new(r"\]\(([^)\s#:]*)(?:#([^)\s]+))?\)").expect("an expression");
    let mut links = 0;
    for page in files("", ".md") {
        let text = read(&page);
        let folder = Path::new(&page).parent().expect("a folder");
        for found in link.captures_iter(&text) {
            let target = if found[1].is_empty() { page.clone() } else { folder.join(&found[1]).display().to_string() };
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&target);
            assert!(path.exists(), "{page}: {}", &found[0]);
            if let Some(wanted) = found.get(2) {
                let is_there =
                    read(&target).lines().any(|line| line.starts_with('#') && anchor(line) == wanted.as_str());
                assert!(is_there, "{page}: {} has no such heading", &found[0]);
            }
            links += 1;
        }
    }
    assert!(links >= 60, "{links} links");
}

/// The pages, or folders of pages, whose commands a test runs.
const RUN: [&str; 12] = [
    // tests/server/readme.rs
    "README.md",
    "docs/options.md",
    "docs/run.md",
    "docs/sandbox.md",
    // tests/lecture/
    "docs/lecture.md",
    "docs/exercises.md",
    "docs/solutions.md",
    "docs/steps.md",
    // tests/deploy.rs
    "docs/deploy/",
    "docs/operations.md",
    "docs/releases.md",
    "docs/wasmtime.md",
];

/// The commands of other pages that no test runs: their beginnings, and the reason.
const NOT_RUN: [(&str, &str, &str); 15] = [
    ("CONTRIBUTING.md", "cargo doc --open", "opens a browser; .ci/run builds the same documentation"),
    ("CONTRIBUTING.md", "rustup target add", "changes the toolchain"),
    ("CONTRIBUTING.md", "apt-get install", "installs packages"),
    ("CONTRIBUTING.md", "cargo build --locked --profile runner --target x86_64-pc-windows-gnu", "linted by .ci/run"),
    ("CONTRIBUTING.md", "wine ", "needs Wine"),
    ("CONTRIBUTING.md", "CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=wine", "needs Wine"),
    ("CONTRIBUTING.md", "cat >prng.c", "needs Wine"),
    ("CONTRIBUTING.md", "x86_64-w64-mingw32-gcc", "needs Wine"),
    ("CONTRIBUTING.md", "wineboot", "needs Wine"),
    ("CONTRIBUTING.md", "mv bcryptprimitives.dll", "needs Wine"),
    ("bench/README.md", "bench/run", "takes 12 minutes; bench/ has tests of its own"),
    ("docs/teaching.md", "runner/check 3 hand-ins/*.rs", "tests/exercises/ grades files of its own in the same way"),
    ("docs/tab.md", "runner/tab", "tests/tab/ opens the file that it writes"),
    ("docs/protocol.md", "HELLO_CASES=2000000", "runner/test runs fewer cases"),
    ("runtime/README.md", "", "tests/sandbox/examples.rs runs the example in hello-runner"),
];

#[test]
fn every_command_of_a_page_is_run_or_has_a_reason() {
    let mut unused = NOT_RUN.to_vec();
    for page in files("", ".md").into_iter().filter(|page| !RUN.iter().any(|run| page.starts_with(run))) {
        for command in read(&page).lines().filter_map(|line| line.strip_prefix("$ ")) {
            let is_it = |(of, begin, _): &(&str, &str, &str)| *of == page && command.starts_with(begin);
            assert!(NOT_RUN.iter().any(is_it), "{page} has a command that no test runs: {command}");
            unused.retain(|entry| !is_it(entry));
        }
    }
    assert_eq!(unused, []);
}

#[test]
fn the_readme_is_short() {
    let readme = read("README.md");
    let (lines, words) = (readme.lines().count(), readme.split_whitespace().count());
    assert!(lines <= 130 && words <= 900, "{lines} lines, {words} words");
}

#[test]
fn no_sentence_starts_with_who() {
    let who = Regex::new(r"\b(Who|Whoever|Whom)\b").expect("an expression");
    let mut lines = 0;
    for (extension, is_text) in [(".md", None), (".rs", Some("//")), (".toml", Some("#")), (".wit", Some("//"))] {
        for file in files("", extension) {
            for line in
                read(&file).lines().filter(|line| is_text.is_none_or(|mark| line.trim_start().starts_with(mark)))
            {
                assert!(!who.is_match(line), "{file}: {line}");
                lines += 1;
            }
        }
    }
    assert!(lines >= 5000, "{lines} lines");
}

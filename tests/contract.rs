//! The contracts of the components, and their sizes: each built component imports and exports exactly the interfaces that
//! its file in `wit/` has.
#![cfg(not(target_family = "wasm"))]

#[path = "contract/tab.rs"]
mod tab;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hello_test_support::component;
use wit_component::{OutputToString, WitPrinter};
use wit_parser::{PackageId, Resolve};

/// A component of this package, and its contract.
struct Contract {
    /// The name of its world.
    world: &'static str,
    /// The file with that world.
    file: &'static str,
    /// The path of the component.
    component: fn() -> &'static Path,
    /// The most bytes that the component may have: it is downloaded, copied and compiled wherever it runs.
    budget: u64,
    /// An interface that the component needs, and one that it does not need.
    needs: &'static str,
    shuts: &'static [&'static str],
}

const CONTRACTS: [Contract; 4] = [
    Contract {
        world: "hello-server",
        file: "wit/world.wit",
        component: component::path,
        budget: 283 * 1024,
        needs: "start-listen",
        shuts: &["filesystem", "random", "udp", "ip-name-lookup", "start-connect", "wasi:http"],
    },
    // With the live page, which needs no other permission.
    Contract {
        world: "hello-server",
        file: "wit/world.wit",
        component: component::live,
        budget: 455 * 1024,
        needs: "start-listen",
        shuts: &["filesystem", "random", "udp", "ip-name-lookup", "start-connect", "wasi:http"],
    },
    Contract {
        world: "hello-http",
        file: "wit/http/world.wit",
        component: component::http,
        budget: 320 * 1024,
        needs: "incoming-handler",
        shuts: &["filesystem", "wasi:random/random", "wasi:sockets", "outgoing-handler"],
    },
    Contract {
        world: "hello-wasi-03",
        file: "wit/wasi-0.3/world.wit",
        component: component::wasi_0_3,
        budget: 190 * 1024,
        needs: "wasi:sockets/types@0.3.0",
        shuts: &["filesystem", "wasi:random/random", "udp", "ip-name-lookup", "wasi:http"],
    },
];

/// The servers of `examples/frameworks/`, and the most bytes that each may have. Their imports are those of the runtime.
const FRAMEWORKS: [(&str, u64); 3] = [("hyper", 340 * 1024), ("axum", 450 * 1024), ("std_net", 152 * 1024)];

impl Contract {
    /// The packages of `resolve`, printed without comments, `main` first and under a name that all worlds share.
    fn print(&self, resolve: &Resolve, main: PackageId) -> String {
        let others: Vec<PackageId> = resolve.packages.iter().map(|(id, _)| id).filter(|&id| id != main).collect();
        let mut printer = WitPrinter::new(OutputToString::default());
        printer.emit_docs(false);
        printer.print(resolve, main, &others).expect("what was parsed can be printed");
        let text = printer.output.to_string();
        // The name of a component is not part of its contract.
        let text = text.replace("package root:component;", "package hello:server;");
        text.replace("world root {", &format!("world {} {{", self.world))
    }

    /// The imports and exports of the built component.
    fn built(&self) -> String {
        let bytes = std::fs::read((self.component)()).expect("the component was built");
        let decoded = wit_component::decode(&bytes).expect("it is a component");
        self.print(decoded.resolve(), decoded.package())
    }

    /// The contract in the file in `wit/`.
    fn written(&self) -> String {
        let mut resolve = Resolve::default();
        let package = resolve.push_file(component::root().join(self.file)).expect("the contract is well-formed");
        self.print(&resolve, package)
    }
}

/// The facts of a printed contract, in no order: each line with the names of the blocks around it.
fn facts(printed: &str) -> BTreeSet<String> {
    let mut blocks = Vec::new();
    let mut facts = BTreeSet::new();
    for line in printed.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_suffix(" {") {
            Some(block) => blocks.push(block),
            None if line == "}" => _ = blocks.pop(),
            // The used names may be in one line or in several.
            None if line.starts_with("use ") && line.ends_with("};") => {
                let (from, names) = line[..line.len() - 2].split_once('{').expect("names in braces");
                let block = blocks.join(" / ");
                facts.extend(names.split(", ").map(|name| format!("{block} / {from}{{{name}}};")));
            }
            None => _ = facts.insert(format!("{} / {line}", blocks.join(" / "))),
        }
    }
    assert!(blocks.is_empty(), "{blocks:?}");
    facts
}

#[test]
fn the_component_asks_for_what_the_contract_says() {
    for contract in &CONTRACTS {
        let Contract { world, file, .. } = contract;
        let (built, written) = (facts(&contract.built()), facts(&contract.written()));
        let undeclared: Vec<_> = built.difference(&written).collect();
        let unused: Vec<_> = written.difference(&built).collect();
        assert!(
            undeclared.is_empty() && unused.is_empty(),
            "{world} has, and {file} has not: {undeclared:#?}\n\
             {file} has, and {world} has not: {unused:#?}\n\
             If the change is meant, change {file} to what `wasm-tools component wit` prints."
        );
    }
}

#[test]
fn the_contract_imports_nothing_that_a_server_does_not_need() {
    for contract in &CONTRACTS {
        let written = contract.written();
        for interface in contract.shuts {
            assert!(!written.contains(interface), "{interface} in {}", contract.file);
        }
        assert!(written.contains(contract.needs), "or nothing was read at all");
    }
}

#[test]
fn the_component_stays_within_its_budget() {
    let components =
        CONTRACTS.iter().map(|contract| (contract.world, (contract.component)().to_owned(), contract.budget));
    let frameworks = FRAMEWORKS.into_iter().map(|(name, budget)| (name, component::framework(name), budget));
    for (name, component, budget) in components.chain(frameworks) {
        let bytes = std::fs::metadata(component).expect("the component was built").len();
        println!("{name}: {bytes} of {budget} bytes");
        assert!(bytes <= budget, "{name}: {bytes} bytes");
    }
}

#[test]
fn only_two_files_of_the_runtime_name_the_bindings_of_wasi() {
    let mut named = Vec::new();
    let mut folders = vec![component::root().join("src"), component::root().join("runtime")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                // Other paths to the bindings are `::wasi::`, and the crate `wasip2`.
                let is_binding = |line: &str| {
                    let line = line.trim_start().replace("crate::wasi::", "");
                    !line.starts_with("//")
                        && ["::wasi::", "use wasi::", "wasip2::"].iter().any(|name| line.contains(name))
                };
                if text.lines().any(is_binding) {
                    named.push(path.strip_prefix(component::root()).expect("below").display().to_string());
                }
            }
        }
    }
    // `cargo component build` writes this file, and nothing uses it.
    named.retain(|file| file != "src/bindings.rs");
    named.sort();
    assert_eq!(named, ["runtime/src/io.rs", "runtime/src/wasi.rs"]);
}

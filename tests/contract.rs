//! The contract of the component, and its size: what `wit/world.wit` says is what the built component asks for, no
//! more and no less.
#![cfg(not(target_family = "wasm"))]

#[path = "support/component.rs"]
mod component;

use std::collections::BTreeSet;

use wit_component::{OutputToString, WitPrinter};
use wit_parser::{PackageId, Resolve};

/// The most bytes that the component may have: it is downloaded, copied and compiled wherever it runs.
const BUDGET: usize = 256 * 1024;

/// The packages of `resolve`, printed without comments, `main` first and under a name that all worlds share.
fn print(resolve: &Resolve, main: PackageId) -> String {
    let others: Vec<PackageId> = resolve.packages.iter().map(|(id, _)| id).filter(|&id| id != main).collect();
    let mut printer = WitPrinter::new(OutputToString::default());
    printer.emit_docs(false);
    printer.print(resolve, main, &others).expect("what was parsed can be printed");
    let text = printer.output.to_string();
    // What a component is called is not part of it.
    let text = text.replace("package root:component;", "package hello:server;");
    text.replace("world root {", "world hello-server {")
}

/// What the built component imports and exports.
fn component() -> String {
    let bytes = std::fs::read(component::path()).expect("the component was built");
    let decoded = wit_component::decode(&bytes).expect("it is a component");
    print(decoded.resolve(), decoded.package())
}

/// What `wit/world.wit` says.
fn contract() -> String {
    let path = component::root().join("wit/world.wit");
    let mut resolve = Resolve::default();
    let package = resolve.push_file(path).expect("the contract is well-formed");
    print(&resolve, package)
}

/// What a printed contract says, in no order: each line with the names of the blocks that it stands in.
fn facts(printed: &str) -> BTreeSet<String> {
    let mut blocks = Vec::new();
    let mut facts = BTreeSet::new();
    for line in printed.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_suffix(" {") {
            Some(block) => blocks.push(block),
            None if line == "}" => _ = blocks.pop(),
            None => _ = facts.insert(format!("{} / {line}", blocks.join(" / "))),
        }
    }
    assert!(blocks.is_empty(), "{blocks:?}");
    facts
}

#[test]
fn the_component_asks_for_what_the_contract_says() {
    let (component, contract) = (facts(&component()), facts(&contract()));
    let undeclared: Vec<_> = component.difference(&contract).collect();
    let unused: Vec<_> = contract.difference(&component).collect();
    assert!(
        undeclared.is_empty() && unused.is_empty(),
        "the component has, and wit/world.wit has not: {undeclared:#?}\n\
         wit/world.wit has, and the component has not: {unused:#?}\n\
         If the change is meant, change wit/world.wit to what `wasm-tools component wit` prints."
    );
}

#[test]
fn the_contract_has_no_door_that_a_server_does_not_need() {
    let contract = contract();
    for door in ["filesystem", "random", "udp", "ip-name-lookup", "start-connect", "wasi:http"] {
        assert!(!contract.contains(door), "{door} in the contract");
    }
    assert!(contract.contains("start-listen"), "or nothing was read at all");
}

#[test]
fn the_component_stays_within_its_budget() {
    let bytes = std::fs::metadata(component::path()).expect("the component was built").len();
    println!("{bytes} of {BUDGET} bytes");
    assert!(bytes <= BUDGET as u64, "{bytes} bytes");
}

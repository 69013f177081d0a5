//! `tab/abi.js`, and the conventions of the toolchain that `tab/component.js` depends on: a tab takes the first core module out
//! of the component, and gives it the functions of `wit/world.wit`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use hello_test_support::component;
use wasmparser::{
    CanonicalFunction, CanonicalOption, CompositeInnerType, Encoding, ExternalKind, Parser, Payload, TypeRef, ValType,
};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Function, Handle, InterfaceId, Resolve, Type, TypeDefKind, TypeId, WorldItem};

/// The file, from the top of the project.
const ABI: &str = "tab/abi.js";

/// Writes the file anew.
const BLESS: &str = "HELLO_BLESS=1 cargo test --locked --test contract the_tab_knows";

/// The contract, as JavaScript.
struct Abi<'a> {
    resolve: &'a Resolve,
    /// The types that have a name and more than one part, by their name.
    types: BTreeMap<String, String>,
    imports: BTreeMap<String, String>,
    exports: BTreeMap<String, String>,
}

impl<'a> Abi<'a> {
    fn new(resolve: &'a Resolve) -> Self {
        let mut abi = Abi { resolve, types: BTreeMap::new(), imports: BTreeMap::new(), exports: BTreeMap::new() };
        let world = &resolve.worlds.iter().next().expect("a world").1;
        for (items, variant) in [(&world.imports, AbiVariant::GuestImport), (&world.exports, AbiVariant::GuestExport)] {
            for item in items.values() {
                let WorldItem::Interface { id, .. } = item else { panic!("{item:?} is outside an interface") };
                let functions = abi.functions(*id, variant);
                match variant {
                    AbiVariant::GuestImport => abi.imports.extend(functions),
                    _ => abi.exports.extend(functions),
                }
            }
        }
        abi
    }

    /// The functions of an interface. To drop a resource is a function, too: it takes the handle away.
    fn functions(&mut self, id: InterfaceId, variant: AbiVariant) -> Vec<(String, String)> {
        let interface = &self.resolve.interfaces[id];
        let name = self.resolve.id_of(id).expect("a name");
        let name = unversioned(&name);
        let mut functions = Vec::new();
        for (resource, id) in &interface.types {
            if let TypeDefKind::Resource = self.resolve.types[*id].kind {
                let text = format!(r#"{{ params: {{ self: ["own", "{resource}"] }}, result: null, core: "i32 ->" }}"#);
                functions.push((format!("{name}.[resource-drop]{resource}"), text));
            }
        }
        for function in interface.functions.values() {
            functions.push((format!("{name}.{}", function.name), self.function(function, variant)));
        }
        functions
    }

    fn function(&mut self, function: &Function, variant: AbiVariant) -> String {
        let params: Vec<String> =
            function.params.iter().map(|param| format!("{}: {}", key(&param.name), self.of(&param.ty))).collect();
        let params = if params.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", params.join(", ")) };
        let result = function.result.as_ref().map_or_else(|| "null".to_owned(), |result| self.of(result));
        let core = core(self.resolve, function, variant);
        format!(r#"{{ params: {params}, result: {result}, core: "{core}" }}"#)
    }

    /// A type: the name of a simple type or of one in [`types`](Self::types), or a list of its kind and its parts.
    fn of(&mut self, ty: &Type) -> String {
        match ty {
            Type::Bool => r#""bool""#.into(),
            Type::U8 => r#""u8""#.into(),
            Type::U16 => r#""u16""#.into(),
            Type::U32 => r#""u32""#.into(),
            Type::U64 => r#""u64""#.into(),
            Type::String => r#""string""#.into(),
            Type::Id(id) => self.defined(*id),
            other => panic!("tab/component.js has no {other:?} yet"),
        }
    }

    fn defined(&mut self, id: TypeId) -> String {
        let resolve = self.resolve;
        let definition = &resolve.types[id];
        let parts = match &definition.kind {
            TypeDefKind::Type(other) => return self.of(other),
            TypeDefKind::Handle(Handle::Own(resource)) => vec![quoted("own"), self.resource(*resource)],
            TypeDefKind::Handle(Handle::Borrow(resource)) => vec![quoted("borrow"), self.resource(*resource)],
            TypeDefKind::List(item) => vec![quoted("list"), self.of(item)],
            TypeDefKind::Option(some) => vec![quoted("option"), self.of(some)],
            TypeDefKind::Result(result) => vec![quoted("result"), self.case(&result.ok), self.case(&result.err)],
            TypeDefKind::Tuple(tuple) => {
                [quoted("tuple")].into_iter().chain(tuple.types.iter().map(|part| self.of(part))).collect()
            }
            TypeDefKind::Enum(cases) => {
                [quoted("enum")].into_iter().chain(cases.cases.iter().map(|case| quoted(&case.name))).collect()
            }
            TypeDefKind::Record(record) => {
                let fields =
                    record.fields.iter().map(|field| format!("[{}, {}]", quoted(&field.name), self.of(&field.ty)));
                [quoted("record")].into_iter().chain(fields).collect()
            }
            TypeDefKind::Variant(variant) => {
                let cases =
                    variant.cases.iter().map(|case| format!("[{}, {}]", quoted(&case.name), self.case(&case.ty)));
                [quoted("variant")].into_iter().chain(cases).collect()
            }
            other => panic!("tab/component.js has no {} yet", other.as_str()),
        };
        let text = format!("[{}]", parts.join(", "));
        let has_name =
            matches!(definition.kind, TypeDefKind::Enum(_) | TypeDefKind::Record(_) | TypeDefKind::Variant(_));
        match &definition.name {
            Some(name) if has_name => {
                let before = self.types.insert(name.clone(), text.clone());
                assert!(before.is_none_or(|before| before == text), "two types are called {name}");
                quoted(name)
            }
            _ => text,
        }
    }

    fn case(&mut self, ty: &Option<Type>) -> String {
        ty.as_ref().map_or_else(|| "null".to_owned(), |ty| self.of(ty))
    }

    fn resource(&self, mut id: TypeId) -> String {
        while let TypeDefKind::Type(Type::Id(other)) = self.resolve.types[id].kind {
            id = other;
        }
        quoted(self.resolve.types[id].name.as_ref().expect("a resource has a name"))
    }

    fn text(&self) -> String {
        let mut text = format!(
            "// The functions of wit/world.wit: their types, and the types of WebAssembly that these become. Generated; do not edit. To\n\
             // write this file anew: {BLESS}\n\n\
             /** @typedef {{string | any[]}} Name a simple type, a type in TYPES, or a list of a kind and its parts */\n\
             /** @typedef {{{{ params: Record<string, Name>, result: Name | null, core: string }}}} Signature */\n"
        );
        for (name, doc, of, members) in [
            ("TYPES", "The types that have a name.", "any[]", &self.types),
            ("IMPORTS", "What the host has to offer.", "Signature", &self.imports),
            ("EXPORTS", "What the component offers.", "Signature", &self.exports),
        ] {
            let _ = write!(
                text,
                "\n/** {doc} @type {{Record<string, {of}>}} */\n// prettier-ignore\nexport const {name} = {{\n"
            );
            for (member, value) in members {
                let _ = writeln!(text, "  {}: {value},", quoted(member));
            }
            text += "};\n";
        }
        text
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// The name of a member in JavaScript.
fn key(name: &str) -> String {
    if name.contains('-') { quoted(name) } else { name.to_owned() }
}

/// The name of an interface without its version. A component may import an interface in several versions of WASI 0.2, which are
/// compatible: its libraries do not all name the same version.
fn unversioned(name: &str) -> String {
    let (name, version) = name.split_once('@').expect("a version");
    assert!(version.starts_with("0.2."), "{name}@{version}");
    name.to_owned()
}

/// The types of WebAssembly that the types of a function become.
fn core(resolve: &Resolve, function: &Function, variant: AbiVariant) -> String {
    let signature = resolve.wasm_signature(variant, function);
    let name = |ty: &WasmType| match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    };
    arrow(signature.params.iter().map(name), signature.results.iter().map(name))
}

fn arrow<'a>(params: impl Iterator<Item = &'a str>, results: impl Iterator<Item = &'a str>) -> String {
    params.chain(["->"]).chain(results).collect::<Vec<_>>().join(" ")
}

fn resolve() -> Resolve {
    let mut resolve = Resolve::default();
    resolve.push_file(component::root().join("wit/world.wit")).expect("the contract is well-formed");
    resolve
}

#[test]
fn the_tab_knows_the_types_of_the_contract() {
    let path = component::root().join(ABI);
    let text = Abi::new(&resolve()).text();
    if std::env::var_os("HELLO_BLESS").is_some() {
        fs::write(&path, &text).expect("write the file");
    }
    let file = fs::read_to_string(&path).unwrap_or_default();
    assert!(file == text, "{ABI} differs from wit/world.wit. If the change is meant: {BLESS}\n{text}");
}

/// What the first core module of the built component imports and exports, with the core types of functions.
struct CoreModule {
    imports: BTreeMap<(String, String), String>,
    exports: BTreeMap<String, String>,
}

impl CoreModule {
    fn first_of(component: &[u8]) -> Self {
        let first = Parser::new(0).parse_all(component).find_map(|payload| match payload.expect("a component") {
            Payload::ModuleSection { unchecked_range, .. } => Some(unchecked_range),
            Payload::ComponentSection { .. } => panic!("a component comes before the first core module"),
            _ => None,
        });
        let (mut types, mut functions) = (Vec::new(), Vec::new());
        let mut module = CoreModule { imports: BTreeMap::new(), exports: BTreeMap::new() };
        for payload in Parser::new(0).parse_all(&component[first.expect("a core module")]) {
            match payload.expect("a core module") {
                Payload::Version { encoding, .. } => assert_eq!(encoding, Encoding::Module),
                Payload::TypeSection(section) => {
                    for group in section {
                        types.extend(group.expect("a type").into_types().map(|ty| match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => {
                                arrow(ty.params().iter().map(value), ty.results().iter().map(value))
                            }
                            other => panic!("{other:?} is no function"),
                        }));
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.expect("an import");
                        let TypeRef::Func(ty) = import.ty else { panic!("{import:?} is no function") };
                        functions.push(types[ty as usize].clone());
                        let name = (import.module.to_owned(), import.name.to_owned());
                        module.imports.insert(name, types[ty as usize].clone());
                    }
                }
                Payload::FunctionSection(section) => {
                    functions.extend(section.into_iter().map(|ty| types[ty.expect("a type") as usize].clone()));
                }
                Payload::StartSection { .. } => panic!("the tab calls no function but `run`"),
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.expect("an export");
                        let text = match export.kind {
                            ExternalKind::Func => functions[export.index as usize].clone(),
                            other => format!("{other:?}"),
                        };
                        module.exports.insert(export.name.to_owned(), text);
                    }
                }
                _ => {}
            }
        }
        module
    }
}

fn value(ty: &ValType) -> &'static str {
    match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
        other => panic!("{other:?} is no type of the canonical ABI"),
    }
}

#[test]
fn the_first_core_module_of_the_component_is_the_one_that_a_tab_can_run() {
    let bytes = fs::read(component::path()).expect("the component was built");
    let module = CoreModule::first_of(&bytes);
    let resolve = resolve();
    let abi = Abi::new(&resolve);

    let exports: Vec<_> = module.exports.iter().map(|(name, ty)| (name.as_str(), ty.as_str())).collect();
    let expected = [
        ("__main_void", "-> i32"),
        ("cabi_realloc", "i32 i32 i32 i32 -> i32"),
        ("memory", "Memory"),
        ("wasi:cli/run@0.2.0#run", "-> i32"),
    ];
    assert_eq!(exports, expected, "tab/component.js calls these");
    assert!(abi.exports["wasi:cli/run.run"].ends_with(r#"core: "-> i32" }"#), "{:?}", abi.exports);

    for ((interface, function), core) in &module.imports {
        let name = format!("{}.{function}", unversioned(interface));
        let known = abi.imports.get(&name).unwrap_or_else(|| panic!("{ABI} has no {name}"));
        assert!(known.ends_with(&format!(r#"core: "{core}" }}"#)), "{name} has the core type {core}: {known}");
    }
    let imported: BTreeSet<String> =
        module.imports.keys().map(|(interface, function)| format!("{}.{function}", unversioned(interface))).collect();
    // A contract that names more than the component uses would not be noticed in a tab.
    let unused: Vec<_> = abi.imports.keys().filter(|name| !imported.contains(*name)).collect();
    assert!(unused.is_empty(), "the component imports none of {unused:?}");
}

#[test]
fn the_component_needs_no_option_of_the_canonical_abi_that_the_tab_lacks() {
    let bytes = fs::read(component::path()).expect("the component was built");
    let mut functions = 0;
    for payload in Parser::new(0).parse_all(&bytes) {
        let Payload::ComponentCanonicalSection(section) = payload.expect("a component") else { continue };
        for function in section {
            let options = match function.expect("a function") {
                CanonicalFunction::Lower { options, .. } | CanonicalFunction::Lift { options, .. } => options,
                CanonicalFunction::ResourceDrop { .. } => continue,
                other => panic!("tab/component.js has no {other:?}"),
            };
            functions += 1;
            for option in &options {
                // Another encoding of strings, a function to call afterwards, or a way to call without waiting.
                let known =
                    matches!(option, CanonicalOption::UTF8 | CanonicalOption::Memory(_) | CanonicalOption::Realloc(_));
                assert!(known, "tab/component.js has no {option:?}");
            }
        }
    }
    assert!(functions > 0, "or nothing was read at all");
}

//! Refuses the interfaces that grant nothing to any component: files, UDP, names. Wasmtime would refuse them without a message.
//! No component ever gets a handle of one of them, so their functions need no types, and work with any streams and pollables.
//!
//! There is one folder, in which every use is refused and reported. No folder at all would be as safe, but then the sandbox could not
//! report that a component opens a file: the C library of a component looks for its folders, and without a folder it refuses by itself.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, Resource, ResourceType, Val};
use wasmtime::{Result, StoreContextMut, format_err};

use crate::audit::What;
use crate::grants::{Guard, Refusal};

/// What a handle to a folder, a UDP socket or a list of addresses stands for.
struct Nothing;

/// The interfaces, without their versions.
const REFUSED: [&str; 5] = [
    "wasi:filesystem/preopens@",
    "wasi:filesystem/types@",
    "wasi:sockets/udp@",
    "wasi:sockets/udp-create-socket@",
    "wasi:sockets/ip-name-lookup@",
];

/// The resources of these interfaces. Others that they name belong to other interfaces.
const RESOURCES: [&str; 6] = [
    "descriptor",
    "directory-entry-stream",
    "udp-socket",
    "incoming-datagram-stream",
    "outgoing-datagram-stream",
    "resolve-address-stream",
];

/// Adds those of the interfaces that `component` imports.
pub(crate) fn add_to_linker<T: AsRef<Guard> + 'static>(linker: &mut Linker<T>, component: &Component) -> Result<()> {
    let engine = linker.engine().clone();
    // Those of wasmtime, if it has any.
    linker.allow_shadowing(true);
    for (interface, item) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(contract) = item.ty else { continue };
        if !REFUSED.iter().any(|refused| interface.starts_with(refused)) {
            continue;
        }
        let mut instance = linker.instance(interface)?;
        for (name, item) in contract.exports(&engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => refuse(&mut instance, name)?,
                ComponentItem::Resource(_) if RESOURCES.contains(&name) => {
                    instance.resource(name, ResourceType::host::<Nothing>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// Adds the function with this name.
fn refuse<T: AsRef<Guard> + 'static>(instance: &mut LinkerInstance<'_, T>, name: &str) -> Result<()> {
    if name == "get-directories" {
        return instance.func_wrap(name, |_, ()| Ok((vec![(Resource::<Nothing>::new_own(0), "/".to_owned())],)));
    }
    let function = name.to_owned();
    instance.func_new(name, move |mut store: StoreContextMut<'_, T>, _, arguments, results| {
        let answer = answer(store.data().as_ref(), &function, arguments)?;
        for argument in arguments {
            if let Val::Resource(borrowed) = argument {
                borrowed.resource_drop(&mut store)?;
            }
        }
        results[0] = answer;
        Ok(())
    })
}

/// The answer of a function, which `guard` reports if it is a refusal.
fn answer(guard: &Guard, function: &str, arguments: &[Val]) -> Result<Val> {
    let mut texts = arguments.iter().filter_map(|argument| match argument {
        Val::String(text) => Some(text.as_str()),
        _ => None,
    });
    let fails = |code: &str| Val::Result(Err(Some(Box::new(Val::Enum(code.to_owned())))));
    let works = |value| Val::Result(Ok(Some(Box::new(value))));
    Ok(match function {
        // A component asks for the type before it opens anything. The folder cannot even be read.
        "[method]descriptor.get-type" => works(Val::Enum("directory".to_owned())),
        "[method]descriptor.get-flags" => works(Val::Flags(Vec::new())),
        "[method]descriptor.is-same-object" => Val::Bool(true),
        "filesystem-error-code" => Val::Option(None),
        "create-udp-socket" => {
            let is_old = arguments.iter().any(|argument| *argument == Val::Enum("ipv4".to_owned()));
            guard.refuse(What::Udp, if is_old { "IPv4" } else { "IPv6" }, Refusal::udp());
            fails("access-denied")
        }
        "resolve-addresses" => {
            let name = texts.next().unwrap_or_default();
            guard.refuse(What::Name, name, Refusal::name(name));
            fails("permanent-resolver-failure")
        }
        _ if function.starts_with("[method]descriptor.") => {
            // A symbolic link has its contents first, and then its path.
            let path = if function.ends_with(".symlink-at") { texts.nth(1) } else { texts.next() };
            let path = path.unwrap_or("/");
            guard.refuse(What::File, path, Refusal::file(path));
            fails("access")
        }
        _ => return Err(format_err!("{function} was called with a handle that no component gets")),
    })
}

//! The grants of a component, and the refusal of everything else. The sandbox reports each refusal once, with the option
//! that would have allowed it.

use std::collections::HashSet;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime_wasi::sockets::SocketAddrUse;

use crate::audit::{Audit, What};
use crate::stdio::{NAME, Output};

/// The most refusals that the sandbox reports: a component that tries every port of a network must not fill the disk.
const MOST_REFUSALS: usize = 100;

/// The addresses on which the component may listen, and to which it may connect. No grant implies another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grants {
    /// Port 0 is any port of that address.
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) connect: Vec<SocketAddr>,
}

impl Grants {
    /// Whether the component may use `address` like this; if not, the refusal, with the option that would allow it.
    pub(crate) fn check(&self, address: SocketAddr, usage: SocketAddrUse) -> Result<(), Refusal> {
        let listen = || {
            let granted = |grant: &SocketAddr| {
                is_same_place(grant, &address) && (grant.port() == address.port() || grant.port() == 0)
            };
            match self.listen.iter().any(granted) {
                true => Ok(()),
                false => Err(Refusal::of("listen on", address, "--allow-listen")),
            }
        };
        match usage {
            // The system binds a socket that connects without a bind to any address and port. Without a grant to connect,
            // or to listen there, the component cannot use such a socket.
            SocketAddrUse::TcpBind if is_any(address) => Ok(()),
            SocketAddrUse::TcpBind | SocketAddrUse::TcpListen => listen(),
            // Connections to a listener whose address was granted.
            SocketAddrUse::TcpAccept => Ok(()),
            SocketAddrUse::TcpConnect => {
                let granted = |grant: &SocketAddr| is_same_place(grant, &address) && grant.port() == address.port();
                match self.connect.iter().any(granted) {
                    true => Ok(()),
                    false => Err(Refusal::of("connect to", address, "--allow-connect")),
                }
            }
            SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => Err(Refusal::udp()),
        }
    }

    /// Those of `addresses` to which the component may connect; all are of one host. If none is left, the refusal of the first.
    pub(crate) fn callable(&self, addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>, Refusal> {
        let mut first = None;
        let mut granted = addresses.to_vec();
        granted.retain(|&address| match self.check(address, SocketAddrUse::TcpConnect) {
            Ok(()) => true,
            Err(refusal) => {
                first.get_or_insert(refusal);
                false
            }
        });
        first.filter(|_| granted.is_empty()).map_or(Ok(granted), Err)
    }

    /// The URLs of the server for a browser on another machine, if the grants have every address of this one.
    pub(crate) fn urls(&self) -> Vec<String> {
        match self.listen.iter().any(|address| address.ip().is_unspecified()) {
            true => urls(&self.listen, &own_addresses()),
            false => Vec::new(),
        }
    }

    /// The grants as parts of a sentence: `listen on 127.0.0.1:9000 and [::1]:9000`.
    pub(crate) fn words(&self) -> Vec<String> {
        let places = [("listen on", &self.listen), ("connect to", &self.connect)];
        let places = places.into_iter().filter(|(_, addresses)| !addresses.is_empty());
        places.map(|(verb, addresses)| format!("{verb} {}", join(addresses))).collect()
    }
}

/// Whether this is any address and any port.
fn is_any(address: SocketAddr) -> bool {
    address.ip().is_unspecified() && address.port() == 0
}

/// Whether both are the same address, whatever their ports are. The scope of an address such as `fe80::1` is its network
/// on this machine; the label of a flow (RFC 6437) is ignored, because it says nothing about the destination.
pub(crate) fn is_same_place(one: &SocketAddr, other: &SocketAddr) -> bool {
    let scope = |address: &SocketAddr| match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    };
    one.ip() == other.ip() && scope(one) == scope(other)
}

/// Whether a component could ever use a grant of this address: WASI has no IPv4 address that is written as one of IPv6, and no
/// component can connect to a group, or to no address. (A server that is to listen for a group reports that error itself.)
pub(crate) fn can_be_used(ip: IpAddr, option: &str) -> bool {
    let is_mapped = matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    !is_mapped && !(option == "--allow-connect" && (ip.is_multicast() || ip.is_unspecified()))
}

/// Whether `address` is link-local, so that each network of this machine may have it (`fe80::1`, RFC 4291 section 2.5.6), and
/// does not name its network.
pub(crate) fn lacks_scope(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(address) if address.ip().is_unicast_link_local() && address.scope_id() == 0)
}

/// Advice for an address that [lacks its scope](lacks_scope).
pub(crate) const NAME_SCOPE: &str =
    "an address that begins with fe80 needs the number of its network interface, such as [fe80::1%2]:9000";

/// The URLs, for a browser on another machine, of a server that may listen at `granted`, on a machine with the addresses `own`:
/// none unless the server is granted every address of the machine.
fn urls(granted: &[SocketAddr], own: &[IpAddr]) -> Vec<String> {
    let everywhere = granted.iter().filter(|address| address.ip().is_unspecified() && address.port() != 0);
    let urls = everywhere.flat_map(|granted| {
        let own = own.iter().filter(|ip| ip.is_ipv4() == granted.is_ipv4());
        own.map(|&ip| format!("http://{}", SocketAddr::new(ip, granted.port())))
    });
    urls.collect()
}

/// The addresses of this machine for other machines. Empty if the system does not list them.
fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let others = interfaces
        .iter()
        .filter(|interface| interface.is_oper_up() && !interface.is_loopback() && !interface.is_link_local());
    others.map(if_addrs::Interface::ip).collect()
}

/// Joins words: `a`, `a and b`, `a, b, and c`.
pub(crate) fn join(items: &[impl Display]) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        text += match index {
            0 => "",
            1 if items.len() == 2 => " and ",
            _ if index + 1 == items.len() => ", and ",
            _ => ", ",
        };
        text += &item.to_string();
    }
    text
}

/// An action that the component may not do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Refusal {
    /// The action, as words behind "it may not".
    tried: String,
    /// The option that would allow the action, or why there is none.
    option: Result<String, &'static str>,
}

/// Why there is no option, if there is nothing to add.
const NO_OPTION: &str = "there is no option that would allow it";

impl Refusal {
    fn of(verb: &str, address: SocketAddr, option: &str) -> Self {
        let option = match address {
            _ if lacks_scope(&address) => Err(NAME_SCOPE),
            _ if !can_be_used(address.ip(), option) => Err(NO_OPTION),
            _ => Ok(format!("{option} {address}")),
        };
        Refusal { tried: format!("{verb} {address}"), option }
    }

    /// The advice for the user of the component.
    fn advice(&self) -> String {
        match &self.option {
            Ok(option) => format!("{option} would allow it"),
            Err(reason) => (*reason).into(),
        }
    }

    /// The component may not use UDP.
    pub(crate) fn udp() -> Self {
        Refusal { tried: "use UDP".into(), option: Err(NO_OPTION) }
    }

    /// The component may not look up `name`.
    pub(crate) fn name(name: &str) -> Self {
        Refusal { tried: format!("look up the name {}", quoted(name)), option: Err(NO_OPTION) }
    }

    /// The component may not use the file or folder `path`.
    pub(crate) fn file(path: &str) -> Self {
        Refusal { tried: format!("use the file {}", quoted(path)), option: Err(NO_OPTION) }
    }

    /// The component may not send a request to `authority` by `https://`.
    pub(crate) fn tls(authority: &str) -> Self {
        Refusal {
            tried: format!("send a request to {}", quoted(&format!("https://{authority}"))),
            option: Err("this sandbox does not speak TLS: http:// is all that it can send"),
        }
    }
}

/// Quotes and shortens `text`, which comes from the component and may be anything.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(100).collect::<String>())
}

/// The question behind this use of `address`. `None` for a use that gives the component nothing that it has not asked for
/// before, or asks for next: see [`Grants::check`].
fn question(address: SocketAddr, usage: SocketAddrUse) -> Option<What> {
    match usage {
        SocketAddrUse::TcpBind if is_any(address) => None,
        SocketAddrUse::TcpAccept => None,
        SocketAddrUse::TcpBind | SocketAddrUse::TcpListen => Some(What::Listen),
        SocketAddrUse::TcpConnect => Some(What::Connect),
        SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => Some(What::Udp),
    }
}

/// Checks every use against the grants, lists it in the audit, and reports every refusal once. Clones share the set of
/// reported refusals.
#[derive(Clone)]
pub(crate) struct Guard {
    /// The name of the component.
    name: String,
    told: Arc<Mutex<HashSet<Refusal>>>,
    stderr: Arc<Output>,
    audit: Audit,
}

impl Guard {
    /// A guard that reports refusals of the component `name` on `stderr`, and lists all questions in `audit`.
    pub(crate) fn new(name: &str, stderr: &Arc<Output>, audit: &Audit) -> Self {
        Guard { name: name.into(), told: Arc::default(), stderr: Arc::clone(stderr), audit: audit.clone() }
    }

    /// Whether `grants` allow this use of `address`.
    pub(crate) fn allows(&self, grants: &Grants, address: SocketAddr, usage: SocketAddrUse) -> bool {
        let answer = grants.check(address, usage);
        let allowed = answer.is_ok();
        if let Some(what) = question(address, usage) {
            self.answer(what, &address, answer.map_err(Some));
        }
        allowed
    }

    /// Refuses a question of the component.
    pub(crate) fn refuse(&self, what: What, detail: &str, refusal: Refusal) {
        self.answer(what, &detail, Err(Some(refusal)));
    }

    /// Lists a question of the component with its answer, and reports a refusal. (`Err(None)` refuses what no grant could
    /// allow, such as a request to no address.)
    pub(crate) fn answer(&self, what: What, detail: &dyn Display, answer: Result<(), Option<Refusal>>) {
        let listed = match &answer {
            Ok(()) => Ok(()),
            Err(refusal) => Err(refusal.as_ref().and_then(|refusal| refusal.option.as_deref().ok())),
        };
        self.audit.asked(what, detail, listed);
        if let Err(Some(refusal)) = answer {
            self.report(refusal);
        }
    }

    /// Reports a refusal, once, and at most [`MOST_REFUSALS`] in all.
    fn report(&self, refusal: Refusal) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() > MOST_REFUSALS || told.contains(&refusal) {
            return;
        }
        if told.len() == MOST_REFUSALS {
            let more = format!("{NAME}: it is refused more than that, which is not told any more");
            self.stderr.say([more.as_str()]);
        } else {
            let cause = format!("{NAME}: refused: {} may not {}", self.name, refusal.tried);
            self.stderr.say([cause.as_str(), &format!("  {}", refusal.advice())]);
        }
        told.insert(refusal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn check(grants: &Grants, address: &str, usage: SocketAddrUse) -> Result<(), Refusal> {
        grants.check(address.parse().expect("an address"), usage)
    }

    #[test]
    fn a_grant_to_listen_is_for_one_address_and_one_port() {
        use SocketAddrUse::{TcpBind, TcpListen};
        let grants = Grants { listen: addresses(&["127.0.0.1:9000", "[::1]:9000"]), connect: vec![] };
        for usage in [TcpBind, TcpListen] {
            assert_eq!(check(&grants, "127.0.0.1:9000", usage), Ok(()));
            assert_eq!(check(&grants, "[::1]:9000", usage), Ok(()));
            for other in ["127.0.0.1:9001", "127.0.0.2:9000", "0.0.0.0:9000", "[::]:9000", "127.0.0.1:0"] {
                let refusal = check(&grants, other, usage).expect_err(other);
                assert_eq!(refusal.advice(), format!("--allow-listen {other} would allow it"));
            }
        }
        // A socket that connects is bound to any address first; that does not grant it to listen there.
        assert_eq!(check(&grants, "0.0.0.0:0", TcpBind), Ok(()));
        assert!(check(&grants, "0.0.0.0:41234", TcpListen).is_err());
    }

    #[test]
    fn port_0_is_any_port_of_that_address_only() {
        let grants = Grants { listen: addresses(&["127.0.0.1:0"]), connect: vec![] };
        assert_eq!(check(&grants, "127.0.0.1:0", SocketAddrUse::TcpBind), Ok(()));
        assert_eq!(check(&grants, "127.0.0.1:41234", SocketAddrUse::TcpListen), Ok(()));
        assert!(check(&grants, "0.0.0.0:41234", SocketAddrUse::TcpListen).is_err());
    }

    #[test]
    fn to_listen_is_not_to_connect() {
        let grants = Grants { listen: addresses(&["127.0.0.1:9000"]), connect: addresses(&["192.0.2.1:80"]) };
        assert_eq!(check(&grants, "192.0.2.1:80", SocketAddrUse::TcpConnect), Ok(()));
        assert!(check(&grants, "192.0.2.1:80", SocketAddrUse::TcpListen).is_err());
        for other in ["127.0.0.1:9000", "192.0.2.1:81", "192.0.2.2:80"] {
            let refusal = check(&grants, other, SocketAddrUse::TcpConnect).expect_err(other);
            assert_eq!(refusal.advice(), format!("--allow-connect {other} would allow it"));
        }
    }

    #[test]
    fn a_scope_is_a_part_of_the_address_and_a_flow_is_not() {
        let places = addresses(&["[fe80::1%2]:9000"]);
        let grants = Grants { listen: places.clone(), connect: places };
        for (usage, option) in
            [(SocketAddrUse::TcpListen, "--allow-listen"), (SocketAddrUse::TcpConnect, "--allow-connect")]
        {
            assert_eq!(check(&grants, "[fe80::1%2]:9000", usage), Ok(()));
            let refusal = check(&grants, "[fe80::1%3]:9000", usage).expect_err("another network");
            assert_eq!(refusal.advice(), format!("{option} [fe80::1%3]:9000 would allow it"));
            let refusal = check(&grants, "[fe80::1]:9000", usage).expect_err("no network");
            assert!(refusal.advice().ends_with(NAME_SCOPE), "to grant it would not help: {}", refusal.advice());
            let flow = std::net::SocketAddrV6::new("fe80::1".parse().expect("an address"), 9000, 7, 2);
            assert_eq!(grants.check(flow.into(), usage), Ok(()));
        }
    }

    #[test]
    fn every_address_of_the_machine_is_named_as_others_can_open_it() {
        let own = ["192.168.1.7", "10.8.0.2", "2001:db8::7"].map(|ip| ip.parse().expect("an address"));
        for (granted, expected) in [
            (&["0.0.0.0:9000"][..], &["http://192.168.1.7:9000", "http://10.8.0.2:9000"][..]),
            (&["[::]:9001", "127.0.0.1:9001"], &["http://[2001:db8::7]:9001"]),
            (&["127.0.0.1:9000", "[::1]:9000", "192.168.1.7:9000"], &[]),
            // The port is not known yet.
            (&["0.0.0.0:0"], &[]),
        ] {
            assert_eq!(urls(&addresses(granted), &own), expected, "{granted:?}");
        }
    }

    #[test]
    fn the_machine_has_addresses_that_other_machines_know() {
        for ip in own_addresses() {
            assert!(!ip.is_loopback() && !ip.is_unspecified() && !lacks_scope(&(ip, 1).into()), "{ip}");
        }
    }

    #[test]
    fn advised_options_can_be_typed() {
        use crate::options::{Command, parse};
        let addresses = ["[::1]:1", "[fe80::1]:1", "[fe80::1%2]:1", "[::ffff:127.0.0.1]:1", "224.0.0.1:1", "0.0.0.0:1"];
        for usage in [SocketAddrUse::TcpListen, SocketAddrUse::TcpConnect] {
            for address in addresses {
                let refusal = check(&Grants::default(), address, usage).expect_err(address);
                let Ok(advised) = refusal.option else { continue };
                let typed = parse(advised.split(' ').chain(["a.wasm"]));
                let Ok(Command::Run(options)) = typed else { panic!("{advised}: {typed:?}") };
                assert_eq!(check(&options.grants, address, usage), Ok(()), "{advised}");
            }
        }
    }

    #[test]
    fn udp_is_never_granted() {
        use SocketAddrUse::{UdpBind, UdpReceive, UdpSend};
        let all = addresses(&["127.0.0.1:0", "127.0.0.1:9000"]);
        let grants = Grants { listen: all.clone(), connect: all };
        for usage in [UdpBind, UdpReceive, UdpSend] {
            assert_eq!(check(&grants, "127.0.0.1:9000", usage), Err(Refusal::udp()));
        }
    }

    #[test]
    fn a_list_reads_like_a_sentence() {
        assert_eq!(join(&["a"]), "a");
        assert_eq!(join(&["a", "b"]), "a and b");
        assert_eq!(join(&["a", "b", "c"]), "a, b, and c");
    }
}

//! The interfaces that are denied to every component: files (see `files.rs`), UDP, names. Wasmtime denies them without a message;
//! these versions report each use.

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime::{Result, error::Context as _};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{self, ResolveAddressStream};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket;
use wasmtime_wasi::p2::{DynPollable, SocketError, SocketResult, UdpSocket};

use crate::audit::What;
use crate::grants::{Guard, Refusal};

/// The denied interfaces, which report each use to the guard.
pub(crate) struct Denied<'g>(pub(crate) &'g Guard);

impl HasData for Denied<'static> {
    type Data<'g> = Denied<'g>;
}

/// Replaces the interfaces of wasmtime by the denied ones.
pub(crate) fn add_to_linker<T: Send + AsRef<Guard> + 'static>(linker: &mut Linker<T>) -> Result<()> {
    fn denied<T: AsRef<Guard>>(state: &mut T) -> Denied<'_> {
        Denied((*state).as_ref())
    }
    linker.allow_shadowing(true);
    preopens::add_to_linker::<T, Denied<'static>>(linker, denied).context("folders")?;
    types::add_to_linker::<T, Denied<'static>>(linker, denied).context("files")?;
    udp_create_socket::add_to_linker::<T, Denied<'static>>(linker, denied).context("UDP")?;
    ip_name_lookup::add_to_linker::<T, Denied<'static>>(linker, denied).context("names")?;
    linker.allow_shadowing(false);
    Ok(())
}

impl udp_create_socket::Host for Denied<'_> {
    async fn create_udp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        let version = if family == IpAddressFamily::Ipv4 { "IPv4" } else { "IPv6" };
        self.0.refuse(What::Udp, version, Refusal::udp());
        Err(ErrorCode::AccessDenied.into())
    }
}

impl ip_name_lookup::Host for Denied<'_> {
    fn resolve_addresses(
        &mut self,
        _network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<ResolveAddressStream>> {
        self.0.refuse(What::Name, &name, Refusal::name(&name));
        Err(ErrorCode::PermanentResolverFailure.into())
    }
}

/// A component never gets such a stream, so it never calls these functions.
impl ip_name_lookup::HostResolveAddressStream for Denied<'_> {
    fn resolve_next_address(&mut self, _stream: Resource<ResolveAddressStream>) -> SocketResult<Option<IpAddress>> {
        Err(ErrorCode::PermanentResolverFailure.into())
    }

    fn subscribe(&mut self, _stream: Resource<ResolveAddressStream>) -> Result<Resource<DynPollable>> {
        Err(wasmtime::format_err!("no name was ever looked up"))
    }

    fn drop(&mut self, _stream: Resource<ResolveAddressStream>) -> Result<()> {
        Ok(())
    }
}

/// The conversion of an error to a code, for the interfaces above. Wasmtime implements networks themselves.
impl network::Host for Denied<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, _error: Resource<wasmtime::Error>) -> Result<Option<ErrorCode>> {
        Ok(None)
    }
}

impl network::HostNetwork for Denied<'_> {
    fn drop(&mut self, _network: Resource<Network>) -> Result<()> {
        Ok(())
    }
}

//! The live page of this run of the program. Without the feature `live` there is none, and nothing here does anything.

#[cfg(feature = "live")]
pub(crate) use with::Page;
#[cfg(not(feature = "live"))]
pub(crate) use without::Page;

/// What is done with the bytes of standard input.
pub(crate) type Take = Box<dyn FnMut(&[u8])>;

#[cfg(feature = "live")]
mod with {
    use std::net::SocketAddr;
    use std::rc::Rc;
    use std::time::SystemTime;

    use hello_failure::place;
    use hello_runtime::io::print;
    use hello_runtime::{Runtime, Wasi, spawn};
    use hello_server::advice::ListenError;
    use hello_server::events::Observer;
    use hello_server::live::{Live, Unobserved};
    use hello_server::options::Options;
    use hello_server::server::{Server, accept};

    use super::Take;
    use crate::start::{Listening, listen_on};

    /// The live page, if the options ask for it.
    pub(crate) struct Page {
        live: Option<Live>,
        listeners: Vec<Listening>,
    }

    impl Page {
        /// The page, if the options ask for it. The time of the start names this run.
        pub(crate) fn new(options: &Options, runtime: &Runtime<Wasi>) -> Self {
            let time = runtime.wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let live = options.live.map(|watchers| Live::new(watchers, &format!("{:x}", time.as_nanos())));
            Page { live, listeners: Vec::new() }
        }

        /// Adds the observer that makes the events of the page.
        pub(crate) fn observe(&self, observers: &mut Vec<Box<dyn Observer>>, runtime: &Runtime<Wasi>) {
            observers
                .extend(self.live.iter().map(|live| Box::new(live.observer(runtime.clone())) as Box<dyn Observer>));
        }

        /// What the page does with standard input: it shows what the sandbox writes there.
        pub(crate) fn input(&self) -> Take {
            self.live.as_ref().map_or_else(|| Box::new(|_: &[u8]| {}) as Take, |live| Box::new(live.input()))
        }

        /// Makes the listeners of the page of a server at `address`. A machine without IPv6 has the one for IPv4 only.
        pub(crate) fn listen(&mut self, options: &Options, address: SocketAddr) -> anyhow::Result<()> {
            self.live.iter().for_each(|live| live.set_address(address));
            for mut address in options.live_addresses().into_iter().flatten() {
                if let Some((_, first)) = self.listeners.first() {
                    address.set_port(first.port());
                }
                match listen_on(address, options.backlog, &Unobserved).map_err(|error| ListenError { address, error }) {
                    Ok(listening) => self.listeners.push(listening),
                    Err(error) if !self.listeners.is_empty() && error.is_family_missing() => {}
                    Err(error) => return Err(error.failure(&options.listen_on).into()),
                }
            }
            Ok(())
        }

        /// Prints the URL of the page.
        pub(crate) fn announce(&self) {
            for (_, address) in self.listeners.iter().take(1) {
                print(&format!("Watch {}\n", place::url(*address, true)));
            }
        }

        /// Serves the page of `shown`.
        pub(crate) fn serve<O: Observer + 'static>(
            &mut self,
            runtime: &Runtime<Wasi>,
            shown: &Rc<Server<Runtime<Wasi>, O>>,
        ) {
            if let Some(live) = &self.live {
                let server = live.server(runtime.clone(), shown);
                self.listeners.drain(..).for_each(|(listener, _)| spawn(accept::serve(Rc::clone(&server), listener)));
            }
        }

        /// Ends the streams of all that watch, because the server stops.
        pub(crate) fn close(&self) {
            self.live.iter().for_each(Live::close);
        }
    }
}

#[cfg(not(feature = "live"))]
mod without {
    use std::net::SocketAddr;
    use std::rc::Rc;

    use hello_runtime::{Runtime, Wasi};
    use hello_server::events::Observer;
    use hello_server::options::Options;
    use hello_server::server::Server;

    use super::Take;

    /// No page.
    pub(crate) struct Page;

    impl Page {
        pub(crate) fn new(_: &Options, _: &Runtime<Wasi>) -> Self {
            Page
        }

        pub(crate) fn observe(&self, _: &mut Vec<Box<dyn Observer>>, _: &Runtime<Wasi>) {}

        pub(crate) fn input(&self) -> Take {
            Box::new(|_| {})
        }

        pub(crate) fn listen(&mut self, _: &Options, _: SocketAddr) -> anyhow::Result<()> {
            Ok(())
        }

        pub(crate) fn announce(&self) {}

        pub(crate) fn serve<O: Observer>(&mut self, _: &Runtime<Wasi>, _: &Rc<Server<Runtime<Wasi>, O>>) {}

        pub(crate) fn close(&self) {}
    }
}
